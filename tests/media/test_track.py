"""Frames on a timeline: gaps, jumps, damaged clocks. Whole files are `media/test_decoding.py`'s."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
from av.audio.frame import AudioFrame

from hearsay.domain import SAMPLE_RATE
from hearsay.media.track import MAX_GAP, MAX_SILENCE_RATIO, Track


def frames(*begins: float | None, n_samples: int = 1600) -> list[AudioFrame]:
    """Return loud frames of 16 kHz mono with times."""
    made = []
    for begin in begins:
        frame = AudioFrame.from_ndarray(np.full((1, n_samples), 1000, np.int16), "s16", "mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        frame.pts = None if begin is None else round(begin * SAMPLE_RATE)
        made.append(frame)
    return made


def take(made: list[AudioFrame], start: float | None = None) -> tuple[Track, str]:
    """Return the track and its output for the frames: x for 0.1 s of audio, a dot for silence."""
    pcm = io.BytesIO()
    track = Track(pcm, None, start)
    for frame, following in zip(made, [*made[1:], None], strict=True):
        track._add(frame, following)
    samples = np.frombuffer(pcm.getvalue(), np.int16)
    return track, "".join(".x"[int(any(samples[i : i + 1600]))] for i in range(0, len(samples), 1600))


@pytest.mark.parametrize(
    ("begins", "heard", "jumps"),
    [
        ((0.0, 0.1, 0.2), "xxx", 0),
        ((5.0, 5.1, 5.2), "xxx", 0),
        ((0.0, 0.1, 0.5, 0.6), "xx...xx", 0),
        ((0.0, 0.15, 0.2), "xxx", 0),
        ((0.0, 0.1, 9.0, 0.3), "xxxx", 0),
        ((0.0, 0.1, 0.0, 0.1), "xxxx", 1),
        ((0.0, 0.1, 100.0, 100.1), "xxxx", 1),
        ((None, None, None), "xxx", 0),
    ],
)
def test_holes_are_filled_and_damaged_clocks_are_not_believed(
    begins: tuple[float | None, ...], heard: str, jumps: int
) -> None:
    track, pattern = take(frames(*begins))
    assert pattern == heard
    assert track.n_jumps == jumps
    assert track.filled_seconds == pytest.approx(0.1 * pattern.count("."))


def test_small_frames_stay_in_their_order_around_holes() -> None:
    track, pattern = take([*frames(0.0, 0.05, n_samples=800), *frames(0.3, 0.3125, 0.325, n_samples=200)])
    assert pattern == "x..x"
    assert track.n_samples == 4800 + 600


def test_sound_that_begins_late_in_a_film_stays_late() -> None:
    track, pattern = take(frames(0.5, 0.6), start=0.0)
    assert pattern == ".....xx"
    assert track.filled_seconds == 0


def test_a_clock_that_runs_too_fast_cannot_make_hours_of_silence() -> None:
    begins = [0.1 * number for number in range(5000)]
    track, _ = take(frames(*begins, n_samples=16))
    sound = 5000 * 16 / SAMPLE_RATE
    assert track.n_jumps > 0
    assert MAX_GAP < track.filled_seconds <= MAX_GAP + MAX_SILENCE_RATIO * sound
