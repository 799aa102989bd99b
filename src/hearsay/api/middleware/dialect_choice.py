"""Which route and which accent: every spelling of a path becomes one, and the caller's dialect is chosen.

Knows no route.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hearsay.api.middleware.request_trace import trace_of
from hearsay.dialects import Dialect, canonical_path, choose


def dialect_of(scope: Scope) -> Dialect:
    """Return the accent of a request under way."""
    dialect: Dialect = scope["state"]["dialect"]
    return dialect


class DialectMiddleware:
    """Middleware that collapses prefixes and chooses the dialect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `InvalidRequest` for a dialect that we do not speak."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, aliased = canonical_path(scope["path"])
        headers = Headers(scope=scope)
        named = _asked(scope.get("query_string", b"")) or headers.get("x-dialect")
        dialect = choose(aliased=aliased, user_agent=headers.get("user-agent", ""), named=named)
        trace_of(scope).dialect = dialect.name
        scope["state"]["dialect"] = dialect
        if path != scope["path"]:
            scope = dict(scope, path=path, raw_path=quote(path, safe="/%").encode())
        await self._app(scope, receive, send)


def _asked(query: bytes) -> str | None:
    """Return the dialect that a query asks for, if it does."""
    return parse_qs(query.decode("latin-1")).get("dialect", [None])[-1] if query else None
