"""The record of neural voices: their files, damage, and how they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hearsay.engines.engine_spec import Runtime
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.onnx_tts import cards
from hearsay.engines.onnx_tts.spec import ONNX_TTS
from tests.support.paths import DATA

assert ONNX_TTS.files is not None
FILES = ONNX_TTS.files


def test_a_voice_is_exactly_the_files_of_its_card() -> None:
    kokoro = FILES.select(cards.known()[0])
    assert kokoro.patterns == kokoro.required == ("model.onnx", "voices.bin", "tokens.txt")
    assert kokoro.lacking(["model.onnx"]) == ["tokens.txt", "voices.bin"] and not kokoro.has_open_folders


def test_a_folder_without_a_voice_is_damaged(tmp_path: Path) -> None:
    for name in ("toy-kokoro", "toy-kokoro-raw", "toy-piper"):
        assert list(FILES.damage(DATA / name)) == []
    assert "must be there" in " ".join(FILES.damage(tmp_path))


@pytest.mark.parametrize(
    ("runtime", "n_threads"), [(Runtime(cpu_threads=3, cores=8), 3), (Runtime(cores=8), 8)]
)
def test_is_loaded_with_the_threads_that_are_wanted(
    monkeypatch: pytest.MonkeyPatch, runtime: Runtime, n_threads: int
) -> None:
    asked: dict[str, Any] = {}

    def load(folder: Path, card: object, **options: Any) -> FakeSynthesizer:
        asked.update(options)
        return FakeSynthesizer()

    monkeypatch.setattr("hearsay.engines.onnx_tts.synthesizer.load", load)
    FILES.load(DATA / "toy-kokoro", cards.known()[0], runtime)
    assert asked == {"n_threads": n_threads}
