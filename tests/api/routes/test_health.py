"""Health and readiness over a real socket."""

from __future__ import annotations

from tests.support.server import Running, Stage, speech


def test_health(server: Running) -> None:
    assert server.http.head("/health").status_code == 200
    assert server.http.get("/health").json()["status"] == "ok"


def test_ready(server: Running) -> None:
    answer = server.http.get("/ready")
    assert (answer.status_code, answer.json()["model"]) == (200, "fake")
    server.post(file=speech(1))
    assert server.http.get("/ready").json()["loaded"] == ["fake"]


def test_not_ready(stage: Stage) -> None:
    stage.default = "whisper-large-v3"
    with stage.open() as server:
        answer = server.http.get("/ready")
        assert server.http.get("/health").status_code == 200
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_not_installed")
