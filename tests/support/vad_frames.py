"""A detector that reads its probabilities off the samples, and probabilities to write into them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio, Samples, SpeechSpan, VadThresholds

FRAME = 512 / SAMPLE_RATE


DEFAULT = VadThresholds()


class Sheet:
    """A detector that reads its probabilities off the samples: the first sample of each frame."""

    frame_samples = 512

    def open(self) -> SheetStream:
        return SheetStream()


class SheetStream:
    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> NDArray[np.float32]:
        heard = np.concatenate([self._rest, samples])
        n = len(heard) // 512
        self._rest = heard[n * 512 :]
        return heard[: n * 512 : 512]

    def finish(self) -> NDArray[np.float32]:
        return self._rest[:1]


def sheet(probabilities: NDArray[np.float32], n_samples: int) -> Audio:
    """Write probabilities into a recording for `Sheet`."""
    pcm = np.zeros(n_samples, np.int16)
    pcm[::512] = np.round(probabilities * 32767)
    return Audio(pcm)


def drawn(*parts: tuple[float, float]) -> NDArray[np.float32]:
    """Draw probabilities: (seconds, probability) one after the other."""
    return np.concatenate([np.full(round(seconds / FRAME), p, np.float32) for seconds, p in parts])


@st.composite
def recordings(draw: st.DrawFn) -> NDArray[np.float32]:
    """Return probabilities of up to about three minutes: runs of one level each, as speech and pauses are."""
    level = st.sampled_from([0.0, 0.1, 0.345, 0.36, 0.45, 0.5, 0.8, 1.0])
    length = st.one_of(st.integers(1, 12), st.integers(1, 60), st.integers(100, 1200))
    runs = draw(st.lists(st.tuples(length, level), min_size=1, max_size=25))
    return np.concatenate([np.full(n, p, np.float32) for n, p in runs])


thresholds_used = st.builds(
    VadThresholds,
    threshold=st.sampled_from([0.3, 0.5, 0.9]),
    min_silence=st.sampled_from([0.0, 0.1, 0.2, 0.5, 2.0]),
    padding=st.sampled_from([0.0, 0.03, 0.3, 1.5, 4.0]),
)


def edges(found: list[SpeechSpan]) -> list[float]:
    return [edge for span in found for edge in (span.start, span.end)]
