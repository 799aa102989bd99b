"""Errors: their status, headers and the one body that every vendor's client can read.

Knows no web framework. `code` is always a string or null and `error` always an object: anything else
breaks clients. Permanent failures with a status that clients retry say so in `x-should-retry`. Source:
error classes of the clients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hearsay import errors
from hearsay.dialects.schemas import ErrorBody
from hearsay.errors import HearsayError

_INVALID = "invalid_request_error"
_SERVER = "server_error"

STATUS: Mapping[type[HearsayError], tuple[int, str]] = MappingProxyType(
    {
        errors.InvalidRequest: (400, _INVALID),
        errors.PayloadTooLarge: (413, _INVALID),
        errors.UnsupportedMediaType: (415, _INVALID),
        errors.Unauthorized: (401, _INVALID),
        errors.ModelNotFound: (404, _INVALID),
        errors.ModelNotInstalled: (503, _SERVER),
        errors.DownloadFailed: (503, _SERVER),
        errors.Overloaded: (429, "overloaded_error"),
        errors.EngineFailed: (500, _SERVER),
        errors.Cancelled: (503, _SERVER),
        errors.ConfigurationError: (500, _SERVER),
        errors.HearsayError: (500, _SERVER),
    }
)
"""Status and type of each class of errors; a subclass without an entry has those of its nearest ancestor."""

_RETRIED = frozenset({408, 409, 429})


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The answer to a request that failed."""

    status: int
    body: ErrorBody
    headers: Mapping[str, str] = field(default_factory=dict)


def render_error(error: HearsayError) -> ErrorResponse:
    """Return the answer to an error of this server."""
    status, kind = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        wait = max(error.retry_after, 0.001)
        headers["retry-after"] = str(math.ceil(wait))
        headers["retry-after-ms"] = str(math.ceil(wait * 1000))
    elif status >= 500 or status in _RETRIED:
        headers["x-should-retry"] = "false"
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="hearsay"'
    return ErrorResponse(status, _body(error.message, kind, error.param, error.code), headers)


def render_status(
    status: int, message: str, code: str, *, headers: Mapping[str, str] | None = None
) -> ErrorResponse:
    """Return the answer to a failure of the protocol: an unknown path, a wrong method, bad framing."""
    kind = _SERVER if status >= 500 else _INVALID
    return ErrorResponse(status, _body(message, kind, None, code), dict(headers or {}))


def render_unexpected(request_id: str) -> ErrorResponse:
    """Return the answer to a defect of the server; it has no details but the id of the request."""
    message = f"Something went wrong in the server. Its log says more under request id {request_id}."
    return ErrorResponse(500, _body(message, _SERVER, None, "internal_error"), {"x-should-retry": "false"})


def _body(message: str, kind: str, param: str | None, code: str | None) -> ErrorBody:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
