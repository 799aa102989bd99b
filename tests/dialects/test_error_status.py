"""Errors as vendors' clients read them: status, headers, body."""

from __future__ import annotations

import pytest

from hearsay import errors
from hearsay.dialects.error_status import STATUS, render_error, render_status, render_unexpected
from hearsay.dialects.schemas import (
    ErrorBody,
)
from hearsay.errors import HearsayError
from tests.support.bodies import fits

ERRORS = [
    (errors.InvalidRequest(), 400),
    (errors.InvalidAudio(), 400),
    (errors.AudioTooShort(), 400),
    (errors.UnsupportedOption(), 400),
    (errors.FetchFailed(), 400),
    (errors.PayloadTooLarge(), 413),
    (errors.UnsupportedMediaType(), 415),
    (errors.Unauthorized(), 401),
    (errors.ModelNotFound(), 404),
    (errors.ModelNotInstalled(), 503),
    (errors.ModelDownloading(), 503),
    (errors.DownloadFailed(), 503),
    (errors.StorageFailed(), 503),
    (errors.Overloaded(), 429),
    (errors.EngineFailed(), 500),
    (errors.Cancelled(), 503),
    (errors.ConfigurationError(), 500),
    (errors.HearsayError(), 500),
]


def test_every_class_of_errors_is_listed() -> None:
    def below(cls: type[HearsayError]) -> set[type[HearsayError]]:
        found = {cls}.union(*(below(sub) for sub in cls.__subclasses__()))
        return {sub for sub in found if sub.__module__ == "hearsay.errors"}

    assert below(HearsayError) == {type(error) for error, _ in ERRORS}
    assert set(STATUS) <= below(HearsayError)


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors(error: HearsayError, status: int) -> None:
    failure = render_error(error)
    assert failure.status == status
    assert fits(ErrorBody, failure.body)
    assert failure.body["error"]["code"] == error.code
    permanent = failure.headers.get("x-should-retry") == "false"
    # Clients try 408, 409, 429 and everything from 500 up again; only what passes by itself shall be.
    assert permanent == (status >= 500 and error.retry_after is None)


def test_a_subclass_has_the_status_of_its_parent() -> None:
    class Odd(errors.PayloadTooLarge):
        """Odd."""

    assert render_error(Odd()).status == 413


@pytest.mark.parametrize(
    ("wait", "seconds", "ms"), [(1.0, "1", "1000"), (0.2, "1", "200"), (0.0, "1", "1"), (7.4, "8", "7400")]
)
def test_overload_says_when_to_come_back(wait: float, seconds: str, ms: str) -> None:
    headers = render_error(errors.Overloaded(retry_after=wait)).headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == (seconds, ms)
    assert "x-should-retry" not in headers


def test_unauthorized_says_how() -> None:
    assert render_error(errors.Unauthorized()).headers["www-authenticate"].startswith("Bearer")


def test_other_failures() -> None:
    assert fits(ErrorBody, render_status(404, "Nothing.", "not_found").body)
    assert render_status(404, "Nothing.", "not_found").body["error"]["type"] == "invalid_request_error"
    unexpected = render_unexpected("req_1")
    assert fits(ErrorBody, unexpected.body)
    assert (unexpected.status, unexpected.headers) == (500, {"x-should-retry": "false"})
