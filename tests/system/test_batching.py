"""Several callers at once over HTTP: streams in order, each answer what it would have been alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jiwer
import numpy as np
import pytest

from hearsay.domain import SAMPLE_RATE, Hypothesis, Window
from hearsay.engines import registry
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.media import decoding
from tests.compat.serving import Scene
from tests.support.paths import DATA
from tests.support.server import Stage, serving, speech

TRANSCRIBE = "/v1/audio/transcriptions"
NAME = "fixture"
PAUSE_SECONDS = 0.7
LANGUAGES = ("en", "de", "es")


@dataclass(frozen=True)
class Told:
    """One stream as a caller got it."""

    deltas: tuple[str, ...]
    done: dict[str, Any]

    @property
    def text(self) -> str:
        return "".join(self.deltas)


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Return the events of a stream as they come, up to its end."""
    assert answer.status_code == 200, answer.read()
    for line in answer.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without [DONE]")


def stream(url: str, file: bytes, **fields: str) -> Told:
    """Stream one recording."""
    form = {"stream": "true"} | fields
    with (
        httpx.Client(base_url=url, timeout=120, trust_env=False) as http,
        http.stream("POST", TRANSCRIBE, data=form, files={"file": ("a.flac", file)}) as answer,
    ):
        *deltas, done = events(answer)
    assert {event["type"] for event in deltas} <= {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    return Told(tuple(event["delta"] for event in deltas), done)


class Held(FakeWindowRecognizer):
    """Does not decode what comes after the first window before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Decode; wait where a later window is among them."""
        if any(window.encoding.start > 0 for window in windows):
            assert self.go_on.wait(30), "nobody was told what is in the first window"
        return super().recognize(windows)


def test_the_first_words_come_before_the_rest_is_decoded(tmp_path: Path) -> None:
    engine = Held()
    form = {"stream": "true", "chunking_strategy": "sequential"}
    with (
        Stage(tmp_path, make=lambda: engine).open() as server,
        server.http.stream("POST", TRANSCRIBE, data=form, files={"file": ("a.wav", speech(75))}) as answer,
    ):
        coming = events(answer)
        first = next(coming)
        assert first["delta"].startswith("word0 ")
        engine.go_on.set()
        *more, done = coming
    assert "".join(event["delta"] for event in (first, *more)) == done["text"]
    assert done["text"].split() == [f"word{k}" for k in range(150)]
    assert done["x_hearsay"]["report"]["chunking"] == "sequential"
    assert done["x_hearsay"]["report"]["windows"] >= 3


def clips(language: str) -> list[dict[str, Any]]:
    manifest: list[dict[str, Any]] = json.loads((DATA / "clips" / "manifest.json").read_text("utf-8"))
    return [clip for clip in manifest if clip["language"] == language]


def stitched(language: str) -> bytes:
    """Make one recording, of about a minute, of all clips in a language, with pauses between them."""
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    pieces = [
        piece
        for clip in clips(language)
        for piece in (decoding.load(DATA / "clips" / clip["file"]).samples(), pause)
    ]
    return decoding.encode(np.concatenate(pieces), "flac")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the small Whisper and the real detector of speech."""
    scene = Scene(
        tmp_path_factory.mktemp("batching"),
        default=NAME,
        local={NAME: DATA / "fixture-whisper"},
        detector=registry.speech_detector,
    )
    with serving(scene.app()) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("chunking", ["auto", "sequential"])
def test_streams_side_by_side_are_what_each_would_be_alone(address: str, chunking: str) -> None:
    recordings = {language: stitched(language) for language in LANGUAGES}
    alone = {
        language: stream(address, recordings[language], chunking_strategy=chunking) for language in LANGUAGES
    }
    for language, told in alone.items():
        references = [" ".join(clip["text"] for clip in clips(language))]
        assert jiwer.wer(references, [told.text]) <= 0.05
    # Two of each, in no order of languages, which each stream has to find out for itself.
    wanted = [*LANGUAGES, *reversed(LANGUAGES)]
    with ThreadPoolExecutor(len(wanted)) as callers:
        together = list(
            callers.map(
                lambda language: stream(address, recordings[language], chunking_strategy=chunking), wanted
            )
        )
    for language, told in zip(wanted, together, strict=True):
        assert told.text == told.done["text"] == alone[language].text
        assert told.deltas == alone[language].deltas
        assert len(told.deltas) >= 2
        served = told.done["x_hearsay"]
        assert served["language"] == language
        assert served["report"]["chunking"] == ("vad" if chunking == "auto" else chunking)
        assert served["report"]["windows"] >= 2
        assert served["report"]["dropped"] == alone[language].done["x_hearsay"]["report"]["dropped"] == []


@pytest.mark.slow
def test_a_detector_with_other_thresholds_hears_other_speech(address: str) -> None:
    recording = stitched("en")

    def heard(threshold: float) -> float:
        form = {
            "response_format": "verbose_json",
            "chunking_strategy[type]": "server_vad",
            "chunking_strategy[threshold]": str(threshold),
        }
        files = {"file": ("a.flac", recording)}
        answer = httpx.post(address + TRANSCRIBE, data=form, files=files, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        seconds: float = answer.json()["x_hearsay"]["report"]["speech_seconds"]
        return seconds

    easily, hardly = heard(0.1), heard(0.98)
    assert 0 < hardly < easily
