"""The context of a request and what is published of it: headers, and one log line."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from hearsay.api.middleware.request_trace import RequestTraceMiddleware, publish
from hearsay.api.request.context import context_of
from hearsay.domain import Priority, RequestContext, Trace
from tests.support.asgi import called, scope_of


def served(scope: Scope, *messages: Message) -> tuple[list[Message], dict[str, Any]]:
    """Serve one request by sending `messages`; return what goes out, and the log line."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).trace.warn("Odd.")
        for message in messages:
            await send(message)

    with structlog.testing.capture_logs() as logs:
        sent = called(RequestTraceMiddleware(app), scope)
    [log] = logs
    return sent, dict(log)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_context_for_each_request(kind: str) -> None:
    first, second = scope_of(kind), scope_of(kind)
    served(first)
    served(second)
    contexts = [context_of(first), context_of(second)]
    assert contexts[0].id != contexts[1].id and all(each.id.startswith("req_") for each in contexts)
    assert all(
        (each.key, each.priority, each.deadline) == (None, Priority.INTERACTIVE, None) for each in contexts
    )
    assert contexts[0].trace is not contexts[1].trace
    assert contexts[0].cancelled is not contexts[1].cancelled


@pytest.mark.parametrize(
    ("kind", "message", "status"),
    [
        ("http", {"type": "http.response.start", "status": 404, "headers": []}, 404),
        ("websocket", {"type": "websocket.http.response.start", "status": 401, "headers": []}, 401),
        ("websocket", {"type": "websocket.accept"}, 101),
    ],
)
def test_headers_and_the_log_line(kind: str, message: Message, status: int) -> None:
    scope = scope_of(kind, "/a\nb")
    [sent], log = served(scope, message)
    assert sent["headers"] == [
        (b"x-request-id", context_of(scope).id.encode()),
        (b"x-hearsay-warning", b"Odd."),
    ]
    assert (log["status"], log["path"], log["id"]) == (status, "/a b", context_of(scope).id)
    assert log["method"] == ("POST" if kind == "http" else "GET")
    assert log["log_level"] == "info"


def test_what_was_never_answered_and_what_was_refused() -> None:
    assert served(scope_of())[1]["status"] == 499
    close = {"type": "websocket.close", "code": 1008}
    assert served(scope_of("websocket"), close)[1]["status"] == 403
    assert served(scope_of("websocket"), {"type": "websocket.accept"}, close)[1]["status"] == 101


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_are_logged_at_debug_only(path: str) -> None:
    assert served(scope_of("http", path))[1]["log_level"] == "debug"


def test_published_headers_are_printable_and_in_order() -> None:
    trace = Trace(model="m\r\nx: y", voice="ä✓", stages={"upload": 0.0012, "load": 1.0})
    trace.warn("One.", "One.", "x" * 600)
    headers = MutableHeaders()
    publish(RequestContext("req_1", trace=trace), headers)
    assert headers.items() == [
        ("x-request-id", "req_1"),
        ("x-hearsay-model", "m x: y"),
        ("x-hearsay-voice", "ä?"),
        ("x-hearsay-warning", "One."),
        ("x-hearsay-warning", "x" * 500),
        ("server-timing", "upload;dur=1.2, load;dur=1000.0"),
    ]
