"""The model of the command line: one recording decoded in batches, no thread left behind, Ctrl-C obeyed."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hearsay.cli.progress import Lines
from hearsay.cli.transcribe.backends import LocalModel
from hearsay.cli.transcribe.command import _local_model
from hearsay.domain import ModelCard, Segment, TranscribeOptions
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.engines.protocols import WindowRecognizer
from hearsay.errors import EngineFailed
from hearsay.models.catalogue import Catalogue
from hearsay.settings import Settings
from tests.support.recognizers import WAIT
from tests.support.server import speech

Open = Callable[[WindowRecognizer], LocalModel]
Engines = Callable[[], list[str]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Return a function that makes a model of any recogniser, two windows to a batch."""

    def make(recognizer: WindowRecognizer) -> LocalModel:
        def load(catalogue: Catalogue, card: ModelCard) -> WindowRecognizer:
            return recognizer

        monkeypatch.setattr(Catalogue, "load", load)
        settings = Settings(models_folder=tmp_path / "models", fake_engine=True, batch_size=2)
        return _local_model(settings, "fake", TranscribeOptions(), Lines(io.StringIO(), quiet=True))

    return make


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Make 65 seconds of noise: three windows."""
    path = tmp_path / "long.wav"
    path.write_bytes(speech(65))
    return path


@pytest.fixture
def engines() -> Engines:
    """Return a function that names the engine threads begun since; other tests' servers may still run."""
    before = set(threading.enumerate())

    def begun() -> list[str]:
        new = [thread for thread in threading.enumerate() if thread not in before]
        return [thread.name for thread in new if thread.name.startswith("engine")]

    return begun


def test_a_recording_is_told_segment_by_segment(opened: Open, recording: Path, engines: Engines) -> None:
    model, told, shown = opened(FakeWindowRecognizer()), list[Segment](), list[float]()
    transcript = model.transcribe(
        recording, TranscribeOptions(), progress=lambda done, _: shown.append(done), on_segment=told.append
    )
    model.close()
    assert tuple(told) == transcript.segments and len(told) > 3
    assert transcript.text.split() == [f"word{i}" for i in range(130)]
    assert shown == sorted(shown) and shown[-1] <= 65.0
    assert engines() == []


def test_a_failure_leaves_no_thread_behind(opened: Open, recording: Path, engines: Engines) -> None:
    model = opened(FakeWindowRecognizer(mishaps=Faults(fail_after=1)))
    with pytest.raises(EngineFailed):
        model.transcribe(recording, TranscribeOptions(), progress=lambda *_: None, on_segment=lambda _: None)
    assert engines() == []


def test_an_interruption_ends_with_the_batch(opened: Open, recording: Path, engines: Engines) -> None:
    calls: list[str] = []
    begun, interrupted = threading.Event(), threading.Event()

    def pause() -> None:
        calls.append(threading.current_thread().name)
        begun.set()
        assert interrupted.wait(WAIT)

    def interrupt() -> None:
        assert begun.wait(WAIT)
        os.kill(os.getpid(), signal.SIGINT)

    model = opened(FakeWindowRecognizer(mishaps=Faults(pause=pause)))
    presser = threading.Thread(target=interrupt)
    presser.start()
    close = threading.Thread.join

    def joined(thread: threading.Thread, timeout: float | None = None) -> None:
        interrupted.set()  # the main thread has left what it was doing, and waits for the engine
        close(thread, timeout)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading.Thread, "join", joined)
        model.transcribe(recording, TranscribeOptions(), progress=lambda *_: None, on_segment=lambda _: None)
    presser.join()
    assert calls == ["engine 0 of fake"], "no window but the one in hand was decoded"
    assert engines() == []
