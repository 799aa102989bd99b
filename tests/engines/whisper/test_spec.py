"""Whisper's record: its files, an operator's folder, what suits a machine, and how it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hearsay.domain import RECOGNITION, Task
from hearsay.engines.engine_spec import Runtime
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.hardware import GIB, Machine
from hearsay.engines.whisper import cards
from hearsay.engines.whisper.recommendation import ranking
from hearsay.engines.whisper.spec import CONVERTED, WHISPER
from hearsay.errors import ConfigurationError
from tests.models.test_checksums import make
from tests.support import toy_whisper
from tests.support.local_hub import toy_model

assert WHISPER.files is not None
FILES = WHISPER.files


def test_a_download_needs_weights_configuration_and_vocabulary() -> None:
    assert CONVERTED.lacking(["model.bin"]) == ["config.json", "vocabulary.*"]
    assert CONVERTED.lacking(["model.bin", "config.json", "vocabulary.txt"]) == []
    assert CONVERTED.landmark == "model.bin"
    assert not CONVERTED.wants("model.safetensors") and not CONVERTED.wants("README.md")


@pytest.mark.parametrize("multilingual", [True, False])
def test_describes_folders_of_both_formats(tmp_path: Path, multilingual: bool) -> None:
    toy_whisper.write(tmp_path / "hf", multilingual=multilingual)
    folders = (make(tmp_path / "ct2", toy_model(2000, multilingual=multilingual)), tmp_path / "hf")
    for folder in folders:
        assert FILES.is_model(folder)
        card = FILES.describe("mine", folder)
        assert (card.id, card.engine, card.owner) == ("mine", WHISPER.name, "local")
        assert card.tasks == (RECOGNITION if multilingual else {Task.TRANSCRIBE})
    assert not FILES.is_model(tmp_path)


def test_what_suits_a_machine_is_a_part_of_the_ranking() -> None:
    assert WHISPER.ranking is ranking
    assert WHISPER.suitable(Machine(2, 4 * GIB)) == ("whisper-base", "whisper-tiny")
    every = {card.id for card in cards.known() if len(card.languages) > 1}
    assert set(WHISPER.suitable(Machine(8, 32 * GIB, 24 * GIB))) < every


def test_is_loaded_with_the_runtime_that_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def load(folder: Path, **options: Any) -> FakeWindowRecognizer:
        asked.update(options, folder=folder)
        return FakeWindowRecognizer()

    monkeypatch.setattr("hearsay.engines.whisper.loading.load", load)
    runtime = Runtime("cuda", (1,), "float16", cores=64, conversions=tmp_path / "converted")
    assert isinstance(FILES.load(tmp_path, cards.known()[0], runtime), FakeWindowRecognizer)
    assert asked == {
        "folder": tmp_path,
        "device": "cuda",
        "device_index": (1,),
        "compute_type": "float16",
        "cpu_threads": 8,
        "conversions": tmp_path / "converted",
        "encoder": "auto",
        "decoder": "auto",
    }


def test_a_place_where_no_conversion_can_be_written_is_named(tmp_path: Path) -> None:
    toy_whisper.write(tmp_path / "hf")
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    runtime = Runtime("cpu", conversions=tmp_path / "file" / "converted")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        FILES.load(tmp_path / "hf", cards.known()[0], runtime)
