"""Error responses: which error each means, with the server's words, and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from hearsay.client.http_errors import AudioTooLong, error_from_response, retry_delay
from hearsay.errors import (
    EngineFailed,
    HearsayError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    Unauthorized,
)

REQUEST = httpx.Request("POST", "http://server.test/v1/audio/transcriptions")


def refused(
    status: int, message: str = "no", *, code: str | None = None, param: str | None = None, **headers: str
) -> httpx.Response:
    body = {"error": {"message": message, "code": code, "param": param}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=named, request=REQUEST)


@pytest.mark.parametrize(
    ("response", "kind", "said"),
    [
        (refused(401, "bad key"), Unauthorized, r"refuses the key \(401\): bad key"),
        (refused(403, "not yours"), Unauthorized, r"refuses the key \(403\): not yours"),
        (refused(404, "no model x", code="model_not_found"), ModelNotFound, "no model x"),
        (refused(404, "unknown", param="model"), ModelNotFound, "unknown"),
        (refused(404, "Not Found"), EngineFailed, r"no transcription API at http://server\.test/v1/audio"),
        (refused(413, "too large"), PayloadTooLarge, "too large"),
        (refused(429, "slow down"), Overloaded, r"too much \(429\): slow down"),
        (refused(400, "bad file"), InvalidRequest, r"refuses the request \(400\): bad file"),
        (refused(422, "bad field"), InvalidRequest, r"refuses the request \(422\): bad field"),
        (refused(500, "broken"), EngineFailed, r"The server failed \(500\): broken"),
        (refused(503, "restarting"), EngineFailed, r"The server failed \(503\): restarting"),
    ],
)
def test_a_status_is_an_error_with_the_servers_words(
    response: httpx.Response, kind: type[HearsayError], said: str
) -> None:
    error = error_from_response(response)
    assert type(error) is kind
    with pytest.raises(kind, match=said):
        raise error


def test_code_and_param_are_the_servers() -> None:
    error = error_from_response(refused(400, "odd", code="odd_value", param="language"))
    assert (error.code, error.param) == ("odd_value", "language")


@pytest.mark.parametrize(("said", "limit"), [("8 seconds", 8.0), ("1500.5 seconds", 1500.5)])
def test_a_recording_that_is_too_long_tells_the_limit(said: str, limit: float) -> None:
    error = error_from_response(refused(400, f"audio duration 9000 seconds is longer than {said}"))
    assert isinstance(error, AudioTooLong)
    assert error.limit == limit
    assert (error.code, error.param) == ("audio_too_long", "file")


def test_a_redirect_names_the_new_address() -> None:
    moved = httpx.Response(308, headers={"location": "https://s.test/v1"}, request=REQUEST)
    error = error_from_response(moved)
    assert isinstance(error, EngineFailed)
    assert "moved to https://s.test/v1" in error.message
    assert error.code == "unreachable"


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(400, json={"error": "in one string"}, request=REQUEST), "in one string"),
        (httpx.Response(400, json={"message": "flat"}, request=REQUEST), "flat"),
        (httpx.Response(400, json={"detail": "field required"}, request=REQUEST), "field required"),
        (httpx.Response(400, json=["odd"], request=REQUEST), '["odd"]'),
        (httpx.Response(400, text="<html>Bad Gateway", request=REQUEST), "<html>Bad Gateway"),
        (httpx.Response(400, text="x" * 1000, request=REQUEST), "x" * 300),
        (httpx.Response(400, request=REQUEST), "400 Bad Request"),
    ],
)
def test_a_message_is_found_in_any_body(response: httpx.Response, said: str) -> None:
    assert error_from_response(response).message == f"The server refuses the request (400): {said}"


def test_pause_reads_dates() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    wait = retry_delay(refused(429, "x", retry_after=soon), 0)
    assert wait is not None and 15 < wait <= 20
    odd = retry_delay(refused(429, "x", retry_after="soon"), 0)
    assert odd is not None and odd <= 0.5


def test_a_date_that_has_passed_is_no_wait() -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=20), usegmt=True)
    assert retry_delay(refused(429, retry_after=past), 0) == 0.0
    assert retry_delay(refused(429, retry_after="-3"), 0) == 0.0


def test_milliseconds_are_preferred_to_seconds() -> None:
    assert retry_delay(refused(429, retry_after_ms="1500", retry_after="9"), 0) == 1.5
    assert retry_delay(refused(429, retry_after_ms="soon", retry_after="9"), 0) == 9.0


@pytest.mark.parametrize(
    ("status", "advice", "is_retried"),
    [
        (408, None, True),
        (409, None, True),
        (429, None, True),
        (500, None, True),
        (599, None, True),
        (400, None, False),
        (401, None, False),
        (404, None, False),
        (500, "false", False),
        (400, "true", True),
        (500, "perhaps", True),
    ],
)
def test_what_is_worth_another_attempt(status: int, advice: str | None, is_retried: bool) -> None:
    headers = {"x_should_retry": advice} if advice else {}
    assert (retry_delay(refused(status, **headers), 0) is not None) is is_retried


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_waiting_brings_no_money(code: str) -> None:
    assert retry_delay(refused(429, code=code, retry_after="1"), 0) is None


@pytest.mark.parametrize(("attempt", "most"), [(0, 0.5), (1, 1.0), (3, 4.0), (4, 8.0), (50, 8.0)])
def test_delays_double_up_to_a_limit(attempt: int, most: float) -> None:
    for response in (None, refused(500)):
        delay = retry_delay(response, attempt)
        assert delay is not None
        assert 0.75 * most <= delay <= most
