"""The context of a request, made here, and its trace, published in headers and one log line.

Knows nothing of what the stages do. Timings are measured once and published everywhere; neither audio nor
text is.
"""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from hearsay.api.middleware import RequestMiddleware
from hearsay.api.request.context import context_of, set_context
from hearsay.domain import RequestContext

QUIET = frozenset({"/health", "/ready"})
"""Paths whose requests are logged at debug only."""

CLOSED = 499
"""The status in the log where the client disconnected before an answer began."""

_SWITCHED, _REFUSED = 101, 403
"""The statuses of a WebSocket that is accepted, or closed before that."""

EXPOSED = tuple(
    """
    x-request-id x-hearsay-model x-hearsay-voice x-hearsay-warning server-timing x-should-retry
    retry-after retry-after-ms
    """.split()  # noqa: SIM905
)
"""Headers that browsers may show to scripts, among them those by which the vendors' clients try again."""

_log = structlog.get_logger("hearsay.api")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class RequestTraceMiddleware(RequestMiddleware):
    """Middleware that makes the context of a request, publishes its trace and logs it at the end."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        set_context(scope, RequestContext(f"req_{uuid.uuid4().hex}"))
        path, begin, status = scope["path"], time.perf_counter(), CLOSED

        async def send_published(message: Message) -> None:
            nonlocal status
            if message["type"].endswith(("response.start", ".accept")):
                status = message.get("status", _SWITCHED)
                message.setdefault("headers", [])
                publish(context_of(scope), MutableHeaders(scope=message))
            elif message["type"] == "websocket.close" and status == CLOSED:
                status = _REFUSED
            await send(message)

        try:
            await self._app(scope, receive, send_published)
        finally:
            wall = time.perf_counter() - begin
            _record(context_of(scope), scope.get("method", "GET"), path, status, wall)


def publish(context: RequestContext, headers: MutableHeaders) -> None:
    """Add what is known of a request so far to the headers of its answer."""
    trace = context.trace
    headers["x-request-id"] = context.id
    if trace.model is not None:
        headers["x-hearsay-model"] = _printable(trace.model)
    if trace.voice is not None:
        headers["x-hearsay-voice"] = _printable(trace.voice)
    for warning in trace.warnings:
        headers.append("x-hearsay-warning", _printable(warning))
    if trace.stages:
        timings = (f"{name};dur={seconds * 1000:.1f}" for name, seconds in trace.stages.items())
        headers["server-timing"] = ", ".join(timings)


def _record(context: RequestContext, method: str, path: str, status: int, wall: float) -> None:
    trace, audio = context.trace, context.trace.audio_seconds
    log = _log.debug if path in QUIET else _log.info
    log(
        "request",
        id=context.id,
        method=method,
        path=_printable(path),
        status=status,
        dialect=trace.dialect,
        key=context.key,
        model=trace.model,
        voice=trace.voice,
        audio_seconds=None if audio is None else round(audio, 3),
        wall_ms=round(wall * 1000, 1),
        rtfx=None if audio is None or status != 200 else round(audio / wall, 2),
        stages_ms={name: round(seconds * 1000, 1) for name, seconds in trace.stages.items()},
        warnings=trace.warnings,
        failure=trace.failure,
    )


def _printable(text: str) -> str:
    """Return text fit for a header or a log line: no control characters, and no longer than a line."""
    return _CONTROL.sub(" ", text).encode("latin-1", "replace").decode("latin-1")[:500]
