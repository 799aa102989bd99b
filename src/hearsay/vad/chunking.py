"""Chunks of a recording, cut at pauses, for recognition one by one.

Knows no detector's runtime and no recogniser. Streams over regions in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio, SpeechSpan, VadThresholds
from hearsay.engines.protocols import SpeechDetector
from hearsay.vad.levelling import level
from hearsay.vad.spans import LONG_SILENCE, MIN_PAUSE, SpeechRegion, SpeechSegmenter, join_regions

FULL_PAUSE = 0.6
"""Pause beyond which a longer one is no better cut, seconds."""

PAUSE_WEIGHT = 0.4
"""Fraction of a window that may stay empty for a cut at a pause of `FULL_PAUSE`."""

MIN_CONTEXT = 0.1
"""Silence after the speech of a chunk that fills the window, seconds."""

MIN_TAIL = 0.1
"""Seconds beyond the window that hold no word: a recording that is longer by less fits the window."""

MAX_LEAD = 2.0
"""Seconds of silence with which a chunk may begin; the model would put the first words into more of it."""

BLOCK_FRAMES = 1024
"""Frames per call of the detector."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A slice of a recording that begins and ends in silence, recognised on its own."""

    start: float
    """Seconds, a multiple of 0.01: Whisper's frame."""
    end: float
    """Seconds, a multiple of 0.01 or the end of the recording."""
    spans: tuple[SpeechSpan, ...]
    """The speech in the chunk."""


def stream_chunks(
    audio: Audio, detector: SpeechDetector, thresholds: VadThresholds, *, window: float = 30.0
) -> Iterator[Chunk]:
    """Run the detector over a recording and yield each chunk as soon as its end is known.

    Chunks are in order, do not overlap, contain all speech and have at most `window` seconds. Cuts need a
    pause of at least `MIN_PAUSE`, so speech without one may exceed the window. A recording that fits the
    window is cut in long silences only. Raises what the detector raises.
    """
    segmenter = SpeechSegmenter(thresholds, detector.frame_samples / SAMPLE_RATE)
    packer = ChunkPacker(audio.duration, window)
    for probabilities in _probabilities(audio, detector):
        for region in segmenter.feed(probabilities):
            yield from packer.add(region)
    for region in segmenter.finish(audio.duration):
        yield from packer.add(region)
    yield from packer.finish()


def _probabilities(audio: Audio, detector: SpeechDetector) -> Iterator[NDArray[np.float32]]:
    stream = detector.open()
    n_block = BLOCK_FRAMES * detector.frame_samples
    for start in range(0, audio.n_samples, n_block):
        yield stream.feed(level(audio, start, min(start + n_block, audio.n_samples)))
    yield stream.finish()


def _min_end(region: SpeechRegion) -> float:
    """Return the earliest end of a chunk that ends with this region."""
    return min(region.latest_end, region.end + MIN_CONTEXT)


class ChunkPacker:
    """Packs regions into chunks, one region after the other."""

    def __init__(self, duration: float, window: float) -> None:
        self._duration = duration
        self._window = window
        self._fits_window = duration <= window + MIN_TAIL
        self._is_first = True
        self._regions: list[SpeechRegion] = []
        """Regions of the open chunk; they fit the window, unless there is only one."""

    def add(self, region: SpeechRegion) -> list[Chunk]:
        """Add the next region and return the chunks that are complete now."""
        found: list[Chunk] = []
        if not self._fits_window:
            while self._regions and _min_end(region) - self._start > self._window and (n := self._best_cut()):
                found.append(self._cut(n))
        self._regions.append(region)
        if region.pause >= LONG_SILENCE:
            found.append(self._cut(len(self._regions)))
        return found

    def finish(self) -> list[Chunk]:
        """Return the last chunk of a recording that ends here."""
        return [self._cut(len(self._regions))] if self._regions else []

    @property
    def _start(self) -> float:
        start = round(self._regions[0].earliest_start, 2)
        return 0.0 if start <= MAX_LEAD and self._is_first else start

    def _best_cut(self) -> int:
        """Return how many regions to take, preferring long pauses and full windows; 0 without a pause."""
        numbers = [n for n, region in enumerate(self._regions, 1) if region.pause >= MIN_PAUSE]

        def score(n: int) -> float:
            last = self._regions[n - 1]
            full = (last.end - self._start) / self._window
            return full + PAUSE_WEIGHT * min(last.pause / FULL_PAUSE, 1.0)

        return max(numbers, key=score, default=0)

    def _cut(self, n: int) -> Chunk:
        start, last = self._start, self._regions[n - 1]
        end = max(_min_end(last), min(last.latest_end, start + self._window))
        rest = self._duration - min(last.end, start + self._window - LONG_SILENCE)
        is_near_end = last.pause == inf and rest < LONG_SILENCE
        end = round(end, 2) if end < self._duration - 0.005 and not is_near_end else self._duration
        chunk = Chunk(start, end, tuple(join_regions(self._regions[:n])))
        del self._regions[:n]
        self._is_first = False
        return chunk
