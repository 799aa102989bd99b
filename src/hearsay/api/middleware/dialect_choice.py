"""The path and the dialect of a request: every spelling of a path becomes one, and the dialect is chosen.

Knows no route.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from hearsay.api.middleware import RequestMiddleware
from hearsay.api.request.context import context_of
from hearsay.dialects import Dialect, canonical_path, choose


def dialect_of(scope: Scope) -> Dialect:
    """Return the dialect of a request."""
    dialect: Dialect = scope["state"]["dialect"]
    return dialect


class DialectMiddleware(RequestMiddleware):
    """Middleware that collapses prefixes and chooses the dialect."""

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `InvalidRequest` for an unknown dialect."""
        path, aliased = canonical_path(scope["path"])
        headers = Headers(scope=scope)
        named = _queried(scope.get("query_string", b"")) or headers.get("x-dialect")
        dialect = choose(aliased=aliased, user_agent=headers.get("user-agent", ""), named=named)
        context_of(scope).trace.dialect = dialect.name
        scope["state"]["dialect"] = dialect
        if path != scope["path"]:
            scope = dict(scope, path=path, raw_path=quote(path, safe="/%").encode())
        await self._app(scope, receive, send)


def _queried(query: bytes) -> str | None:
    """Return the dialect that a query string names; None where it names none."""
    return parse_qs(query.decode("latin-1")).get("dialect", [None])[-1] if query else None
