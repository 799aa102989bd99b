"""Authentication: checked before a byte of the body is read, on every path and scope that is not public."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from starlette.types import Message, Receive, Scope, Send

from hearsay.api.middleware.auth import PUBLIC_PATHS, AuthMiddleware
from hearsay.domain import RequestContext
from hearsay.errors import Unauthorized
from hearsay.storage.api_keys import KeyFile, Keyring
from tests.support.asgi import called, scope_of
from tests.support.server import Running, Stage, speech

KEY = "sk-right"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Stage(tmp_path_factory.mktemp("locked"), keys=Keyring(fixed=[KEY])).open() as running:
        yield running


@pytest.fixture
def guarded(stage: Stage) -> Stage:
    stage.keys = Keyring(fixed=[KEY])
    return stage


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer  x y",
        "Bearer wrong",
        "Basic c2s=",
        KEY,
        f"Basic {KEY}",
        "Bearer ü",
        "Bearer sk-right x",
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/models", "/openai/v1/models", "/v1/v1/models/fake", "/nowhere", "/v1/audio/transcriptions"]
)
def test_no_way_in(locked: Running, header: str | None, path: str) -> None:
    headers = {} if header is None else {b"authorization": header.encode("utf-8")}
    answer = locked.http.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY}"])
def test_the_right_key(locked: Running, header: str) -> None:
    assert locked.http.get("/v1/models", headers={"authorization": header}).status_code == 200
    assert locked.post(file=speech(1), headers={"authorization": header}).status_code == 200


def test_what_is_open_to_all(guarded: Stage) -> None:
    with guarded.open() as server:
        for path in ("/", "/health", "/ready", "/docs", "/openapi.json"):
            assert server.http.get(path).status_code == 200, path
        assert server.http.get("/v1/../v1/models").status_code == 401


def test_keys_of_a_file(stage: Stage, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    stage.keys = Keyring(file)
    with stage.open() as server:
        assert server.http.get("/v1/models").status_code == 200
        key, _ = file.add("laptop")
        assert server.http.get("/v1/models").status_code == 401
        assert server.http.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200


def test_a_damaged_file_lets_nobody_in_and_tells_nothing(stage: Stage, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    key, _ = file.add("laptop")
    stage.keys = Keyring(file)
    with stage.open() as server, structlog.testing.capture_logs() as logs:
        file.path.write_text("{")
        answer = server.http.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 500
    assert str(tmp_path) not in answer.text
    assert str(file.path) in next(log["traceback"] for log in logs if log["event"] == "request failed")


def test_the_answer_comes_before_the_body(guarded: Stage) -> None:
    """The head alone is sent, of a body that never comes: the answer is there all the same."""
    with guarded.open() as server:
        answer = server.answer_to_a_head()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 401 ")
    assert "connection: close" in head
    assert "invalid_api_key" in body
    assert guarded.spooled() == []


def test_a_large_upload_without_a_key_gets_its_answer(guarded: Stage) -> None:
    with guarded.open() as server:
        assert server.post(file=b"x" * (20 << 20)).status_code == 401


# WebSockets, and what is neither


class Reached(Exception):
    """The app inside was called."""


async def unreachable(scope: Scope, receive: Receive, send: Send) -> None:
    raise Reached


def handshake(server: Running, path: str, key: str | None) -> bytes:
    """Ask for a WebSocket over a socket, and return the head of the answer."""
    host, port = server.http.base_url.host, server.http.base_url.port
    with socket.create_connection((host, port or 80), timeout=30) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n".encode()
            + (f"authorization: Bearer {key}\r\n" if key else "").encode()
            + b"\r\n"
        )
        answer = b""
        while b"\r\n\r\n" not in answer and (received := connection.recv(65536)):
            answer += received
    return answer


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/audio/transcriptions", "/nowhere"])
def test_a_websocket_handshake_needs_a_key(locked: Running, path: str) -> None:
    for key in (None, "wrong"):
        assert handshake(locked, path, key).split(b" ")[1] in (b"401", b"403")
    assert handshake(locked, path, KEY).split(b" ")[1] in (b"404", b"405")


@pytest.mark.parametrize("kind", ["websocket", "webtransport", ""])
@pytest.mark.parametrize("path", ["/v1/realtime", *sorted(PUBLIC_PATHS)])
def test_only_http_has_public_paths(kind: str, path: str) -> None:
    app = AuthMiddleware(unreachable, keys=Keyring(fixed=[KEY]))
    with pytest.raises((Unauthorized, ValueError)):
        called(app, scope_of(kind, path, state={"context": RequestContext("req_1")}))


def test_the_context_has_the_name_of_the_key() -> None:
    context = RequestContext("req_1")
    scope = scope_of("websocket", headers={"authorization": f"Bearer {KEY}"}, state={"context": context})
    with pytest.raises(Reached):
        called(AuthMiddleware(unreachable, keys=Keyring(fixed=[KEY])), scope)
    found: RequestContext = scope["state"]["context"]
    assert (found.id, found.key) == ("req_1", "environment")
    assert found.trace is context.trace
    assert found.cancelled is context.cancelled


CONNECT: Message = {"type": "websocket.connect"}


def test_a_websocket_without_a_key_is_closed_before_it_is_accepted(guarded: Stage) -> None:
    sent = called(guarded.app(), scope_of("websocket", "/v1/realtime"), [CONNECT])
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_websocket_without_a_key_gets_the_error_body_where_the_server_can_send_it(guarded: Stage) -> None:
    scope = scope_of("websocket", "/v1/realtime", extensions={"websocket.http.response": {}})
    start, body = called(guarded.app(), scope, [CONNECT])
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"x-request-id"].startswith(b"req_")
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"])["error"]["code"] == "invalid_api_key"


def test_a_websocket_with_a_key_reaches_the_router(guarded: Stage) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    with structlog.testing.capture_logs() as logs:
        sent = called(guarded.app(), scope_of("websocket", "/v1/realtime", headers=headers), [CONNECT])
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert sent[0]["code"] != 1008
    [log] = [log for log in logs if log["event"] == "request"]
    assert (log["key"], log["status"], log["failure"]) == ("environment", 403, None)


def test_an_unknown_scope_is_refused(guarded: Stage) -> None:
    with pytest.raises(ValueError, match="webtransport"):
        called(guarded.app(), scope_of("webtransport", "/"))
