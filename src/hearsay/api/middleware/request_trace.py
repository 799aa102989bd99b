"""What one request was, how long its stages took, and telling it: headers and one log line.

Knows nothing of what the stages do. Timings are measured once and published everywhere; neither audio nor
text is.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

QUIET = frozenset({"/health", "/ready"})
"""Paths whose requests are logged at debug only."""

CLOSED = 499
"""What the log says for a caller who hung up before an answer began."""

EXPOSED = (
    "x-request-id",
    "x-hearsay-model",
    "x-hearsay-voice",
    "x-hearsay-warning",
    "server-timing",
    "x-should-retry",
    "retry-after",
    "retry-after-ms",
)
"""Headers that browsers may show to scripts, among them those by which the vendors' clients try again."""

_log = structlog.get_logger("hearsay.api")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(slots=True)
class Trace:
    """One request as it is remembered while it is served."""

    id: str
    dialect: str | None = None
    key: str | None = None
    """Name of the caller's key."""
    model: str | None = None
    """Id of the model that really serves."""
    voice: str | None = None
    """Id of the voice that really speaks."""
    audio_seconds: float | None = None
    """Length of the recording that was heard, or of the sound that was made."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds spent in each stage, in order."""
    warnings: list[str] = field(default_factory=list)
    failure: str | None = None
    """Code of the error that the caller was told, also in the middle of a stream."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - begin

    def warn(self, *warnings: str) -> None:
        """Add what the caller should know, each once."""
        self.warnings += [warning for warning in dict.fromkeys(warnings) if warning not in self.warnings]

    def publish(self, headers: MutableHeaders) -> None:
        """Add what is known so far to the headers of an answer."""
        headers["x-request-id"] = self.id
        if self.model is not None:
            headers["x-hearsay-model"] = _printable(self.model)
        if self.voice is not None:
            headers["x-hearsay-voice"] = _printable(self.voice)
        for warning in self.warnings:
            headers.append("x-hearsay-warning", _printable(warning))
        if self.stages:
            timings = (f"{name};dur={seconds * 1000:.1f}" for name, seconds in self.stages.items())
            headers["server-timing"] = ", ".join(timings)


def trace_of(scope: Scope) -> Trace:
    """Return the trace of a request under way."""
    trace: Trace = scope["state"]["trace"]
    return trace


class RequestTraceMiddleware:
    """Middleware that begins a trace, publishes it in headers and logs it at the end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = Trace(f"req_{uuid.uuid4().hex}")
        scope.setdefault("state", {})["trace"] = trace
        path, begin, status = scope["path"], time.perf_counter(), CLOSED

        async def publishing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                trace.publish(MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, receive, publishing)
        finally:
            _record(trace, scope["method"], path, status, time.perf_counter() - begin)


def _record(trace: Trace, method: str, path: str, status: int, wall: float) -> None:
    audio = trace.audio_seconds
    log = _log.debug if path in QUIET else _log.info
    log(
        "request",
        id=trace.id,
        method=method,
        path=_printable(path),
        status=status,
        dialect=trace.dialect,
        key=trace.key,
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
    """Make text fit for a header or a log line: no control characters, and no longer than a line."""
    return _CONTROL.sub(" ", text).encode("latin-1", "replace").decode("latin-1")[:500]
