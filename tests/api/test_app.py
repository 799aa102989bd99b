"""The composition root: the app that settings describe, with everything real but the model."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest
import structlog

from hearsay.api.app import Limits, from_settings
from hearsay.errors import ConfigurationError
from hearsay.scheduling.model_pool import ModelPool
from hearsay.settings import Settings
from tests.support.server import Running, Stage, serving, speech


def made(folder: Path, **changes: object) -> Settings:
    values: dict[str, object] = {
        "models_folder": folder / "models",
        "keys_file": folder / "keys.json",
        "work_folder": folder,
        "offline": True,
        "fake_engine": True,
        "model": "fake",
        "decode_workers": 1,
    }
    return Settings.model_validate(values | changes)


def test_settings_arrive(tmp_path: Path) -> None:
    settings = made(
        tmp_path,
        api_key="sk-1",
        upload_limit_mb=0.5,
        cors_origins=("https://a.example",),
        aliases={"mine": "fake"},
        max_duration_seconds=10,
        speech_model="fake-voice",
        speech_limit_characters=10,
        voices={"anna": "high"},
    )
    key = {"authorization": "Bearer sk-1"}
    with (
        serving(from_settings(settings)) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
    ):

        def post(file: bytes) -> httpx.Response:
            data = {"model": "mine"}
            return http.post("/v1/audio/transcriptions", files={"file": file}, data=data, headers=key)

        assert http.get("/v1/models").status_code == 401
        assert post(speech(1)).json()["text"] == "word0 word1"
        assert post(speech(20)).status_code == 413
        long = post(speech(11))
        assert long.json()["error"]["code"] == "audio_too_long"
        for text, status in (("Hello you.", 200), ("Hello, you.", 400)):
            body = {"input": text, "voice": "anna"}
            assert http.post("/v1/audio/speech", json=body, headers=key).status_code == status
        assert http.post("/v1/audio/speech", json={}).status_code == 401
        assert http.get("/v1/voices").status_code == 401
        origin = {"origin": "https://a.example"}
        assert http.get("/health", headers=origin).headers["access-control-allow-origin"] == origin["origin"]
    assert [path for path in tmp_path.iterdir() if path.name.startswith("hearsay-")] == []


def test_settings_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        from_settings(made(tmp_path, aliases={"mine": "nothing-like-that"}))


def test_the_work_folder_is_made(tmp_path: Path) -> None:
    from_settings(made(tmp_path, work_folder=tmp_path / "a" / "b"))
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_work_folder_that_cannot_be_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="work folder"):
        from_settings(made(tmp_path, work_folder=tmp_path / "file"))


def test_startup_tasks_run_beside_serving_and_end_with_it(tmp_path: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def patient(pool: ModelPool) -> None:
        import asyncio

        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def hopeless(pool: ModelPool) -> None:
        raise ZeroDivisionError

    app = from_settings(made(tmp_path), startup_tasks=[hopeless, patient])
    with structlog.testing.capture_logs() as logs:
        with serving(app) as url:
            assert begun.wait(30)
            assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        assert ended.is_set()
    (failed,) = [log for log in logs if log["event"] == "startup task failed"]
    assert (failed["task"], failed["log_level"]) == ("hopeless", "error")


ORIGIN = {"origin": "https://app.example"}


def test_pages_of_others_may_not_call_by_default(server: Running) -> None:
    assert "access-control-allow-origin" not in server.http.get("/v1/models", headers=ORIGIN).headers


def test_pages_of_friends_may_call(stage: Stage) -> None:
    stage.limits = Limits(cors_origins=("https://app.example",))
    asks = ORIGIN | {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-stainless-lang,x-stainless-retry-count",
    }
    with stage.open() as server:
        preflight = server.http.options("/v1/audio/transcriptions", headers=asks)
        answer = server.http.get("/v1/models/none", headers=ORIGIN)
        foreign = server.http.get("/v1/models", headers={"origin": "https://evil.example"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-stainless-lang" in preflight.headers["access-control-allow-headers"]
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "x-should-retry", "retry-after", "retry-after-ms"} <= set(exposed)
    assert "access-control-allow-origin" not in foreign.headers
