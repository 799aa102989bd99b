"""Models, health, readiness, pages, CORS and what the router says, over a real socket."""

from __future__ import annotations

import pytest

from tests.support.server import Running

TOGETHER = {"user-agent": "Together/v1 PythonBindings/1.6.0"}


def test_models(server: Running) -> None:
    body = server.http.get("/v1/models").json()
    assert body["object"] == "list"
    models = {model["id"]: model for model in body["data"]}
    assert models["fake"]["installed"] and models["fake"]["default"]
    assert "whisper-1" in models["fake"]["aliases"]
    assert not models["whisper-large-v3"]["installed"]
    assert "openai/whisper-large-v3" in models["whisper-large-v3"]["aliases"]
    assert models["whisper-large-v3-turbo"]["tasks"] == ["transcribe"]
    assert [id_ for id_, model in models.items() if model["default"]] == ["fake", "fake-voice"]
    assert {model["type"] for model in models.values() if "transcribe" in model["tasks"]} == {"transcribe"}
    speaking = {id_: model for id_, model in models.items() if model["type"] == "audio"}
    assert {tuple(model["tasks"]) for model in speaking.values()} == {("speak",)}
    assert speaking["espeak-ng"]["installed"] and "de" in speaking["espeak-ng"]["languages"]
    assert [id_ for id_, model in models.items() if "tts-1" in model["aliases"]] == ["fake-voice"]


def test_models_for_clients_that_want_an_array(server: Running) -> None:
    listed = server.http.get("/v1/models", headers=TOGETHER).json()
    assert listed == server.http.get("/v1/models").json()["data"]
    assert all(model["pricing"]["input"] == 0 for model in listed)


@pytest.mark.parametrize(
    "name", ["whisper-large-v3", "openai/whisper-large-v3", "openai%2Fwhisper-large-v3", "LARGE-V3"]
)
@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/openai/v1/openai/v1"])
def test_one_model(server: Running, prefix: str, name: str) -> None:
    answer = server.http.get(f"{prefix}/models/{name}")
    assert (answer.status_code, answer.json()["id"]) == (200, "whisper-large-v3")


@pytest.mark.parametrize("name", ["whisper-large-v4", "a/b/c", "%00", "ü", "..", "x" * 3000, "v1/models"])
def test_unknown_models(server: Running, name: str) -> None:
    answer = server.http.get(f"/v1/models/{name}") if name != ".." else server.http.get("/v1/models/%2e%2e")
    assert answer.status_code == 404, answer.text
    assert answer.json()["error"]["code"] in ("model_not_found", "not_found")


def test_nearest_names(server: Running) -> None:
    error = server.http.get("/v1/models/whisper-large-v4").json()["error"]
    assert error["code"] == "model_not_found"
    assert "whisper-large-v3" in error["message"]
