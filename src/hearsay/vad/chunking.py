"""Chunks of a recording, cut at pauses, to be recognised one by one.

Knows no detector's runtime and no recogniser. Works forwards, piece by piece, in flat memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio, SpeechSpan, VadThresholds
from hearsay.engines.protocols import SpeechDetector
from hearsay.vad.spans import LONG_SILENCE, MIN_PAUSE, SpeechRegion, SpeechSegmenter, join_regions

SURE_PAUSE = 0.6
"""Seconds from which a pause is as good a place to cut as any."""


PAUSE_WORTH = 0.4
"""Share of a window that may stay empty for the sake of a sure pause."""


LEAST_CONTEXT = 0.1
"""Seconds of silence that it keeps also where the window is full."""


BLOCK_FRAMES = 1024
"""Frames that are listened to at once."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A slice of a recording that begins and ends in silence, to be recognised by itself."""

    start: float
    """Seconds, whole hundredths: a frame of Whisper's."""
    end: float
    """Whole hundredths, too, or the end of the recording."""
    spans: tuple[SpeechSpan, ...]
    """The speech within."""


def pack_chunks(speech: Iterable[SpeechRegion], *, duration: float, window: float = 30.0) -> list[Chunk]:
    """Cut a recording of `duration` seconds at pauses into stretches of at most `window` seconds.

    Stretches are in order, never overlap and hold all the speech. They are cut nowhere but in pauses of at
    least `MIN_PAUSE`, so speech without such a pause may make one longer than the window. A recording that
    fits the window is one stretch, from its beginning to its end, if there is any speech in it.
    """
    packing = ChunkPacker(duration, window)
    found = [stretch for piece in speech for stretch in packing.add(piece)]
    return [*found, *packing.finish()]


def stream_chunks(
    audio: Audio, detector: SpeechDetector, thresholds: VadThresholds, *, window: float = 30.0
) -> Iterator[Chunk]:
    """Listen to a recording block by block, and give each stretch as soon as its end is certain.

    Gives what `pack_chunks` gives for the whole recording. Raises what the detector raises.
    """
    ear = SpeechSegmenter(thresholds, detector.frame_samples / SAMPLE_RATE)
    packing = ChunkPacker(audio.duration, window)
    for probabilities in _probabilities(audio, detector):
        for piece in ear.feed(probabilities):
            yield from packing.add(piece)
    for piece in ear.finish(audio.duration):
        yield from packing.add(piece)
    yield from packing.finish()


def _probabilities(audio: Audio, detector: SpeechDetector) -> Iterator[NDArray[np.float32]]:
    stream = detector.open()
    n_block = BLOCK_FRAMES * detector.frame_samples
    for start in range(0, audio.n_samples, n_block):
        yield stream.feed(audio.samples(start, start + n_block))
    yield stream.finish()


def _least_end(piece: SpeechRegion) -> float:
    """Return the earliest end of a stretch that ends with this piece."""
    return min(piece.latest_end, piece.end + LEAST_CONTEXT)


class ChunkPacker:
    """Packs pieces into stretches, one piece after the other."""

    def __init__(self, duration: float, window: float) -> None:
        self._duration = duration
        self._window = window
        self._whole = duration <= window
        self._held: list[
            SpeechRegion
        ] = []  # what the open stretch may hold; all of it fits the window but a single one

    def add(self, piece: SpeechRegion) -> list[Chunk]:
        """Take the next piece, and give the stretches of which all is known now."""
        found: list[Chunk] = []
        if not self._whole:
            while self._held and _least_end(piece) - self._begin > self._window and (n := self._best()):
                found.append(self._cut(n))
        self._held.append(piece)
        if piece.pause >= LONG_SILENCE and not self._whole:
            found.append(self._cut(len(self._held)))
        return found

    def finish(self) -> list[Chunk]:
        """Return the stretch still owed by a recording that ends here."""
        if not self._held:
            return []
        if self._whole:
            return [Chunk(0.0, self._duration, tuple(join_regions(self._held)))]
        return [self._cut(len(self._held))]

    @property
    def _begin(self) -> float:
        return round(self._held[0].earliest_start, 2)

    def _best(self) -> int:
        """Choose how many of the pieces held to take: a long pause is worth some of the window.

        0 where no pause is long enough yet.
        """
        numbers = [n for n, piece in enumerate(self._held, 1) if piece.pause >= MIN_PAUSE]

        def worth(n: int) -> float:
            last = self._held[n - 1]
            full = (last.end - self._begin) / self._window
            return full + PAUSE_WORTH * min(last.pause / SURE_PAUSE, 1.0)

        return max(numbers, key=worth, default=0)

    def _cut(self, n: int) -> Chunk:
        """Make a stretch of the first `n` pieces held."""
        begin, last = self._begin, self._held[n - 1]
        end = max(_least_end(last), min(last.latest_end, begin + self._window))
        end = round(end, 2) if end < self._duration - 0.005 else self._duration
        stretch = Chunk(begin, end, tuple(join_regions(self._held[:n])))
        del self._held[:n]
        return stretch
