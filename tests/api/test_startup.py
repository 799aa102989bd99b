"""Startup tasks: the missing model is pulled and loaded, defaults are loaded, failures end nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from hearsay.api import startup
from hearsay.domain import ModelCard, Task
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.hardware import GIB, Machine
from hearsay.engines.protocols import Engine
from hearsay.errors import EngineFailed
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.scheduling.model_pool import ModelPool
from tests.support.local_hub import LocalHub, serving, toy_model

WAIT = 60.0
BASE = "Systran/faster-whisper-base"


@pytest.fixture
def local() -> Iterator[LocalHub]:
    with serving(LocalHub({BASE: toy_model(50_000)})) as hub:
        yield hub


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


def catalogue(tmp_path: Path, hub: Hub, **wanted: Any) -> Catalogue:
    machine = Machine(cores=2, memory_bytes=4 * GIB)
    return Catalogue(models_folder=tmp_path / "models", hub=hub, machine=machine, **wanted)


def run_task(task: startup.StartupTask, models: Catalogue, **wanted: Any) -> list[str]:
    async def scenario() -> list[str]:
        pool = ModelPool(models, **wanted)
        await task(pool)
        loaded = pool.loaded()
        await pool.close()
        return loaded

    return asyncio.run(scenario())


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hearsay.engines.whisper.loading.load", lambda folder, **runtime: FakeWindowRecognizer()
    )


def test_the_missing_model_is_pulled_and_loaded(tmp_path: Path, local: LocalHub, engine: None) -> None:
    models = catalogue(tmp_path, Hub(local.address, cache=tmp_path / "hub"))
    assert models.unready(models.card()) is not None
    with structlog.testing.capture_logs() as logs:
        assert run_task(startup.install(models), models) == ["whisper-base"]
    assert models.card().id == "whisper-base" and models.unready(models.card()) is None
    events = [log["event"] for log in logs]
    assert events[0] == "pulling" and events[-1] == "model loaded"
    n_requests = len(local.requests)
    assert run_task(startup.install(models), models) == []
    assert len(local.requests) == n_requests


def test_where_no_source_answers_the_log_says_what_helps(tmp_path: Path) -> None:
    models = catalogue(tmp_path, Hub("http://127.0.0.1:9", cache=tmp_path / "hub"))
    with structlog.testing.capture_logs() as logs:
        run_task(startup.install(models), models)
    assert [log["event"] for log in logs] == ["pulling", "pull failed"]
    assert "does not answer" in logs[-1]["reason"] and "hearsay models import" in logs[-1]["reason"]
    models = catalogue(tmp_path, Hub(allowed=False, cache=tmp_path / "hub"))
    assert run_task(startup.install(models), models) == [] and len(logs) == 2


def test_a_pull_that_fails_leaves_the_server_serving(tmp_path: Path, local: LocalHub) -> None:
    local.corrupt.add("model.bin")
    models = catalogue(tmp_path, Hub(local.address, cache=tmp_path / "hub"))
    with structlog.testing.capture_logs() as logs:
        run_task(startup.install(models), models)
    assert logs[-1]["event"] == "pull failed" and "damaged" in logs[-1]["reason"]


def test_a_model_that_cannot_be_loaded_is_told(
    tmp_path: Path, local: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, **runtime: Any) -> None:
        raise EngineFailed("not enough memory")

    monkeypatch.setattr("hearsay.engines.whisper.loading.load", fail)
    models = catalogue(tmp_path, Hub(local.address, cache=tmp_path / "hub"))
    with structlog.testing.capture_logs() as logs:
        assert run_task(startup.install(models), models) == []
    assert (logs[-1]["event"], logs[-1]["reason"]) == ("model not loaded", "not enough memory")
    assert models.installed(models.card("whisper-base"))


def test_a_server_that_ends_stops_its_pull(
    tmp_path: Path, local: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = catalogue(tmp_path, Hub(local.address, cache=tmp_path / "hub"))
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def pull(name: str, progress: Any) -> None:
        begun.set()
        assert go_on.wait(WAIT)
        try:
            progress(1, 2)
        finally:
            ended.set()

    monkeypatch.setattr(models, "pull", pull)

    async def scenario() -> None:
        pool = ModelPool(models)
        task = asyncio.ensure_future(startup.install(models)(pool))
        assert await asyncio.to_thread(begun.wait, WAIT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        assert await asyncio.to_thread(ended.wait, WAIT)
        await pool.close()

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    assert [log["event"] for log in logs] == ["pulling"]


def test_the_default_is_loaded_beforehand_where_it_is_installed(tmp_path: Path) -> None:
    models = catalogue(tmp_path, Hub(allowed=False, cache=tmp_path / "hub"), offer_fake=True, default="fake")
    with structlog.testing.capture_logs() as logs:
        assert run_task(startup.preload(models), models) == ["fake", "espeak-ng"]
    assert (logs[0]["event"], logs[0]["model"]) == ("model loaded", "fake")
    models = catalogue(tmp_path, Hub(allowed=False, cache=tmp_path / "hub"), default="tiny")
    with structlog.testing.capture_logs() as logs:
        assert run_task(startup.preload(models), models) == ["espeak-ng"]
    assert [log["model"] for log in logs] == ["espeak-ng"]


@pytest.mark.parametrize(("room", "loaded"), [(2, ["fake", "toy-voice"]), (1, ["fake"])])
def test_a_neural_voice_is_loaded_beforehand_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, loaded: list[str]
) -> None:
    voice = replace(fake_cards.fake_voice(), id="toy-voice", engine="onnx_tts")
    models = catalogue(tmp_path, Hub(allowed=False, cache=tmp_path / "hub"), offer_fake=True, default="fake")
    find, load = models.card, models.load
    failing = [False]

    def card(name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        return voice if task is Task.SYNTHESIZE else find(name, task)

    def load_voice(card: ModelCard) -> Engine:
        if failing[0]:
            raise EngineFailed("no memory")
        return FakeSynthesizer() if card is voice else load(card)

    monkeypatch.setattr(models, "card", card)
    monkeypatch.setattr(models, "load", load_voice)
    monkeypatch.setattr(models, "installed", lambda card: True)
    with structlog.testing.capture_logs() as logs:
        assert run_task(startup.preload(models), models, max_loaded=room) == loaded
    assert [log["model"] for log in logs] == loaded
    failing[0] = True
    with structlog.testing.capture_logs() as logs:
        assert run_task(startup.preload(models), models) == []
    assert [log["event"] for log in logs] == ["model not loaded"] * 2


def test_the_embedded_voice_is_loaded_beforehand_too_and_what_chooses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[bool] = []
    monkeypatch.setattr("hearsay.text.language_id.prepare", lambda: prepared.append(True))
    models = catalogue(tmp_path, Hub(allowed=False, cache=tmp_path / "hub"), offer_fake=True, default="fake")
    assert models.card(None, Task.SYNTHESIZE).engine == "espeak"
    assert run_task(startup.preload(models), models, max_loaded=1) == ["fake", "espeak-ng"]
    assert prepared == [True]


def test_a_best_model_that_cannot_be_loaded_leaves_its_place_to_the_next(
    tmp_path: Path, local: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, **runtime: Any) -> FakeWindowRecognizer:
        if folder.name.endswith("base"):
            raise EngineFailed("not enough memory")
        return FakeWindowRecognizer()

    monkeypatch.setattr("hearsay.engines.whisper.loading.load", fail)
    local.files["Systran/faster-whisper-tiny"] = toy_model(50_000)
    for name in ("base", "tiny"):
        catalogue(tmp_path, Hub(local.address, cache=tmp_path / "hub")).pull(name)
    models = catalogue(tmp_path, Hub(allowed=False, cache=tmp_path / "hub"))
    assert models.card().id == "whisper-base"
    with structlog.testing.capture_logs() as logs:
        assert run_task(startup.preload(models), models) == ["whisper-tiny", "espeak-ng"]
    assert [(log["event"], log["model"]) for log in logs] == [
        ("model not loaded", "whisper-base"),
        ("model loaded", "whisper-tiny"),
        ("model loaded", "espeak-ng"),
    ]
    assert models.card().id == "whisper-tiny"
