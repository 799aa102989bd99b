"""Error responses of transcription servers → `HearsayError`, with the server's message; retry delays.

Knows no particular server. Delays follow the clients of the public services: `x-should-retry`,
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

from hearsay import errors
from hearsay.errors import EngineFailed, HearsayError

_RETRYABLE = frozenset({408, 409, 429, *range(500, 600)})
_FIRST_DELAY, _MAX_DELAY = 0.5, 8.0
_TOO_LONG = re.compile(r"longer than (\d+(?:\.\d+)?) seconds")
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


class AudioTooLong(errors.InvalidRequest):
    """The server takes no recording of this length."""

    code = "audio_too_long"
    param = "file"

    def __init__(self, message: str, *, limit: float) -> None:
        super().__init__(message)
        self.limit = limit
        """Longest recording that the server accepts, seconds."""


def error_from_response(response: httpx.Response) -> HearsayError:
    """Return the error that a response means, with the server's message."""
    detail = _detail(response)
    message, status = _message(detail, response), response.status_code
    code, param = (None if detail.get(name) is None else str(detail[name]) for name in ("code", "param"))
    too_long = _TOO_LONG.search(message)
    if status == 400 and too_long:
        return AudioTooLong(message, limit=float(too_long[1]))
    if status in (401, 403):
        return errors.Unauthorized(f"The server refuses the key ({status}): {message}", code=code)
    if status == 404 and "model" in f"{code} {param} {message}".lower():
        return errors.ModelNotFound(f"The server knows no such model (404): {message}", code=code)
    if status == 404:
        address = response.request.url
        return EngineFailed(
            f"There is no transcription API at {address} (404): {message}", code="unreachable"
        )
    if response.is_redirect:
        location = response.headers.get("location", "elsewhere")
        return EngineFailed(f"The server has moved to {location}; use that address.", code="unreachable")
    if status == 413:
        return errors.PayloadTooLarge(message, code=code)
    if status == 429:
        return errors.Overloaded(f"The server says that it is too much (429): {message}", code=code)
    if 400 <= status < 500:
        return errors.InvalidRequest(
            f"The server refuses the request ({status}): {message}", param=param, code=code
        )
    return EngineFailed(f"The server failed ({status}): {message}", code=code)


def retry_delay(response: httpx.Response | None, attempt: int) -> float | None:
    """Return the seconds to wait before attempt `attempt + 1`, or None where a retry cannot help."""
    if response is None:
        return _backoff(attempt)
    advice = response.headers.get("x-should-retry", "").lower()
    retryable = response.status_code in _RETRYABLE if advice not in ("true", "false") else advice == "true"
    if not retryable or _detail(response).get("code") in _QUOTA_CODES:
        return None
    requested = _requested_delay(response.headers)
    return _backoff(attempt) if requested is None else requested


def _backoff(attempt: int) -> float:
    return min(_FIRST_DELAY * 2.0**attempt, _MAX_DELAY) * random.uniform(0.75, 1.0)


def _requested_delay(headers: Mapping[str, str]) -> float | None:
    """Parse the delay that the server asks for: milliseconds, seconds or a date."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass  # absent or not a number: try the coarser header
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        return _seconds_until(text)


def _seconds_until(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _detail(response: httpx.Response) -> Mapping[str, Any]:
    """Return the object that describes the error, from `{"error": {}}`, `{"error": ""}` or a flat body."""
    try:
        body = response.json()
    except ValueError:
        return {}
    if not isinstance(body, Mapping):
        return {}
    error = body.get("error", body)
    return error if isinstance(error, Mapping) else {"message": error}


def _message(detail: Mapping[str, Any], response: httpx.Response) -> str:
    text = detail.get("message") or detail.get("detail") or response.text.strip()[:300]
    return str(text) or f"{response.status_code} {response.reason_phrase}"
