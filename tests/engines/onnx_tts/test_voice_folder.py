"""A folder with a voice tells who speaks in it, and one without says what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hearsay.domain import Gender, Task, Voice
from hearsay.engines.onnx_tts.phonemes import MOST_PHONEMES, Spelling
from hearsay.engines.onnx_tts.voice_folder import (
    VoiceFolder,
    _kokoro_symbols,
    describe,
    examine,
    is_voice,
    kokoro_speakers,
    kokoro_voice,
    read_styles,
)
from hearsay.errors import ConfigurationError
from tests.support.paths import DATA

KOKORO, RAW_KOKORO, PIPER = DATA / "toy-kokoro", DATA / "toy-kokoro-raw", DATA / "toy-piper"
CONFIG = "de_DE-toy-low.onnx.json"


@pytest.fixture
def kokoro(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KOKORO, tmp_path / "kokoro"))


@pytest.fixture
def piper(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PIPER, tmp_path / "piper"))


def configure(folder: Path, **values: object) -> None:
    known = json.loads((PIPER / CONFIG).read_text("utf-8"))
    (folder / CONFIG).write_text(json.dumps(known | values), "utf-8")


def test_knows_a_voice_by_its_files(tmp_path: Path) -> None:
    assert is_voice(KOKORO) and is_voice(RAW_KOKORO)
    assert is_voice(PIPER)
    assert not is_voice(DATA / "fixture-whisper")
    assert not is_voice(tmp_path / "nowhere")


def test_describes_a_kokoro() -> None:
    card = describe("mine", KOKORO)
    assert (card.id, card.engine, card.owner) == ("mine", "onnx_tts", "local")
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
    assert (found.spelling, found.sample_rate, found.styles) == (Spelling.ESPEAK, 22_050, None)
    assert found.most_phonemes == MOST_PHONEMES
    assert found.scales == (0.667, 1.0, 0.8)
    assert found.symbols["_"] == [0] and all(voice.languages == ("de-de",) for voice in voices_of(found))


def voices_of(found: VoiceFolder) -> list[Voice]:
    return [speaker.voice for speaker in found.speakers]


def test_a_piper_of_one_speaker_is_named_by_its_file(piper: Path) -> None:
    configure(piper, num_speakers=1, speaker_id_map={}, language=None, espeak={"voice": "de"}, inference={})
    for path in list(piper.iterdir()):
        path.rename(piper / path.name.replace("de_DE-toy-low", "en_GB-southern_english_female-low"))
    found = examine(piper)
    assert voices_of(found) == [Voice("southern_english_female", "Southern english female", ("en-gb",))]
    assert found.scales == (0.667, 1.0, 0.8)
    for path in list(piper.iterdir()):
        path.rename(piper / path.name.replace("en_GB-southern_english_female-low", "mine"))
    assert voices_of(examine(piper)) == [Voice("mine", "Mine", ("de",))]


def test_describes_a_kokoro_in_its_own_projects_files() -> None:
    raw, converted = examine(RAW_KOKORO), examine(KOKORO)
    assert voices_of(raw) == voices_of(converted)
    assert (raw.sample_rate, raw.spelling) == (24_000, Spelling.KOKORO)
    assert len(raw.symbols) == 114 and raw.symbols["a"] == [43] and raw.symbols["ᵻ"] == [177]
    assert converted.symbols[";"] == [1] and converted.symbols[" "] == [9]
    assert describe("mine", RAW_KOKORO).languages == ("en", "es")


def test_a_kokoro_has_styles_by_name(tmp_path: Path) -> None:
    known = {"speaker_names": "af_heart,bm_george", "style_dim": "3,1,2"}
    values = np.arange(12, dtype=np.float32).reshape(2, 3, 1, 2)
    raw, archive = tmp_path / "voices.bin", tmp_path / "voices-v1.0.bin"
    values.tofile(raw)
    with archive.open("wb") as file:
        np.savez(file, af_heart=values[0], bm_george=values[1])
    for found in (read_styles(raw, known), read_styles(archive, {})):
        assert list(found) == ["af_heart", "bm_george"]
        assert found["bm_george"].tolist() == [[6, 7], [8, 9], [10, 11]]


def test_a_kokoro_may_bring_symbols_of_its_own(tmp_path: Path) -> None:
    own = {"kokoro_config": json.dumps({"vocab": {"a": 7}})}
    assert _kokoro_symbols(tmp_path / "tokens.txt", own) == {"a": [7]}
    (tmp_path / "tokens.txt").write_text("a 1\n  3\n\n", "utf-8")
    assert _kokoro_symbols(tmp_path / "tokens.txt", own) == {"a": [1], " ": [3]}


def test_the_first_kokoro_is_known_by_its_name(kokoro: Path) -> None:
    shutil.rmtree(kokoro)
    shutil.copytree(RAW_KOKORO, kokoro)
    (kokoro / "kokoro-v1.0.onnx").rename(kokoro / "kokoro-v0_19.onnx")
    assert examine(kokoro).spelling is Spelling.KOKORO_FIRST


def test_numbers_speakers_whose_names_are_not_told(piper: Path) -> None:
    configure(piper, speaker_id_map={})
    assert [speaker.voice.id for speaker in examine(piper).speakers] == ["0", "1"]


def test_prefers_the_model_that_is_not_quantised(kokoro: Path) -> None:
    shutil.copy(kokoro / "model.onnx", kokoro / "model.int8.onnx")
    assert examine(kokoro).model.name == "model.onnx"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("toy-kokoro/voices.bin", r"voices\*\.bin is missing"),
        ("toy-kokoro-raw/voices-v1.0.bin", r"voices\*\.bin is missing"),
        ("toy-kokoro-raw/kokoro-v1.0.onnx", r"a model \(NAME\.onnx\) must be there"),
        ("toy-piper/de_DE-toy-low.onnx.json", r"its configuration, de_DE-toy-low\.onnx\.json, is missing"),
        ("toy-piper/de_DE-toy-low.onnx", "must be there"),
    ],
)
def test_says_which_file_is_missing(tmp_path: Path, missing: str, reason: str) -> None:
    folder = Path(shutil.copytree((DATA / missing).parent, tmp_path / "voice"))
    (folder / Path(missing).name).unlink()
    with pytest.raises(ConfigurationError, match=reason):
        describe("mine", folder)


@pytest.mark.parametrize(
    "name",
    [
        "toy-kokoro/voices.bin",
        "toy-kokoro-raw/voices-v1.0.bin",
        "toy-kokoro-raw/kokoro-v1.0.onnx",
        "toy-piper/de_DE-toy-low.onnx",
        f"toy-piper/{CONFIG}",
    ],
)
@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_says_that_a_file_is_cut_off(tmp_path: Path, name: str, kept: float) -> None:
    folder = Path(shutil.copytree((DATA / name).parent, tmp_path / "voice"))
    data = (DATA / name).read_bytes()
    (folder / Path(name).name).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        examine(folder)


def test_refuses_several_voices_in_one_folder(piper: Path) -> None:
    shutil.copy(piper / "de_DE-toy-low.onnx", piper / "another.onnx")
    with pytest.raises(ConfigurationError, match=r"another\.onnx, de_DE-toy-low\.onnx.*a folder of its own"):
        examine(piper)


def test_refuses_what_is_no_model(kokoro: Path) -> None:
    (kokoro / "model.onnx").write_bytes(b"<html>")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        examine(kokoro)


@pytest.mark.parametrize("values", [{"phoneme_id_map": None}, {"audio": {}}, {"espeak": {}}])
def test_refuses_a_configuration_that_lacks_something(piper: Path, values: dict[str, object]) -> None:
    configure(piper, **values)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        examine(piper)


@pytest.mark.parametrize("kind", ["text", "PhonemeType.TEXT"])
def test_refuses_a_voice_that_was_taught_letters(piper: Path, kind: str) -> None:
    configure(piper, phoneme_type="PhonemeType.ESPEAK")
    assert examine(piper)
    configure(piper, phoneme_type=kind)
    with pytest.raises(ConfigurationError, match="letters"):
        examine(piper)


def test_refuses_a_kokoro_of_no_language_that_can_be_read(kokoro: Path) -> None:
    with (kokoro / "voices.bin").open("wb") as file:
        np.savez(file, jf_alpha=np.zeros((4, 1, 4), np.float32))
    with pytest.raises(ConfigurationError, match="no speaker of a language"):
        examine(kokoro)
