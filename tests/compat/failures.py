"""What each client makes of an error answer: which exception, and where on it the error's fields end up.

Knows no server. Source: the wire contract on errors; JavaScript classes have the Python names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.compat.clients import Client

GENERATED = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    405: "APIStatusError",
    409: "ConflictError",
    413: "APIStatusError",
    415: "APIStatusError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
}
"""Status → class in the clients that one generator wrote (JavaScript: `APIError` for `APIStatusError`)."""

HAND_WRITTEN = {
    400: "InvalidRequestError",
    401: "AuthenticationError",
    404: "InvalidRequestError",
    405: "APIError",
    413: "APIError",
    415: "InvalidRequestError",
    429: "RateLimitError",
    500: "APIError",
    503: "ServiceUnavailableError",
}
"""Status → class, in the 1.x line of the together package."""


@dataclass(frozen=True)
class Failure:
    """An error as the user of a client sees it; None is what the client does not show."""

    classes: tuple[str, ...]
    status: int | None
    message: str
    type: str | None
    code: str | None
    param: str | None
    request_id: str | None


def expected_class(client: Client, status: int) -> str:
    """Name the exception that a client raises for a status."""
    if client.name == "together-py-1":
        return HAND_WRITTEN[status]
    name = GENERATED[status]
    return "APIError" if client.language == "js" and name == "APIStatusError" else name


def failure(client: Client, outcome: dict[str, Any]) -> Failure:
    """Read a failed outcome of a driver."""
    assert not outcome["ok"], f"{client} succeeded: {outcome}"
    error = outcome["error"]
    body = error_object(client, error)
    return Failure(
        classes=tuple(error["classes"]),
        status=error.get("status_code") or error.get("status") or error.get("http_status"),
        message=body["message"],
        type=body.get("type"),
        code=body.get("code"),
        param=body.get("param"),
        request_id=error.get("request_id"),
    )


def error_object(client: Client, error: dict[str, Any]) -> dict[str, Any]:
    """Find the inner `error` object where each client leaves it."""
    if client.name == "together-py-1":
        _, dash, text = error["message"].partition(" - ")
        assert dash, f"no error object reached the user: {error}"
        found: dict[str, Any] = json.loads(text)
        return found | {"type": found.get("type_", found.get("type"))}
    body = error.get("body")
    assert isinstance(body, dict), f"no error object reached the user: {error}"
    return body if client.vendor == "openai" else dict(body["error"])
