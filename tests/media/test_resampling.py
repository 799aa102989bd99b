"""Changing rate and tempo: lengths, pitch, and no artefacts at block boundaries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.domain import Pcm
from hearsay.media.resampling import RateTempoChanger


def tone(rate: int, seconds: float, pitch: float = 1000.0) -> Pcm:
    return np.round(np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate) * 16_000).astype(
        np.int16
    )


def retimed(
    pcm: Pcm, source_rate: int, rate: int, tempo: float = 1.0, blocks: tuple[int, ...] = (441,)
) -> Pcm:
    retiming = RateTempoChanger(source_rate=source_rate, rate=rate, tempo=tempo)
    heard = [np.zeros(0, np.int16)]
    start, turn = 0, 0
    while start < len(pcm):
        size = blocks[turn % len(blocks)]
        heard += retiming.feed(pcm[start : start + size])
        start, turn = start + size, turn + 1
    return np.concatenate([*heard, *retiming.finish()])


def purity(pcm: Pcm, rate: int, pitch: float) -> float:
    """Return by how many decibels a tone is louder than all else."""
    window = np.blackman(len(pcm)) ** 2
    power = np.abs(np.fft.rfft(pcm * window)) ** 2
    near = np.abs(np.fft.rfftfreq(len(pcm), 1 / rate) - pitch) < 40
    return float(10 * np.log10(power[near].sum() / power[~near].sum()))


@pytest.mark.parametrize(("source_rate", "rate"), [(22_050, 48_000), (24_000, 8000), (16_000, 44_100)])
def test_a_tone_stays_pure_at_another_rate(source_rate: int, rate: int) -> None:
    heard = retimed(tone(source_rate, 1.0), source_rate, rate, blocks=(221, 1, 900, 37))
    assert len(heard) == rate
    assert purity(heard[rate // 10 : -rate // 10], rate, 1000) > 70


@pytest.mark.parametrize("tempo", [0.05, 0.25, 0.5, 0.9, 1.1, 1.7, 2.0, 5.0, 20.0])
def test_a_tempo_changes_the_length_and_not_the_pitch(tempo: float) -> None:
    heard = retimed(tone(16_000, 2.0), 16_000, 16_000, tempo)
    assert len(heard) == pytest.approx(2 * 16_000 / tempo, abs=1)
    middle = heard[len(heard) // 8 : -len(heard) // 8]
    assert np.fft.rfftfreq(len(middle), 1 / 16_000)[np.abs(np.fft.rfft(middle)).argmax()] == pytest.approx(
        1000, rel=0.02
    )
    assert np.abs(middle).max() == pytest.approx(16_000, rel=0.1)


@pytest.mark.parametrize("tempo", [0.5, 1.7, 3.0])
def test_a_tone_stays_clean_at_another_tempo(tempo: float) -> None:
    heard = retimed(tone(16_000, 3.0), 16_000, 16_000, tempo, blocks=(221, 1, 900, 37))
    assert purity(heard[4000:-4000], 16_000, 1000) > 20


def test_both_at_once() -> None:
    heard = retimed(tone(22_050, 2.0), 22_050, 8000, 2.5)
    assert len(heard) == 2 * 8000 / 2.5


@pytest.mark.parametrize("n_samples", [0, 1, 10, 500])
@pytest.mark.parametrize("tempo", [0.25, 1.0, 4.0])
def test_hardly_any_sound_is_as_long_as_it_should_be(n_samples: int, tempo: float) -> None:
    heard = retimed(tone(16_000, 1.0)[:n_samples], 16_000, 24_000, tempo)
    assert len(heard) == round(n_samples * 1.5 / tempo)


@settings(max_examples=25, deadline=None)
@given(
    blocks=st.lists(st.integers(1, 5000), min_size=1, max_size=8).map(tuple),
    tempo=st.sampled_from([0.6, 1.0, 2.7]),
    rate=st.sampled_from([8000, 16_000, 22_050]),
)
def test_blocks_make_no_difference(blocks: tuple[int, ...], tempo: float, rate: int) -> None:
    pcm = np.random.default_rng(7).normal(0, 5000, 8000).astype(np.int16)
    whole = retimed(pcm, 16_000, rate, tempo, (len(pcm),))
    assert np.array_equal(retimed(pcm, 16_000, rate, tempo, blocks), whole)
