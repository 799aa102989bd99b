"""The server's own part of HTTP: large chunks reach the caller whole, whatever else is in the answer."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from hearsay.api.server import HttpProtocol
from tests.support.server import Running, Stage, serving

LARGE_BYTES = 64 << 10
SIZES = (1, LARGE_BYTES - 1, LARGE_BYTES, 3 * LARGE_BYTES + 5, 0, 7, 3_000_000)


def block(number: int, size: int) -> bytes:
    return bytes([number + 1]) * size


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with blocks of `SIZES`; the path says how."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    blocks: list[Any] = [block(number, size) for number, size in enumerate(SIZES)]
    headers = []
    if scope["path"] == "/known":
        headers = [(b"content-length", str(sum(SIZES)).encode())]
    if scope["path"] == "/views":
        blocks = [memoryview(each) for each in blocks]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for each in blocks:
        await send({"type": "http.response.body", "body": each, "more_body": True})
    last = block(100, 2 * LARGE_BYTES) if scope["path"] == "/large" else b""
    await send({"type": "http.response.body", "body": last, "more_body": False})


@pytest.mark.parametrize("path", ["/chunks", "/views", "/known", "/large"])
def test_large_blocks_arrive_as_they_were_sent(path: str) -> None:
    sent = b"".join(block(number, size) for number, size in enumerate(SIZES))
    if path == "/large":
        sent += block(100, 2 * LARGE_BYTES)
    with serving(app) as url, httpx.Client(base_url=url, trust_env=False) as http:
        for _ in range(2):  # on one connection
            assert http.get(path).content == sent
        assert http.head("/chunks").content == b""


def test_a_caller_who_leaves_in_the_middle_of_a_block_leaves_the_others() -> None:
    with serving(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(b"GET /chunks HTTP/1.1\r\nhost: x\r\n\r\n")
            caller.recv(1000)
        assert len(httpx.get(f"{url}/chunks", trust_env=False).content) == sum(SIZES)


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http(server: Running, request_: bytes) -> None:
    host, port = server.http.base_url.host, server.http.base_url.port
    assert port is not None
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(request_)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    assert b'"code":"invalid_http"' in body


def test_headers_that_never_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearsay.api.server.HEADER_SECONDS", 0.05)
    with stage.open() as server:
        host, port = server.http.base_url.host, server.http.base_url.port
        assert port is not None
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx: ")
            assert connection.recv(65536) == b""


def test_bodies_do_not_wait_for_heads_to_be_acknowledged(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: list[int] = []
    made = HttpProtocol.connection_made

    def watching(self: HttpProtocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        accepted = transport.get_extra_info("socket")
        options.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(HttpProtocol, "connection_made", watching)
    with stage.open() as server:
        server.http.get("/health")
    assert options == [1]
