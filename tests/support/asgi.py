"""ASGI without a socket: a scope, and an app called with it.

Knows no app.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Scope


def scope_of(
    kind: str = "http", path: str = "/", *, headers: Mapping[str, str] | None = None, **changes: Any
) -> Scope:
    """Return the scope of one request, as a server makes it."""
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http" if kind == "http" else "ws",
        "state": {},
    }
    if kind == "http":
        scope["method"] = "POST"
    return scope | changes


def called(app: ASGIApp, scope: Scope, received: Iterable[Message] = ()) -> list[Message]:
    """Call an app; after the messages in `received` nothing more comes. Return what it sends."""
    waiting, sent = list(received), list[Message]()

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def call() -> None:
        await app(scope, receive, send)

    asyncio.run(call())
    return sent


def body_message(body: bytes, *, more: bool = False) -> Message:
    """Return the message that brings a part of a request's body."""
    return {"type": "http.request", "body": body, "more_body": more}
