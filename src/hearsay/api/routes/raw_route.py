"""Routes whose endpoints do everything themselves.

Knows no endpoint. The framework documents such a route and matches its path, and that is all: it reads no
body, solves no dependencies and keeps no stacks of what to close, which would take longer than what a short
answer takes otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class StraightRoute(APIRoute):
    """A route class for `APIRouter`; its endpoints take the request alone and give a response."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `HTTPException` for a method that the path does not take."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response = await cast(Endpoint, self.endpoint)(Request(scope, receive))
        await response(scope, receive, send)
