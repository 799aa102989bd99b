"""Answers that come before the request's body was read: sent at once, and so that they arrive.

Knows nothing of what is answered. Closing a connection with unread bytes makes the kernel reset it, and the
client loses the answer; so the rest of the body is read and thrown away, within bounds, before the connection
is closed. Source: RFC 9112 §9.6.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hearsay.api.middleware import RequestMiddleware


class DrainBodyMiddleware(RequestMiddleware):
    """Middleware that reads what is left of a body after an early answer."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = 64 << 20, max_seconds: float = 10.0) -> None:
        super().__init__(app)
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        is_read = False

        async def receive_noting_end() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = is_read or not message.get("more_body", False)
            return message

        async def send_draining(message: Message) -> None:
            if is_read:
                await send(message)
            elif message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
                await send(message)
            elif message.get("more_body", False):
                await send(message)
            else:
                await send({**message, "more_body": True})
                await self._drain(receive_noting_end)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, receive_noting_end, send_draining)

    async def _drain(self, receive: Receive) -> None:
        n_bytes = 0
        with suppress(TimeoutError):  # A client that goes on sending for so long does not read the answer.
            async with asyncio.timeout(self._max_seconds):
                while n_bytes < self._max_bytes:
                    message = await receive()
                    n_bytes += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
