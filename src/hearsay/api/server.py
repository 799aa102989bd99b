"""The HTTP server: its configuration, its limits on headers, and its answer to what is not HTTP.

Knows no route. Source: the callbacks of httptools' `HttpRequestParser`, which uvicorn's protocol implements.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hearsay.dialects.error_status import render_status
from hearsay.dialects.rendering import encode_json

MAX_HEADER_BYTES = 64 << 10
"""Most bytes of request line and headers together."""

HEADER_SECONDS = 30.0
"""How long request line and headers may take to arrive; then the connection is closed."""


class HttpProtocol(HttpToolsProtocol):
    """The server's HTTP protocol with limits on headers and the error body of this API."""

    _n_header_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        accepted = transport.get_extra_info("socket")
        if accepted is not None and accepted.family in (socket.AF_INET, socket.AF_INET6):
            # asyncio does so only for sockets made with the protocol spelt out. Without it the body of an
            # answer waits until the client acknowledges the head, which clients put off for 40 ms.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count, and to wait for the headers of a further request."""
        self._n_header_bytes = 0
        self._wait_for_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop waiting, and serve the request."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self._count(len(name) + len(value) + len(": \r\n"))
        super().on_header(name, value)

    def _count(self, n_bytes: int) -> None:
        self._n_header_bytes += n_bytes
        if self._n_header_bytes > MAX_HEADER_BYTES:
            raise ValueError("the headers are too long")

    def _wait_for_headers(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, or is not acceptable as such."""
        failure = render_status(
            400, "The request is not valid HTTP, or its headers are too long.", "invalid_http"
        )
        body = encode_json(failure.body)
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def configure(
    app: ASGIApp, *, host: str = "127.0.0.1", port: int = 8000, keepalive: float = 75.0, drain: float = 30.0
) -> uvicorn.Config:
    """Return the server's configuration; the caller configures logging."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HttpProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=round(keepalive),
        timeout_graceful_shutdown=round(drain),
    )
