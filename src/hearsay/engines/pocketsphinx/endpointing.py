"""Cuts a recording, as it arrives, into utterances: stretches of speech between pauses, none of them long.

Knows no recogniser; what counts as speech is asked of a function, frame by frame. Silence is dropped, and
memory holds no more than one utterance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
"""`int16[n_samples]`, mono, at 16 kHz."""

FRAME_SAMPLES = 480
"""Samples that are judged at once (30 ms)."""


@dataclass(frozen=True, slots=True)
class EndpointingSettings:
    """Where to cut; in frames of 30 ms."""

    pause: int = 10
    """Silence that ends an utterance."""
    margin: int = 7
    """Silence kept before and after; less than a pause."""
    shortest: int = 3
    """Less speech than this in an utterance is a click, and is dropped."""
    longest: int = 400
    """An utterance without a pause is cut at its quietest frame when it gets this long (12 s)."""
    search: int = 133
    """How far from its end that quietest frame is looked for (4 s)."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """A stretch of a recording."""

    start: int
    """Number of its first sample in the recording."""
    pcm: Pcm


class Endpointer:
    """One recording being cut."""

    def __init__(
        self, is_speech: Callable[[bytes], bool], cutting: EndpointingSettings | None = None
    ) -> None:
        """Begin a recording; `is_speech` judges 960 bytes of `s16le`, and may remember the frames before."""
        self._is_speech = is_speech
        self._cutting = cutting or EndpointingSettings()
        self._rest: Pcm = np.zeros(0, np.int16)
        self._frames: list[Pcm] = []
        self._speech: list[bool] = []
        self._start = 0

    def feed(self, pcm: Pcm) -> Iterator[Utterance]:
        """Take more of the recording and give the utterances that it completed."""
        pcm = np.concatenate([self._rest, pcm])
        n_whole = len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = pcm[n_whole:].copy()
        for frame in pcm[:n_whole].reshape(-1, FRAME_SAMPLES):
            yield from self._take(frame)

    def finish(self) -> Iterator[Utterance]:
        """End the recording and give the utterance that was open; less than a frame at the end is dropped."""
        utterance = self.open_utterance()
        self._forget(len(self._frames))
        if utterance is not None:
            yield utterance

    def open_utterance(self) -> Utterance | None:
        """Return what has been heard of the utterance that is still open."""
        return self._cut(self._end()) if sum(self._speech) >= self._cutting.shortest else None

    def _take(self, frame: Pcm) -> Iterator[Utterance]:
        self._frames.append(frame)
        self._speech.append(bool(self._is_speech(frame.tobytes())))
        if not any(self._speech):
            self._forget(len(self._frames) - self._cutting.margin)
        elif not any(self._speech[-self._cutting.pause :]):
            yield from self._complete(self._end())
        elif len(self._frames) >= self._cutting.longest:
            yield from self._complete(self._quietest())

    def _complete(self, end: int) -> Iterator[Utterance]:
        spoken = sum(self._speech[:end]) >= self._cutting.shortest
        utterance = self._cut(end)
        self._forget(end)
        if spoken:
            yield utterance

    def _end(self) -> int:
        """Find the frame after the last speech and the margin that follows it."""
        last = max((number for number, speech in enumerate(self._speech) if speech), default=-1)
        return min(last + 1 + self._cutting.margin, len(self._frames))

    def _quietest(self) -> int:
        """Find the frame near the end whose surroundings are quietest."""
        first = len(self._frames) - self._cutting.search
        loudness = [float(np.mean(frame.astype(np.float32) ** 2)) for frame in self._frames[first:]]
        smooth = np.convolve(loudness, np.ones(5), mode="valid")
        return first + 2 + int(np.argmin(smooth))

    def _cut(self, end: int) -> Utterance:
        return Utterance(self._start, np.concatenate(self._frames[:end]))

    def _forget(self, n_frames: int) -> None:
        if n_frames <= 0:
            return
        del self._frames[:n_frames], self._speech[:n_frames]
        self._start += n_frames * FRAME_SAMPLES
