"""Keys at the door: checked before a byte of the body is read, and only where something is to be guarded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from hearsay.storage.api_keys import KeyFile, Keyring
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
