"""The skeleton of endpoints that work while they answer: admission, upload, disconnect, keepalive, errors.

Knows neither recordings nor speech: an endpoint reads, works and frames. An error before the answer began has
its own status. After that it is the last event of an event stream, or cuts the connection, so that the answer
is not taken for whole. Source: HTML standard, server-sent events.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hearsay.api.middleware.dialect_choice import dialect_of
from hearsay.api.middleware.error_responses import error_response
from hearsay.api.request.context import context_of
from hearsay.api.request.exchange import ClientDisconnected, Exchange, end_task
from hearsay.dialects import Dialect
from hearsay.dialects.sse import frame
from hearsay.domain import RequestContext, Trace
from hearsay.errors import UnsupportedMediaType
from hearsay.scheduling.admission import Admission

T = TypeVar("T")

_EVENT_STREAM = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


class StreamedResponse(Response):
    """A response that does its work while it is sent, so that a disconnect ends both.

    `read` may set the fields that say how the answer looks; those of the request are set before it.
    """

    is_event_stream = False
    keepalive = b""
    """What shows that the work goes on, and changes nothing for the client; empty where nothing does."""

    context: RequestContext
    trace: Trace
    dialect: Dialect
    exchange: Exchange

    def __init__(self, admission: Admission, *, keepalive_seconds: float = 20.0) -> None:
        self.background = None
        self._admission = admission
        self._keepalive_seconds = keepalive_seconds

    @abstractmethod
    async def read(self, headers: Headers, resources: ExitStack) -> None:
        """Read and parse the request; `resources` are closed after the answer."""

    @abstractmethod
    async def work(self) -> None:
        """Do the work and send the whole answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.context, self.dialect = context_of(scope), dialect_of(scope)
        self.trace = self.context.trace
        self.exchange = Exchange(self.context, receive, send)
        headers = Headers(scope=scope)
        with self._admission.request(), ExitStack() as resources:
            with self.trace.stage("upload"):
                if headers.get("content-encoding", "identity").lower() != "identity":
                    raise UnsupportedMediaType("Send the body without a content encoding.")
                await self.read(headers, resources)
            await self.exchange.until_disconnect(self._work())

    async def _work(self) -> None:
        try:
            await self.work()
        except ClientDisconnected:
            raise
        except Exception as error:
            if not (self.is_event_stream and self.exchange.started) or self.exchange.ended:
                raise
            await self.exchange.end(frame(error_response(error, self.context).body))

    async def start(self, *headers: tuple[str, str]) -> None:
        """Send the status line and headers, unless they are out; an event stream has its own."""
        if not self.exchange.started:
            usual = (("content-type", self.media_type or ""), *headers)
            await self.exchange.start(200, _EVENT_STREAM if self.is_event_stream else usual)

    async def with_keepalive(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`; send `keepalive` each time that so many seconds pass without its end.

        Some clients give up after 60 silent seconds.
        """
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({task}, timeout=self._keepalive_seconds))[0]:
                if self.keepalive:
                    await self.start()
                    await self.exchange.write(self.keepalive)
            return await task
        finally:
            await end_task(task)
