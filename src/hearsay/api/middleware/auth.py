"""Authentication: the key in `Authorization: Bearer`, checked before a byte of the body is read.

Knows neither how keys are stored nor which routes there are. It fails closed: what is not listed as public
needs a key. Without any key configured every request passes.
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hearsay.api.middleware import RequestMiddleware
from hearsay.api.request.context import context_of, set_context
from hearsay.errors import ConfigurationError, HearsayError
from hearsay.storage.api_keys import Keyring

PUBLIC_PATHS = frozenset({"/", "/health", "/ready", "/openapi.json", "/docs"})
"""Paths that need no key over HTTP: nothing there depends on a recording or a client."""

BEARER = Security(HTTPBearer(auto_error=False, description="Needed where the operator has made keys."))
"""Puts keys into the OpenAPI document; they are checked by `AuthMiddleware`, before a route is chosen."""


class AuthMiddleware(RequestMiddleware):
    """Middleware that refuses requests without a valid key and notes the name of the key."""

    def __init__(self, app: ASGIApp, *, keys: Keyring) -> None:
        super().__init__(app)
        self._keys = keys

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises `Unauthorized`."""
        if scope["type"] != "http" or scope["path"] not in PUBLIC_PATHS:
            name = self._check(_bearer(Headers(scope=scope).get("authorization")))
            set_context(scope, replace(context_of(scope), key=name))
        await self._app(scope, receive, send)

    def _check(self, key: str | None) -> str | None:
        try:
            return self._keys.check(key)
        except ConfigurationError as error:  # Its message has a path on the disk, which is not for clients.
            raise HearsayError("The keys of the server cannot be read; its log says why.") from error


def _bearer(header: str | None) -> str | None:
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
