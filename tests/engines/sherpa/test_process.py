"""The process of a neural voice, with a stand-in for sherpa-onnx: sentence by sentence, and no further."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hearsay.engines.sherpa import process
from hearsay.engines.sherpa.phonemes import Clause
from hearsay.engines.sherpa.process import SherpaRunner, pcm
from hearsay.processes.protocol import RequestFailed

SENTENCE = "a" * 50


class Engine:
    """Returns a sample for each phoneme."""

    sample_rate, num_speakers = 24_000, 1

    def __init__(self) -> None:
        self.asked: list[tuple[int, float, int]] = []

    def generate(self, text: str, config: Any, take: Callable[[Any, float], int]) -> None:
        (phonemes,) = config.phoneme_codepoints
        self.asked.append((config.sid, config.speed, len(phonemes)))
        if len(self.asked) > 3:
            raise RuntimeError("It hurts.")
        take(np.full(len(phonemes), 0.5, np.float32), 1.0)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def runner(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SherpaRunner:
    reader = SimpleNamespace(clauses=lambda text, language, tied: [Clause(SENTENCE, "A.")] * len(text))
    monkeypatch.setitem(sys.modules, "sherpa_onnx", SimpleNamespace(GenerationConfig=SimpleNamespace))
    monkeypatch.setattr(process, "_engine", lambda settings: engine)
    monkeypatch.setattr(process, "_phonemizer", lambda: reader)
    (tmp_path / "tokens.txt").write_text("a 1\n. 2\n  3\n^ 4\n")
    return SherpaRunner(
        {
            "speakers": {"anna": (7, "de")},
            "spelling": "espeak",
            "max_phonemes": 200,
            "tokens": str(tmp_path / "tokens.txt"),
        }
    )


def request(text: str) -> bytes:
    return json.dumps({"text": text, "voice": "anna", "speed": 1.5}).encode()


def test_synthesizes_sentence_by_sentence(runner: SherpaRunner, engine: Engine) -> None:
    blocks: list[bytes | memoryview] = []

    def keep(block: bytes | memoryview) -> bool:
        blocks.append(block)
        return True

    assert runner.about == {"sample_rate": 24_000, "n_speakers": 1}
    assert runner.run(request("xx"), (), keep) == b""
    assert engine.asked == [(7, 1.5, 51)] * 2
    assert [len(block) for block in blocks] == [102, 102]
    assert not runner.is_spent


def test_what_is_not_wanted_any_more_is_not_synthesized(runner: SherpaRunner, engine: Engine) -> None:
    runner.run(request("xxx"), (), lambda block: False)
    assert len(engine.asked) == 1


def test_a_failure_of_the_runtime_is_one_of_the_request(runner: SherpaRunner) -> None:
    with pytest.raises(RequestFailed, match="It hurts"):
        runner.run(request("xxxx"), (), lambda block: True)


def test_markers_are_no_phonemes_and_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text("a 1\n  3\n^ 4\n\n")
    assert process._tokens(path) - process._MARKERS == {"a", " "}
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RequestFailed, match=r"tokens\.txt cannot be read"):
        process._tokens(path)


def test_clips_what_is_too_loud_and_silences_what_is_no_number() -> None:
    found = np.frombuffer(pcm(np.array([0.0, 0.5, 1.0, 2.0, -3.0, np.nan, np.inf], np.float32)), "<i2")
    assert found.tolist() == [0, 16384, 32767, 32767, -32767, 0, 32767]
