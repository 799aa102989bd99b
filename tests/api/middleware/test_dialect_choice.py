"""The path and the dialect of a request, as the middleware sets them."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from hearsay.api.middleware.dialect_choice import DialectMiddleware, dialect_of
from hearsay.domain import RequestContext
from tests.support.asgi import called, scope_of
from tests.support.server import Running


def test_trailing_slashes_and_empty_json_bodies(server: Running) -> None:
    headers = {"content-type": "application/json"}
    assert server.http.get("/v1/models", headers=headers).status_code == 200
    assert server.http.get("/v1/models/", headers=headers).status_code == 200


def test_unknown_dialect(server: Running) -> None:
    answer = server.http.get("/v1/models?dialect=klingon")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "dialect")


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("path", "query", "headers", "seen", "dialect"),
    [
        ("/v1/models", b"", {}, "/v1/models", "openai"),
        ("/openai/v1/models/a b", b"", {}, "/v1/models/a b", "groq"),
        ("/v1/v1/models", b"", {"user-agent": "Together/JS 0.52.0"}, "/v1/models", "together"),
        ("/v1/models", b"", {"x-dialect": "groq"}, "/v1/models", "groq"),
        ("/v1/models", b"dialect=groq&dialect=together", {"x-dialect": "openai"}, "/v1/models", "together"),
        ("/health", b"dialect=", {}, "/health", "openai"),
    ],
)
def test_path_and_dialect(
    kind: str, path: str, query: bytes, headers: dict[str, str], seen: str, dialect: str
) -> None:
    found: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    context = RequestContext("req_1")
    scope = scope_of(kind, path, headers=headers, query_string=query, state={"context": context})
    called(DialectMiddleware(app), scope)
    raw = seen if seen == path else seen.replace(" ", "%20")
    assert (found[0]["path"], found[0]["raw_path"]) == (seen, raw.encode())
    assert (dialect_of(found[0]).name, context.trace.dialect) == (dialect, dialect)
    assert scope["path"] == path
