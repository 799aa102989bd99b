"""Who may come in: the key in `Authorization: Bearer`, checked before a byte of the body is read.

Knows neither how keys are stored nor what lies behind the door. Without any key configured the door is
open.
"""

from __future__ import annotations

from typing import Protocol

from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hearsay.api.middleware.request_trace import trace_of
from hearsay.errors import ConfigurationError, HearsayError

PUBLIC_PATHS = frozenset({"/", "/health", "/ready", "/openapi.json", "/docs"})
"""Paths that need no key: they tell nothing about anybody's recordings."""

BEARER = Security(HTTPBearer(auto_error=False, description="Needed where the operator has made keys."))
"""Tells the OpenAPI document about keys; they are checked by `AuthMiddleware`, before any route is chosen."""


class Keys(Protocol):
    """What knows the keys."""

    def check(self, key: str | None) -> str | None:
        """Return the name of a caller's key, None where no key is needed. Raises `Unauthorized`."""
        ...


class AuthMiddleware:
    """Middleware that lets nobody without a key through to the guarded paths."""

    def __init__(self, app: ASGIApp, *, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `Unauthorized`."""
        if scope["type"] == "http" and scope["path"] not in PUBLIC_PATHS:
            trace_of(scope).key = self._check(_bearer(Headers(scope=scope).get("authorization")))
        await self._app(scope, receive, send)

    def _check(self, key: str | None) -> str | None:
        try:
            return self._keys.check(key)
        except ConfigurationError as error:  # It says where on the disk; that is not for strangers.
            raise HearsayError("The keys of the server cannot be read; its log says why.") from error


def _bearer(header: str | None) -> str | None:
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
