"""Spans and chunks: Silero's hysteresis, cuts in silence only, blocks equal to the whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, SpeechSpan, VadThresholds
from hearsay.vad import spans as speech
from tests.support.speech import spans
from tests.support.vad_frames import DEFAULT, FRAME, drawn, edges, recordings, thresholds_used


def reference(
    probabilities: NDArray[np.float32], thresholds: VadThresholds, n_samples: int
) -> list[SpeechSpan]:
    """Find raw spans by the rules of Silero's function, in samples, and pad them as it does."""
    found: list[list[float]] = []
    start = end = None
    for i, p in enumerate(probabilities.tolist()):
        now = i * 512
        if p >= thresholds.threshold:
            end = None
            start = now if start is None else start
        elif start is not None and p < max(thresholds.threshold - 0.15, 0.01):
            end = now if end is None else end
            if now - end >= thresholds.min_silence * SAMPLE_RATE - 0.01:
                if end - start >= speech.MIN_SPEECH * SAMPLE_RATE:
                    found.append([start, end])
                start = end = None
    if start is not None and n_samples - start >= speech.MIN_SPEECH * SAMPLE_RATE:
        found.append([start, n_samples])
    padding = thresholds.padding * SAMPLE_RATE
    gaps = [(a, b, min(padding, (b - a) / 2)) for (_, a), (b, _) in pairwise(found)]
    for i, (_, _, keep) in enumerate(gaps):
        found[i][1] += keep
        found[i + 1][0] -= keep
    if found:
        found[0][0] = max(0, found[0][0] - padding)
        found[-1][1] = min(n_samples, found[-1][1] + padding)
    return [SpeechSpan(a / SAMPLE_RATE, b / SAMPLE_RATE) for a, b in found]


def test_a_span_is_padded() -> None:
    (span,) = spans(drawn((3.2, 0), (1.6, 0.9), (3.2, 0)), DEFAULT, frame_seconds=FRAME)
    assert [span.start, span.end] == pytest.approx([2.9, 5.1])


def test_speech_goes_on_at_a_probability_that_would_not_begin_it() -> None:
    (span,) = spans(drawn((1.6, 0.1), (0.64, 0.9), (3.2, 0.1), (3.2, 0)), DEFAULT, frame_seconds=FRAME)
    assert [span.start, span.end] == pytest.approx([1.3, 1.6 + 0.64 + 3.2 + 0.3])


def test_padding_shares_a_short_silence() -> None:
    first, second = spans(
        drawn((1.6, 0), (1.6, 1), (0.32, 0), (1.6, 1), (1.6, 0)), DEFAULT, frame_seconds=FRAME
    )
    assert first.end == second.start == pytest.approx(3.36)


def test_a_click_is_no_speech() -> None:
    assert spans(drawn((1.6, 0), (0.064, 1), (1.6, 0)), DEFAULT, frame_seconds=FRAME) == []


@given(recordings(), thresholds_used, st.integers(1, 512))
def test_spans_are_those_of_the_reference(
    probabilities: NDArray[np.float32], thresholds: VadThresholds, last: int
) -> None:
    n_samples = (len(probabilities) - 1) * 512 + last
    found = spans(probabilities, thresholds, frame_seconds=FRAME, duration=n_samples / SAMPLE_RATE)
    expected = reference(probabilities, thresholds, n_samples)
    assert edges(found) == pytest.approx(edges(expected), abs=1e-6)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(found))
