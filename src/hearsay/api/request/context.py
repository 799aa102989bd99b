"""The context of a request under way: made by the first middleware, completed by authentication.

Knows no route. It is kept in the scope's state, which all middleware and the endpoint share.
"""

from __future__ import annotations

from starlette.types import Scope

from hearsay.domain import RequestContext


def context_of(scope: Scope) -> RequestContext:
    """Return the context of a request."""
    context: RequestContext = scope["state"]["context"]
    return context


def set_context(scope: Scope, context: RequestContext) -> None:
    """Make this the context of a request from here on."""
    scope.setdefault("state", {})["context"] = context
