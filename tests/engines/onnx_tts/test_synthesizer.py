"""Neural voices speak through a process of their own; the toy voices say how long and in which pitch."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hearsay.domain import Pcm, SynthesisOptions
from hearsay.engines.onnx_tts import cards
from hearsay.engines.onnx_tts.synthesizer import OnnxSynthesizer, load
from hearsay.engines.onnx_tts.voice_folder import describe
from hearsay.errors import Cancelled, EngineFailed, UnsupportedOption
from tests.support.paths import DATA

KOKORO, RAW_KOKORO, PIPER = DATA / "toy-kokoro", DATA / "toy-kokoro-raw", DATA / "toy-piper"
PHONEME_SECONDS = 0.04


@pytest.fixture(scope="module")
def kokoro() -> Iterator[OnnxSynthesizer]:
    voice = load(KOKORO, describe("toy", KOKORO), n_threads=1)
    yield voice
    voice.close()


@pytest.fixture(scope="module")
def piper() -> Iterator[OnnxSynthesizer]:
    voice = load(PIPER, describe("toy", PIPER), n_threads=1)
    yield voice
    voice.close()


def say(voice: OnnxSynthesizer, text: str, name: str = "af_heart", speed: float = 1.0) -> Pcm:
    blocks = list(voice.synthesize(text, SynthesisOptions(name, speed)))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


def test_says_every_phoneme(kokoro: OnnxSynthesizer) -> None:
    # "həlˈO wˈɜɹld." and the two tokens around it
    assert len(say(kokoro, "Hello world.")) == round((13 + 2) * PHONEME_SECONDS * kokoro.sample_rate)
    assert kokoro.sample_rate == 24_000


def test_the_speaker_is_the_one_asked_for(kokoro: OnnxSynthesizer, piper: OnnxSynthesizer) -> None:
    loudness = [np.abs(say(kokoro, "Hello.", voice.id)).max() / 32767 for voice in kokoro.voices]
    assert loudness == pytest.approx([0.1, 0.2, 0.3], abs=0.001)
    third = slice(2 * 882, 3 * 882)  # samples of the first phoneme, after what begins a sentence
    otto, anna = (np.fft.rfft(say(piper, "Hallo.", name)[third]) for name in ("otto", "anna"))
    assert np.abs(otto).argmax() == pytest.approx(2 * np.abs(anna).argmax(), abs=1)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_kokoro_speaks_in_its_own_projects_files(kokoro: OnnxSynthesizer, n_threads: int) -> None:
    voice = load(RAW_KOKORO, describe("toy", RAW_KOKORO), n_threads=n_threads)
    try:
        assert (voice.sample_rate, [one.id for one in voice.voices]) == (
            24_000,
            ["af_heart", "bm_george", "ef_dora"],
        )
        for name, loudness in (("af_heart", 0.1), ("bm_george", 0.2)):
            spoken = say(voice, "Hello world.", name)
            assert len(spoken) == len(say(kokoro, "Hello world.", name))
            assert np.abs(spoken).max() / 32767 == pytest.approx(loudness, abs=0.001)
    finally:
        voice.close()


def test_a_piper_is_as_loud_as_can_be(piper: OnnxSynthesizer) -> None:
    assert piper.sample_rate == 22_050
    assert np.abs(say(piper, "Hallo.", "anna")).max() == 32767


def test_each_voice_reads_its_own_language(kokoro: OnnxSynthesizer) -> None:
    american, british = say(kokoro, "Hello, bird."), say(kokoro, "Hello, bird.", "bm_george")
    assert len(american) != len(british) or not np.array_equal(american, british // 2)
    assert len(say(kokoro, "Mucho hielo.", "ef_dora")) == round((12 + 2) * PHONEME_SECONDS * 24_000)


def test_speed_is_the_voices_own_within_its_bounds(kokoro: OnnxSynthesizer) -> None:
    normal = len(say(kokoro, "Hello world."))
    assert len(say(kokoro, "Hello world.", speed=2.0)) == normal // 2
    assert len(say(kokoro, "Hello world.", speed=0.5)) == normal * 2
    assert len(say(kokoro, "Hello world.", speed=4.0)) == normal // 2


def test_the_same_text_sounds_the_same_whatever_came_before(kokoro: OnnxSynthesizer) -> None:
    alone = say(kokoro, "One, two.")
    kokoro.synthesize("Three. Four, but not to the end; " * 6, SynthesisOptions("bm_george")).stop()
    say(kokoro, "¿Y esto?", "ef_dora")
    assert np.array_equal(say(kokoro, "One, two."), alone)


def test_a_long_text_comes_sentence_by_sentence(kokoro: OnnxSynthesizer) -> None:
    text = "The quick brown fox jumps over the lazy dog and then goes home. " * 4
    blocks = list(kokoro.synthesize(text, SynthesisOptions("af_heart")))
    assert sum(map(len, blocks)) / 24_000 > 4 * 50 * PHONEME_SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "word" * 75,
        "0123456789 " * 27,
        "<speak>Hello</speak> & [[hello]]",
        "a\0b\x01c\x1b",
        "你好 Привет 🎈",
        "\ud800",
    ],
    ids=["endless", "digits", "markup", "controls", "foreign", "surrogate"],
)
def test_says_whatever_it_is_given(kokoro: OnnxSynthesizer, piper: OnnxSynthesizer, text: str) -> None:
    say(kokoro, text)
    say(piper, text, "anna")
    assert len(say(kokoro, "Hello."))


def test_what_cannot_be_said_is_no_sound(kokoro: OnnxSynthesizer, piper: OnnxSynthesizer) -> None:
    for text in ("—", "...", " ", ""):
        assert not len(say(kokoro, text))
        assert not len(say(piper, text, "anna"))


def test_refuses_a_voice_that_it_lacks(kokoro: OnnxSynthesizer) -> None:
    for name in ("anna", "jf_alpha", ""):
        with pytest.raises(UnsupportedOption, match="no voice"):
            kokoro.synthesize("Hello.", SynthesisOptions(name))


def test_a_stopped_piece_is_cancelled_and_holds_nobody_up(kokoro: OnnxSynthesizer) -> None:
    piece = kokoro.synthesize("Hello, hello, hello. " * 10, SynthesisOptions("af_heart"))
    piece.stop()
    with pytest.raises(Cancelled):
        list(piece)
    assert len(say(kokoro, "Hello."))


def test_a_killed_process_is_replaced_and_its_piece_said_all_the_same() -> None:
    voice = load(KOKORO, describe("toy", KOKORO), n_threads=1)
    try:
        (pid,) = voice._processes.pids
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)  # or it might answer before the signal reaches it
        piece = voice.synthesize("Hello.", SynthesisOptions("af_heart"))
        os.kill(pid, signal.SIGKILL)
        assert sum(map(len, piece)) == len(say(voice, "Hello."))
        assert voice._processes.pids != [pid]
    finally:
        voice.close()
    with pytest.raises(EngineFailed, match="closed"):
        voice.synthesize("Hello.", SynthesisOptions("af_heart"))


def test_voices_stand_in_the_order_of_the_card(kokoro: OnnxSynthesizer) -> None:
    card = next(card for card in cards.known() if card.id == "kokoro-82m")
    voice = load(KOKORO, card, n_threads=1)
    voice.close()
    assert [one.id for one in voice.voices] == ["af_heart", "bm_george", "ef_dora"]


def test_names_the_remedy_where_espeak_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineFailed, match="pip install espeakng-loader"):
        load(KOKORO, describe("toy", KOKORO))


def test_says_why_a_folder_cannot_be_loaded(tmp_path: Path) -> None:
    card = describe("toy", KOKORO)
    with pytest.raises(EngineFailed, match="holds no voice"):
        load(tmp_path, card)


@pytest.mark.parametrize("damage", ["graph", "styles", "another's"])
def test_says_that_a_damaged_voice_cannot_be_loaded(tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(RAW_KOKORO, tmp_path / "toy"))
    card = describe("toy", folder)
    if damage == "graph":
        (folder / "kokoro-v1.0.onnx").write_bytes(b"")
    elif damage == "styles":
        with (folder / "voices-v1.0.bin").open("wb") as file:
            np.savez(file, af_heart=np.zeros((510, 1, 3), np.float32))
    else:
        shutil.copy(PIPER / "de_DE-toy-low.onnx", folder / "kokoro-v1.0.onnx")
    with pytest.raises(EngineFailed, match="toy could not be started: the model cannot be loaded"):
        load(folder, card, n_threads=1)


def test_the_servers_process_loads_neither_library() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from hearsay.engines.onnx_tts import synthesizer, voice_folder\n"
        f"folder = Path({str(KOKORO)!r})\n"
        "voice = synthesizer.load(folder, voice_folder.describe('toy', folder))\n"
        "voice.close()\n"
        "maps = Path('/proc/self/maps'); text = maps.read_text() if maps.exists() else ''\n"
        "sys.exit(bool({'openvino', 'onnxruntime'} & sys.modules.keys()) or 'espeak' in text)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
