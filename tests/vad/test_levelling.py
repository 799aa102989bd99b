"""Levelling: bounded gain, silence stays silent, and blocks give what the whole gives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio
from hearsay.vad.levelling import MAX_GAIN, TARGET, level


@st.composite
def recordings(draw: st.DrawFn) -> Audio:
    """Return up to some seconds of noise whose loudness changes."""
    lengths = st.one_of(st.integers(1, 900), st.integers(1, 2 * SAMPLE_RATE))
    loudness = st.sampled_from([0.0, 1.0, 30.0, 300.0, 3000.0, 20_000.0])
    rng = np.random.default_rng(draw(st.integers(0, 100)))
    runs = draw(st.lists(st.tuples(lengths, loudness), min_size=1, max_size=8))
    parts = [rng.uniform(-1, 1, n) * loud for n, loud in runs]
    return Audio(np.round(np.concatenate(parts)).astype(np.int16))


def whole(audio: Audio) -> NDArray[np.float32]:
    return level(audio, 0, audio.n_samples)


def rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def tone(amplitude: float, seconds: float) -> NDArray[np.int16]:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.round(np.sin(2 * np.pi * 200 * t) * amplitude * 32767).astype(np.int16)


@given(recordings())
def test_the_gain_is_bounded_and_each_sample_keeps_its_sign(audio: Audio) -> None:
    samples, levelled = audio.samples(), whole(audio)
    assert levelled.dtype == np.float32
    assert levelled.shape == samples.shape
    assert (np.abs(levelled) <= np.abs(samples) * MAX_GAIN * (1 + 1e-6)).all()
    assert (np.abs(levelled) >= np.abs(samples) * TARGET * (1 - 1e-6)).all()  # full scale is made TARGET
    assert (np.sign(levelled) == np.sign(samples)).all()


@given(recordings(), st.lists(st.integers(0, 10**6), max_size=5))
@settings(deadline=None)
def test_blocks_give_what_the_whole_gives(audio: Audio, cuts: list[int]) -> None:
    edges = sorted({0, audio.n_samples, *(cut % (audio.n_samples + 1) for cut in cuts)})
    blocks = [level(audio, start, stop) for start, stop in pairwise(edges)]
    assert np.array_equal(np.concatenate(blocks), whole(audio))


def test_silence_stays_silent() -> None:
    assert not whole(Audio(np.zeros(3 * SAMPLE_RATE, np.int16))).any()


@pytest.mark.parametrize("amplitude", [0.9, 0.1, 0.01, 0.002])
def test_speech_of_any_loudness_gets_the_same_level(amplitude: float) -> None:
    assert rms(whole(Audio(tone(amplitude, 3.0)))) == pytest.approx(TARGET, rel=0.05)


def test_a_quiet_talker_after_a_loud_one_is_raised_and_pauses_between_words_are_not() -> None:
    pause = np.zeros(SAMPLE_RATE // 2, np.int16)
    pause[::2] = 3  # -82 dBFS
    audio = Audio(np.concatenate([tone(0.5, 3.0), pause, tone(0.5, 3.0), tone(0.01, 5.0)]))
    levelled = whole(audio)
    assert rms(levelled[3 * SAMPLE_RATE :][: len(pause)]) < TARGET / 100
    assert rms(levelled[-3 * SAMPLE_RATE :]) == pytest.approx(TARGET, rel=0.05)
