"""ASGI middleware, outermost first: trace, drained body, errors, dialect, authentication.

Knows no route. Every HTTP request and every WebSocket goes through all of it; any other kind of scope, but
the server's own `lifespan`, is refused before anything sees it. Source: the ASGI specification 3.0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from starlette.types import ASGIApp, Receive, Scope, Send


class RequestMiddleware(ABC):
    """Middleware that sees requests only, of both kinds: `http` and `websocket`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope. Raises ValueError for a kind that is not known."""
        match scope["type"]:
            case "http" | "websocket":
                await self.serve(scope, receive, send)
            case "lifespan":
                await self._app(scope, receive, send)
            case other:
                raise ValueError(f"ASGI scopes of type {other!r} are not served")

    @abstractmethod
    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
