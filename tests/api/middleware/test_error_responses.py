"""Errors: what the router refuses, what breaks, and when it is too late for a status."""

from __future__ import annotations

import errno
import json

import pytest
import structlog
from starlette.types import Receive, Scope, Send

from hearsay.api.middleware.error_responses import ErrorMiddleware, ResponseAlreadyStarted, error_response
from hearsay.api.request.exchange import ClientDisconnected
from hearsay.domain import RequestContext
from hearsay.errors import InvalidRequest
from tests.support.asgi import called, scope_of
from tests.support.server import Running


def test_unknown_paths(server: Running) -> None:
    for path in ("/nowhere", "/v1", "/v1/", "/v1/audio", "/openai", "/v1/audio/speeches", "/%ff"):
        answer = server.http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/audio/transcriptions", "POST"),
        ("PUT", "/v1/audio/translations", "POST"),
        ("GET", "/v1/audio/speech", "POST"),
        ("POST", "/v1/voices", "GET"),
        ("PUT", "/v1/audio/voices", "GET, POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/fake", "GET"),
        ("OPTIONS", "/v1/models", "GET"),
        ("TRACE", "/health", "GET"),
        ("PATCH", "/", "GET"),
    ],
)
def test_wrong_methods(server: Running, method: str, path: str, allow: str) -> None:
    answer = server.http.request(method, path, content=b"{}" if method in ("PUT", "POST", "PATCH") else None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allow


def raising(error: Exception, *, start: str | None = None) -> ErrorMiddleware:
    """Return the middleware around an app that fails, after it began with a message of type `start`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if start is not None:
            await send({"type": start, "status": 200, "headers": []})
        raise error

    return ErrorMiddleware(app)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_error_before_the_answer_has_a_status(kind: str) -> None:
    context = RequestContext("req_1")
    scope = scope_of(kind, state={"context": context}, extensions={"websocket.http.response": {}})
    start, body = called(raising(InvalidRequest("No.", param="model")), scope)
    assert start["status"] == 400
    assert json.loads(body["body"])["error"]["param"] == "model"
    assert context.trace.failure == "invalid_request"


@pytest.mark.parametrize(
    ("kind", "start"), [("http", "http.response.start"), ("websocket", "websocket.accept")]
)
def test_an_error_after_the_beginning_cuts_the_connection(kind: str, start: str) -> None:
    context = RequestContext("req_1")
    with pytest.raises(ResponseAlreadyStarted):
        called(raising(InvalidRequest(), start=start), scope_of(kind, state={"context": context}))
    assert context.trace.failure == "invalid_request"


def test_a_disconnect_is_noted_and_not_answered() -> None:
    context = RequestContext("req_1")
    assert called(raising(ClientDisconnected()), scope_of(state={"context": context})) == []
    assert context.trace.failure == "hung_up"


def test_defects_are_logged_and_a_full_disk_is_overload() -> None:
    context = RequestContext("req_1")
    with structlog.testing.capture_logs() as logs:
        defect = error_response(ZeroDivisionError("secret"), context)
        full = error_response(OSError(errno.ENOSPC, "No space left on device"), context)
    assert (defect.status, full.status, full.headers["retry-after"]) == (500, 429, "10")
    assert "secret" not in str(defect.body)
    assert [(log["event"], log["id"]) for log in logs] == [("request broke", "req_1"), ("no room", "req_1")]
    assert "ZeroDivisionError" in logs[0]["traceback"]
