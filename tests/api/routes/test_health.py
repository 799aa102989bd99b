"""Health and readiness over a real socket."""

from __future__ import annotations

import pytest
from filelock import FileLock

from tests.support.server import Running, Stage, speech


def test_health(server: Running) -> None:
    assert server.http.head("/health").status_code == 200
    assert server.http.get("/health").json()["status"] == "ok"


def test_ready(server: Running) -> None:
    answer = server.http.get("/ready")
    assert (answer.status_code, answer.json()["model"], answer.json()["status"]) == (200, "fake", "ready")
    assert answer.json()["tasks"]["transcribe"] == {"ready": True, "model": "fake", "reason": None}
    server.post(file=speech(1))
    assert server.http.get("/ready").json()["loaded"] == ["fake"]


def test_not_ready(stage: Stage) -> None:
    stage.default = "whisper-large-v3"
    with stage.open() as server:
        answer = server.http.get("/ready")
        assert server.http.get("/health").status_code == 200
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (503, "model_not_installed")
    assert (body["status"], body["model"], body["loaded"]) == ("not_ready", "whisper-large-v3", [])
    command = "`hearsay models pull whisper-large-v3`"
    assert command in body["error"]["message"] and command in body["tasks"]["translate"]["reason"]
    assert body["tasks"]["speak"] == {"ready": True, "model": "fake-voice", "reason": None}


def test_a_task_that_the_default_lacks_is_left_out(stage: Stage) -> None:
    stage.default = "whisper-tiny.en"
    with stage.open() as server:
        assert set(server.http.get("/ready").json()["tasks"]) == {"transcribe", "speak"}


@pytest.mark.parametrize("path", ["transcriptions", "translations"])
@pytest.mark.parametrize("model", ["whisper-1", "whisper-large-v3-turbo", ""])
def test_without_weights_requests_name_what_helps(stage: Stage, path: str, model: str) -> None:
    stage.default = "auto"
    with stage.open() as server:
        answer = server.post(f"/v1/audio/{path}", file=speech(1), data={"model": model})
    error = answer.json()["error"]
    if path == "translations" and "turbo" in model:  # which cannot translate, installed or not
        assert (answer.status_code, error["code"]) == (400, "unsupported_option")
        return
    assert (answer.status_code, error["type"], error["code"]) == (503, "server_error", "model_not_installed")
    assert "`hearsay models pull whisper-" in error["message"]
    assert answer.headers["x-should-retry"] == "false" and "retry-after" not in answer.headers


def test_while_the_model_is_downloaded_it_says_how_far(stage: Stage) -> None:
    stage.default = "whisper-base"
    part = stage.folder / "models" / "Systran--faster-whisper-base.part"
    part.mkdir(parents=True)
    with (part / "model.bin.partial").open("wb") as file:
        file.truncate(50_000_000)
    with FileLock(part.with_name("Systran--faster-whisper-base.lock")), stage.open() as server:
        answer = server.post(file=speech(1))
        ready = server.http.get("/ready")
    for said in (answer, ready):
        assert said.status_code == 503 and said.json()["error"]["code"] == "model_downloading"
        assert "`whisper-base` is being downloaded (34%); try again soon." in said.json()["error"]["message"]
        assert said.headers["retry-after"] == "5" and "x-should-retry" not in said.headers
