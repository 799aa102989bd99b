"""The server's own part of HTTP: large chunks reach the caller whole, whatever else is in the answer."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.support.server import serving

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
