"""Refusals of transcription servers → our errors, with the server's own words, and how long to wait for a
better answer.

Knows no particular server. Waiting follows the clients of the public services: `x-should-retry`,
`retry-after-ms`, `retry-after`, else exponential backoff with jitter.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from hearsay.errors import (
    EngineFailed,
    HearsayError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    Unauthorized,
)

_RETRIED = frozenset({408, 409, 429, *range(500, 600)})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_TOO_LONG = re.compile(r"longer than (\d+(?:\.\d+)?) seconds")
_OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


class AudioTooLong(InvalidRequest):
    """The server takes no recording of this length."""

    code = "audio_too_long"

    def __init__(self, message: str, *, limit: float) -> None:
        super().__init__(message, param="file")
        self.limit = limit
        """Seconds that the server says it takes."""


def failure(response: httpx.Response) -> HearsayError:
    """Translate a refusal; the message is the server's."""
    detail = _detail(response)
    message, code, param = _message(detail, response), _text(detail.get("code")), _text(detail.get("param"))
    status = response.status_code
    too_long = _TOO_LONG.search(message)
    if status == 400 and too_long:
        return AudioTooLong(message, limit=float(too_long[1]))
    if status in (401, 403):
        return Unauthorized(f"The server refuses the key ({status}): {message}", code=code)
    if status == 404 and "model" in f"{code} {param} {message}".lower():
        return ModelNotFound(f"The server knows no such model (404): {message}", code=code)
    if status == 404:
        address = response.request.url
        return EngineFailed(
            f"There is no transcription API at {address} (404): {message}", code="unreachable"
        )
    if response.is_redirect:
        place = response.headers.get("location", "elsewhere")
        return EngineFailed(f"The server has moved to {place}; use that address.", code="unreachable")
    if status == 413:
        return PayloadTooLarge(message, code=code)
    if status == 429:
        return Overloaded(f"The server says that it is too much (429): {message}", code=code)
    if 400 <= status < 500:
        return InvalidRequest(f"The server refuses the request ({status}): {message}", param=param, code=code)
    return EngineFailed(f"The server failed ({status}): {message}", code=code)


def pause(response: httpx.Response | None, attempt: int) -> float | None:
    """Return the seconds to wait before try number `attempt + 1`, or None where no other try will help."""
    if response is None:
        return _backoff(attempt)
    advice = response.headers.get("x-should-retry", "").lower()
    worthwhile = response.status_code in _RETRIED if advice not in ("true", "false") else advice == "true"
    if not worthwhile or _detail(response).get("code") in _OUT_OF_MONEY:
        return None
    told = _told(response.headers)
    return _backoff(attempt) if told is None else told


def _backoff(attempt: int) -> float:
    return min(_FIRST_PAUSE * 2.0**attempt, _LONGEST_PAUSE) * random.uniform(0.75, 1.0)


def _told(headers: Mapping[str, str]) -> float | None:
    """Read how long the server asks to wait: milliseconds, seconds or a date."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass  # absent or not a number: the coarser header may be there
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        return _until(text)


def _until(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _detail(response: httpx.Response) -> Mapping[str, Any]:
    """Find the object that describes the error, in the shapes that are about."""
    try:
        body = response.json()
    except ValueError:
        return {}
    if not isinstance(body, Mapping):
        return {}
    error = body.get("error", body)
    return error if isinstance(error, Mapping) else {"message": error}


def _message(detail: Mapping[str, Any], response: httpx.Response) -> str:
    said = detail.get("message") or detail.get("detail") or response.text.strip()[:300]
    return str(said) or f"{response.status_code} {response.reason_phrase}"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
