"""The tree of errors that Hearsay raises.

    HearsayError
    ├── InvalidRequest            a fault of the request
    │   ├── InvalidAudio          bytes that are no readable recording
    │   │   └── AudioTooShort     shorter than 0.01 s
    │   ├── UnsupportedOption     an option that the chosen model cannot honour
    │   ├── PayloadTooLarge       over the upload limit
    │   ├── UnsupportedMediaType  a body of the wrong kind
    │   └── FetchFailed           a URL that may not or could not be fetched
    ├── Unauthorized              no key, or a wrong one
    ├── ModelNotFound             no model of that name
    ├── ModelNotInstalled         a known model without its weights
    │   └── ModelDownloading      whose weights are on their way
    ├── DownloadFailed            weights that could not be downloaded or are damaged
    │   └── StorageFailed         weights for which the disk has no room, or that it does not take
    ├── Overloaded                too much work waiting
    ├── EngineFailed              a model that broke while working
    ├── Cancelled                 the client disconnected
    └── ConfigurationError        settings that cannot be right

Knows no HTTP status and no vendor: `dialects` maps classes to both.
"""

from __future__ import annotations


class HearsayError(Exception):
    """Something went wrong."""

    code: str | None = None
    """Machine-readable name of the failure, stable across releases."""
    param: str | None = None
    """Request field at fault."""
    retry_after: float | None = None
    """Delay before a retry may succeed, seconds; None where a retry alone does not help."""

    def __init__(
        self, message: str | None = None, *, param: str | None = None, code: str | None = None
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        if param is not None:
            self.param = param
        if code is not None:
            self.code = code
        super().__init__(self.message)


class InvalidRequest(HearsayError):
    """The request is not valid."""

    code = "invalid_request"


class InvalidAudio(InvalidRequest):
    """The file is not a recording that can be read."""

    code = "invalid_audio"
    param = "file"


class AudioTooShort(InvalidAudio):
    """The recording is too short. The minimum length is 0.01 seconds."""

    code = "audio_too_short"


class UnsupportedOption(InvalidRequest):
    """The model cannot honour this option."""

    code = "unsupported_option"


class PayloadTooLarge(InvalidRequest):
    """The request is larger than this server accepts."""

    code = "payload_too_large"


class UnsupportedMediaType(InvalidRequest):
    """The body is not of a kind that this path accepts."""

    code = "unsupported_media_type"


class FetchFailed(InvalidRequest):
    """The URL could not be fetched."""

    code = "url_fetch_failed"
    param = "url"


class Unauthorized(HearsayError):
    """A valid API key is required."""

    code = "invalid_api_key"


class ModelNotFound(HearsayError):
    """There is no model of that name."""

    code = "model_not_found"
    param = "model"


class ModelNotInstalled(HearsayError):
    """The model is known but its weights are not on this machine."""

    code = "model_not_installed"
    param = "model"


class ModelDownloading(ModelNotInstalled):
    """The weights of the model are being downloaded."""

    code = "model_downloading"
    retry_after = 5.0


class DownloadFailed(HearsayError):
    """The weights could not be downloaded."""

    code = "download_failed"


class StorageFailed(DownloadFailed):
    """The weights could not be stored."""

    code = "storage_failed"


class Overloaded(HearsayError):
    """Too many requests are waiting; try again shortly."""

    code = "overloaded"

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float = 1.0,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.retry_after = retry_after


class EngineFailed(HearsayError):
    """The model failed while working on this request."""

    code = "engine_failed"


class Cancelled(HearsayError):
    """The caller went away before the work was done."""

    code = "cancelled"


class ConfigurationError(HearsayError):
    """The configuration is not valid."""

    code = "invalid_configuration"
