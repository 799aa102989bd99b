"""A folder with a voice tells who speaks in it, and one without says what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hearsay.domain import Gender, Task, Voice
from hearsay.engines.sherpa.phonemes import MOST_PHONEMES, Spelling
from hearsay.engines.sherpa.voice_folder import describe, examine, is_voice, kokoro_speakers, kokoro_voice
from hearsay.errors import ConfigurationError
from tests.support.paths import DATA

KOKORO, PIPER = DATA / "toy-kokoro", DATA / "toy-piper"


@pytest.fixture
def kokoro(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KOKORO, tmp_path / "kokoro"))


@pytest.fixture
def piper(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PIPER, tmp_path / "piper"))


def configure(folder: Path, **values: object) -> None:
    (folder / "de_DE-toy-low.onnx.json").write_text(json.dumps(values), "utf-8")


def test_knows_a_voice_by_its_files(tmp_path: Path) -> None:
    assert is_voice(KOKORO)
    assert is_voice(PIPER)
    assert not is_voice(DATA / "fixture-whisper")
    assert not is_voice(tmp_path / "nowhere")


def test_describes_a_kokoro() -> None:
    card = describe("mine", KOKORO)
    assert (card.id, card.engine, card.owner) == ("mine", "sherpa", "local")
    assert card.tasks == {Task.SYNTHESIZE}
    assert card.languages == ("en", "es")
    assert card.voices[0] == Voice("af_heart", "Heart", ("en-us",), Gender.FEMALE)
    assert card.voices[1] == Voice("bm_george", "George", ("en-gb",), Gender.MALE)
    assert card.ignores == {"instructions"}
    assert str(KOKORO) not in card.description


def test_leaves_out_speakers_of_languages_that_cannot_be_read() -> None:
    found = kokoro_speakers(["jf_alpha", "zm_yunxi", "af_heart", "", "xx_nobody"])
    assert [(speaker.number, speaker.voice.id) for speaker in found] == [(2, "af_heart")]


def test_takes_the_first_kokoro_for_what_it_is() -> None:
    assert kokoro_voice("af") == Voice("af", "Af", ("en-us",), Gender.FEMALE)


def test_finds_the_speakers_of_a_piper() -> None:
    found = examine(PIPER)
    assert [(s.number, s.voice.id, s.language) for s in found.speakers] == [
        (0, "anna", "de"),
        (1, "otto", "de"),
    ]
    assert found.spelling is Spelling.ESPEAK
    assert found.most_phonemes == MOST_PHONEMES


def test_numbers_speakers_whose_names_are_not_told(piper: Path) -> None:
    (piper / "de_DE-toy-low.onnx.json").unlink()
    assert [speaker.voice.id for speaker in examine(piper).speakers] == ["0", "1"]


def test_prefers_the_model_that_is_not_quantised(kokoro: Path) -> None:
    shutil.copy(kokoro / "model.onnx", kokoro / "model.int8.onnx")
    assert examine(kokoro).model.name == "model.onnx"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("voices.bin", "voices.bin is missing"), ("tokens.txt", "tokens.txt"), ("model.onnx", "one file")],
)
def test_says_which_file_is_missing(kokoro: Path, missing: str, reason: str) -> None:
    (kokoro / missing).unlink()
    with pytest.raises(ConfigurationError, match=reason):
        describe("mine", kokoro)


def test_refuses_two_models_in_one_folder(piper: Path) -> None:
    shutil.copy(piper / "de_DE-toy-low.onnx", piper / "another.onnx")
    assert not is_voice(piper)
    with pytest.raises(ConfigurationError, match="one file"):
        examine(piper)


def test_refuses_a_damaged_model(kokoro: Path) -> None:
    (kokoro / "model.onnx").write_bytes(b"<html>")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        examine(kokoro)


def test_refuses_a_damaged_configuration(piper: Path) -> None:
    (piper / "de_DE-toy-low.onnx.json").write_text("{", "utf-8")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        examine(piper)


def test_refuses_a_voice_that_was_taught_letters(piper: Path) -> None:
    configure(piper, phoneme_type="text", num_speakers=2)
    with pytest.raises(ConfigurationError, match="letters"):
        examine(piper)


def test_refuses_a_model_of_another_kind(kokoro: Path) -> None:
    (kokoro / "model.onnx").write_bytes(b"\x72\x08\x0a\x01a\x12\x03xyz")
    with pytest.raises(ConfigurationError, match="neither a Kokoro nor a Piper"):
        examine(kokoro)
