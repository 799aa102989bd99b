"""One request and its answer on the wire: the body as chunks, the client's disconnect, the answer in pieces.

Knows neither forms nor transcription. Source: the ASGI specification, HTTP and WebSocket message format 2.x.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Send

from hearsay.domain import BytesLike, RequestContext
from hearsay.errors import Cancelled, InvalidRequest, PayloadTooLarge

T = TypeVar("T")


class ClientDisconnected(Cancelled):
    """The client has closed the connection."""


class Exchange:
    """One request and its answer; work done inside `until_disconnect` ends when the client disconnects."""

    def __init__(
        self, context: RequestContext, receive: Receive, send: Send, *, send_timeout: float = 60.0
    ) -> None:
        """Serve one client; one that takes nothing of the answer for `send_timeout` seconds has disconnected.

        A disconnect sets `context.cancelled`.
        """
        self._cancelled = context.cancelled
        self._receive = receive
        self._deliver = send
        self._send_timeout = send_timeout
        self._watch: asyncio.Task[None] | None = None
        """What waits for the disconnect while work is done."""
        self.started = False
        """Whether the status line is out."""
        self.ended = False
        """Whether the whole answer is out."""

    async def body(self) -> AsyncIterator[bytes]:
        """Return the request's body as it arrives. Raises: `ClientDisconnected` before its end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._cancelled.set()
                raise ClientDisconnected
            if body := message.get("body", b""):
                yield body
            if not message.get("more_body", False):
                return

    async def until_disconnect(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` for as long as the client waits for its answer; the body must have been read.

        When the client disconnects, `context.cancelled` is set at once, for threads, and `work` is cancelled
        and awaited. Raises: `ClientDisconnected`.
        """
        task = asyncio.create_task(work)
        watch = self._watch = asyncio.create_task(self._disconnected())
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self._cancelled.is_set():
                raise ClientDisconnected
            return await task
        except Cancelled as error:
            if self._cancelled.is_set():  # A thread may notice before this task does.
                raise ClientDisconnected from error
            raise
        finally:
            self._cancelled.set()
            await end_task(watch)
            await end_task(task)

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.ended:
            self._cancelled.set()

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the status line and headers."""
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, body: BytesLike) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """Send the last piece of the body."""
        self.ended = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send(self, message: Message) -> None:
        alarm = asyncio.get_running_loop().call_later(self._send_timeout, self._give_up)
        try:
            await self._deliver(message)
        finally:
            alarm.cancel()

    def _give_up(self) -> None:
        self._cancelled.set()
        if self._watch is not None:
            self._watch.cancel()


def declared_length(headers: Headers) -> int | None:
    """Return the number of bytes that a body has by its headers; None where they do not say it."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


async def with_idle_timeout(chunks: AsyncIterator[bytes], idle_seconds: float) -> AsyncIterator[bytes]:
    """Pass chunks on. Raises `InvalidRequest` when none comes for so long."""
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            message = f"The body paused for more than {idle_seconds:g} seconds."
            raise InvalidRequest(message, code="request_timeout") from error
        yield chunk


async def collect(
    chunks: AsyncIterator[bytes], *, max_bytes: int, idle_seconds: float, too_large: PayloadTooLarge
) -> bytes:
    """Return a whole body. Raises `too_large` over the limit, before the rest is read."""
    body = bytearray()
    async for chunk in with_idle_timeout(chunks, idle_seconds):
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; a failure of it is not raised again."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
