"""One request and its answer on the wire: the body as chunks, the caller hanging up, answers that take long.

Knows neither forms nor transcription. Source: the ASGI specification, HTTP and WebSocket message format
2.x.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from starlette.types import Message, Receive, Send

from hearsay.domain import BytesLike
from hearsay.errors import Cancelled

T = TypeVar("T")


class ClientDisconnected(Cancelled):
    """The caller hung up."""


class Exchange:
    """One request and its answer; work done inside `until_disconnect` ends when the caller hangs up."""

    def __init__(self, receive: Receive, send: Send, *, patience: float = 60.0) -> None:
        """Serve a caller; one who takes nothing of the answer for `patience` seconds counts as gone."""
        self._receive = receive
        self._deliver = send
        self._patience = patience
        self._gone = threading.Event()
        self._watch: asyncio.Task[None] | None = None
        """What notices that the caller hangs up, while somebody works for him."""
        self.started = False
        """Whether the status line is out."""
        self.ended = False
        """Whether the whole answer is out."""

    async def body(self) -> AsyncIterator[bytes]:
        """Return the request's body as it arrives. Raises: `ClientDisconnected` before its end."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone.set()
                raise ClientDisconnected
            if body := message.get("body", b""):
                yield body
            if not message.get("more_body", False):
                return

    def gone(self) -> bool:
        """Return whether the caller has hung up; safe to ask from any thread."""
        return self._gone.is_set()

    async def until_disconnect(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` for as long as the caller waits for its answer; the body must have been read.

        When the caller hangs up, `gone` turns true at once, for threads, and `work` is cancelled and awaited.
        Raises: `ClientDisconnected`.
        """
        task = asyncio.create_task(work)
        watch = self._watch = asyncio.create_task(self._disconnected())
        try:
            await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self.gone():
                raise ClientDisconnected
            return await task
        except Cancelled as error:
            if self.gone():  # A thread may notice before this task does.
                raise ClientDisconnected from error
            raise
        finally:
            self._gone.set()
            await _end(watch)
            await _end(task)

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.ended:
            self._gone.set()

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
        """Send a message; a client that reads nothing for too long counts as disconnected."""
        alarm = asyncio.get_running_loop().call_later(self._patience, self._give_up)
        try:
            await self._deliver(message)
        finally:
            alarm.cancel()

    def _give_up(self) -> None:
        self._gone.set()
        if self._watch is not None:
            self._watch.cancel()


async def with_keepalive(
    work: Coroutine[Any, Any, T], *, beat: Callable[[], Awaitable[None]], every: float
) -> T:
    """Await `work`, calling `beat` each time so many seconds pass without its end."""
    task = asyncio.create_task(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=every)
            if done:
                return await task
            await beat()
    finally:
        await _end(task)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; its failure was seen by whoever awaited it, or is moot."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
