"""The fake synthesizer: a tone for every word, whose pitch is the voice and whose length the speed."""

from __future__ import annotations

import numpy as np
import pytest

from hearsay.domain import SynthesisOptions
from hearsay.engines.fake.recognizer import Faults
from hearsay.engines.fake.synthesizer import PITCHES, SAMPLE_RATE, WORD_SECONDS, FakeSynthesizer
from hearsay.engines.protocols import Synthesizer
from hearsay.errors import Cancelled, EngineFailed, UnsupportedOption

HIGH = SynthesisOptions("high")


def test_it_is_a_synthesizer() -> None:
    assert isinstance(FakeSynthesizer(), Synthesizer)


@pytest.mark.parametrize(
    ("text", "n_words"), [("one two three", 3), ("", 0), (" — … ", 0), ("So — no.", 2), ("a-b 7", 2)]
)
def test_every_word_is_a_block(text: str, n_words: int) -> None:
    blocks = list(FakeSynthesizer().synthesize(text, HIGH))
    assert len(blocks) == n_words
    assert all(block.dtype == np.int16 for block in blocks)
    assert all(len(block) == WORD_SECONDS * SAMPLE_RATE for block in blocks)


@pytest.mark.parametrize("voice", PITCHES)
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_the_pitch_tells_the_voice_and_the_length_the_speed(voice: str, speed: float) -> None:
    (block,) = FakeSynthesizer().synthesize("word", SynthesisOptions(voice, speed))
    assert len(block) == round(WORD_SECONDS / speed * SAMPLE_RATE)
    n_loud = round(0.9 * len(block))
    assert not block[n_loud:].any()
    spectrum = np.abs(np.fft.rfft(block[:n_loud] * np.hanning(n_loud), SAMPLE_RATE))
    assert spectrum.argmax() == pytest.approx(PITCHES[voice], abs=2)


def test_an_unknown_voice_is_refused_at_once() -> None:
    with pytest.raises(UnsupportedOption, match="'odd'") as caught:
        FakeSynthesizer().synthesize("word", SynthesisOptions("odd"))
    assert caught.value.param == "voice"


def test_stopping_ends_it_before_the_next_word() -> None:
    stream = FakeSynthesizer().synthesize("one two three", HIGH)
    blocks = iter(stream)
    next(blocks)
    stream.stop()
    stream.stop()
    with pytest.raises(Cancelled):
        next(blocks)


def test_faults_befall_it_as_told() -> None:
    paused: list[None] = []
    faults = Faults(fail_after=2, pause=lambda: paused.append(None))
    blocks = iter(FakeSynthesizer(faults).synthesize("one two three", HIGH))
    assert [len(next(blocks)), len(next(blocks))] == [6000, 6000]
    with pytest.raises(EngineFailed):
        next(blocks)
    assert len(paused) == 3


def test_once_closed_it_says_nothing() -> None:
    engine = FakeSynthesizer()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.synthesize("word", HIGH)
