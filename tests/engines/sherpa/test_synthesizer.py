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
from typing import Any

import numpy as np
import pytest

from hearsay.domain import Pcm, SynthesisOptions
from hearsay.engines.sherpa import cards
from hearsay.engines.sherpa import synthesizer as sherpa
from hearsay.engines.sherpa.synthesizer import SherpaSynthesizer
from hearsay.errors import Cancelled, ConfigurationError, EngineFailed, UnsupportedOption
from tests.support.paths import DATA

KOKORO, PIPER = DATA / "toy-kokoro", DATA / "toy-piper"
PHONEME_SECONDS = 0.04


@pytest.fixture(scope="module")
def kokoro() -> Iterator[SherpaSynthesizer]:
    voice = sherpa.load(KOKORO, sherpa.describe("toy", KOKORO), n_threads=1)
    yield voice
    voice.close()


@pytest.fixture(scope="module")
def piper() -> Iterator[SherpaSynthesizer]:
    voice = sherpa.load(PIPER, sherpa.describe("toy", PIPER), n_threads=1)
    yield voice
    voice.close()


def say(voice: SherpaSynthesizer, text: str, name: str = "af_heart", speed: float = 1.0) -> Pcm:
    blocks = list(voice.synthesize(text, SynthesisOptions(name, speed)))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


def test_says_every_phoneme(kokoro: SherpaSynthesizer) -> None:
    # "həlˈO wˈɜɹld." and the two tokens around it
    assert len(say(kokoro, "Hello world.")) == round((13 + 2) * PHONEME_SECONDS * kokoro.sample_rate)
    assert kokoro.sample_rate == 24_000


def test_the_speaker_is_the_one_asked_for(kokoro: SherpaSynthesizer, piper: SherpaSynthesizer) -> None:
    loudness = [np.abs(say(kokoro, "Hello.", voice.id)).max() / 32767 for voice in kokoro.voices]
    assert loudness == pytest.approx([0.1, 0.2, 0.3], abs=0.001)
    loudness = [np.abs(say(piper, "Hallo.", name)).max() / 32767 for name in ("otto", "anna")]
    assert loudness == pytest.approx([0.2, 0.1], abs=0.001)


def test_each_voice_reads_its_own_language(kokoro: SherpaSynthesizer) -> None:
    american, british = say(kokoro, "Hello, bird."), say(kokoro, "Hello, bird.", "bm_george")
    assert len(american) != len(british) or not np.array_equal(american, british // 2)
    assert len(say(kokoro, "Mucho hielo.", "ef_dora")) == round((12 + 2) * PHONEME_SECONDS * 24_000)


def test_speed_is_the_voices_own_within_its_bounds(kokoro: SherpaSynthesizer) -> None:
    normal = len(say(kokoro, "Hello world."))
    assert len(say(kokoro, "Hello world.", speed=2.0)) == normal // 2
    assert len(say(kokoro, "Hello world.", speed=0.5)) == normal * 2
    assert len(say(kokoro, "Hello world.", speed=4.0)) == normal // 2


def test_the_same_text_sounds_the_same_whatever_came_before(kokoro: SherpaSynthesizer) -> None:
    alone = say(kokoro, "One, two.")
    kokoro.synthesize("Three. Four, but not to the end; " * 6, SynthesisOptions("bm_george")).stop()
    say(kokoro, "¿Y esto?", "ef_dora")
    assert np.array_equal(say(kokoro, "One, two."), alone)


def test_a_long_text_comes_sentence_by_sentence(kokoro: SherpaSynthesizer) -> None:
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
def test_says_whatever_it_is_given(kokoro: SherpaSynthesizer, piper: SherpaSynthesizer, text: str) -> None:
    say(kokoro, text)
    say(piper, text, "anna")
    assert len(say(kokoro, "Hello."))


def test_what_cannot_be_said_is_no_sound(kokoro: SherpaSynthesizer, piper: SherpaSynthesizer) -> None:
    for text in ("—", "...", " ", ""):
        assert not len(say(kokoro, text))
        assert not len(say(piper, text, "anna"))


def test_refuses_a_voice_that_it_lacks(kokoro: SherpaSynthesizer) -> None:
    for name in ("anna", "jf_alpha", ""):
        with pytest.raises(UnsupportedOption, match="no voice"):
            kokoro.synthesize("Hello.", SynthesisOptions(name))


def test_a_stopped_piece_is_cancelled_and_holds_nobody_up(kokoro: SherpaSynthesizer) -> None:
    piece = kokoro.synthesize("Hello, hello, hello. " * 10, SynthesisOptions("af_heart"))
    piece.stop()
    with pytest.raises(Cancelled):
        list(piece)
    assert len(say(kokoro, "Hello."))


def test_a_killed_process_is_replaced_and_its_piece_said_all_the_same() -> None:
    voice = sherpa.load(KOKORO, sherpa.describe("toy", KOKORO), n_threads=1)
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


def test_voices_stand_in_the_order_of_the_card(kokoro: SherpaSynthesizer) -> None:
    card = next(card for card in cards.known() if card.id == "kokoro-82m")
    voice = sherpa.load(KOKORO, card, n_threads=1)
    voice.close()
    assert [one.id for one in voice.voices] == ["af_heart", "bm_george", "ef_dora"]


def test_names_the_remedy_where_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "sherpa_onnx" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'hearsay\[speech\]'"):
        sherpa.load(KOKORO, sherpa.describe("toy", KOKORO))


def test_says_why_a_folder_cannot_be_loaded(tmp_path: Path) -> None:
    card = sherpa.describe("toy", KOKORO)
    with pytest.raises(EngineFailed, match="holds no voice"):
        sherpa.load(tmp_path, card)


@pytest.mark.parametrize("damage", ["graph", "styles", "tokens"])
def test_says_that_a_damaged_voice_cannot_be_loaded(
    tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(KOKORO, tmp_path / "toy"))
    card = sherpa.describe("toy", folder)
    if damage == "graph":  # the metadata alone are left
        model = (folder / "model.onnx").read_bytes()
        (folder / "model.onnx").write_bytes(model[model.index(b"\x72\x14\x0a\x0amodel_type") :])
    elif damage == "styles":
        (folder / "voices.bin").write_bytes(b"\0" * 100)
    else:
        (folder / "tokens.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(EngineFailed, match="toy could not be started"):
        sherpa.load(folder, card, n_threads=1)


def test_the_servers_process_loads_neither_library() -> None:
    code = (
        "import sys; from pathlib import Path; from hearsay.engines.sherpa import synthesizer as sherpa\n"
        f"folder = Path({str(KOKORO)!r}); voice = sherpa.load(folder, sherpa.describe('toy', folder))\n"
        "voice.close()\n"
        "maps = Path('/proc/self/maps'); text = maps.read_text() if maps.exists() else ''\n"
        "sys.exit('sherpa_onnx' in sys.modules or 'espeak' in text or 'sherpa' in text)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
