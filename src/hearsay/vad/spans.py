"""Where somebody speaks: probabilities of speech become spans, spans become stretches to be recognised.

Knows no detector's runtime and no recogniser. The hysteresis that makes spans of probabilities is that of
Silero's own `get_speech_timestamps` (github.com/snakers4/silero-vad). Everything works forwards, frame by
frame and piece by piece, so hours are heard in flat memory and the first stretch is known at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import SpeechSpan, VadThresholds

HYSTERESIS = 0.15
"""How far the probability must fall below the threshold before speech may end."""

MIN_SPEECH = 0.1
"""Seconds; a shorter span is a click, not a word."""

MIN_PAUSE = 0.2
"""Seconds below the threshold that make a place to cut, within a span as between two.

Shorter ones are as often the closure of a plosive within a word as a pause between two (measured: 2 of 4).
"""


LONG_SILENCE = 5.0
"""Seconds of silence over which no stretch reaches, and as many as are counted of any pause."""

CONTEXT = 1.0
"""Seconds of silence that a stretch keeps before and after its speech, where there are so many."""


@dataclass(frozen=True, slots=True)
class SpeechRegion:
    """Speech between two pauses; one or more pieces make a span."""

    start: float
    """Where the speech begins, padding included."""
    end: float
    """Where the speech ends, padding included."""
    earliest_start: float
    """Where a stretch begins that begins with this piece: at `start` or earlier."""
    latest_end: float
    """Where a stretch ends that ends with this piece: at `end` or later."""
    pause: float
    """Seconds without speech after it, at most `LONG_SILENCE`."""
    ends_span: bool
    """Whether a span ends with it; otherwise the pause after it lies within a span."""


def speech_regions(
    probabilities: NDArray[np.float32], thresholds: VadThresholds, *, frame_seconds: float, duration: float
) -> list[SpeechRegion]:
    """Find the speech of a recording of `duration` seconds, with every place where it may be cut.

    `probabilities`: `float32[n_frames]` in [0, 1], of frames of `frame_seconds` one after the other.
    """
    ear = SpeechSegmenter(thresholds, frame_seconds)
    return [*ear.feed(probabilities), *ear.finish(duration)]


def spans(
    probabilities: NDArray[np.float32],
    thresholds: VadThresholds,
    *,
    frame_seconds: float,
    duration: float | None = None,
) -> list[SpeechSpan]:
    """Find the spans of speech: padded, in order, never overlapping, within [0, `duration`].

    Shapes: see `speech_regions`. Without a duration the recording ends with its last frame.
    Source: snakers4/silero-vad, `get_speech_timestamps`.
    """
    if duration is None:
        duration = len(probabilities) * frame_seconds
    return list(
        join_regions(
            speech_regions(probabilities, thresholds, frame_seconds=frame_seconds, duration=duration)
        )
    )


def join_regions(speech: Iterable[SpeechRegion]) -> Iterator[SpeechSpan]:
    """Join the pieces of each span."""
    start: float | None = None
    end = 0.0
    for piece in speech:
        start = piece.start if start is None else start
        end = piece.end
        if piece.ends_span:
            yield SpeechSpan(start, end)
            start = None
    if start is not None:
        yield SpeechSpan(start, end)


@dataclass(frozen=True, slots=True)
class _Run:
    """Speech without a pause; what of the silence after it is its own is known once the next one is."""

    start: float
    """As in `SpeechRegion`."""
    earliest_start: float
    """As in `SpeechRegion`."""
    end: float
    """Where the probability fell, without padding."""
    ends_span: bool
    """As in `SpeechRegion`."""


class SpeechSegmenter:
    """Makes pieces of probabilities, fed in any portions. Counts in frames."""

    def __init__(self, thresholds: VadThresholds, frame_seconds: float) -> None:
        self._high = thresholds.threshold
        self._low = max(thresholds.threshold - HYSTERESIS, 0.01)
        self._padding = thresholds.padding
        self._context = max(thresholds.padding, CONTEXT)
        self._frame = frame_seconds
        self._min_silence = self._n_frames(thresholds.min_silence)
        self._min_speech = self._n_frames(MIN_SPEECH)
        self._min_pause = self._n_frames(MIN_PAUSE)
        self._long = self._n_frames(max(LONG_SILENCE, 2 * thresholds.padding))
        self._now = 0
        self._span: int | None = None  # where the open span began
        self._start = 0  # where the open run within it began
        self._dip: int | None = None  # since when the probability has been below the threshold
        self._low_since: int | None = None  # since when it has been so low that the span may end there
        self._last: _Run | None = None  # the run before the open one
        self._settles = 0  # when the silence after it will have been long

    def feed(self, probabilities: NDArray[np.float32]) -> list[SpeechRegion]:
        """Hear more frames, and give the pieces of which all is known now."""
        found: list[SpeechRegion] = []
        for probability in probabilities.tolist():
            if probability >= self._high:
                found += self._take_speech()
            elif self._span is not None:
                found += self._take_uncertain(probability)
            elif self._last is not None and self._now >= self._settles:
                found.append(self._settle(self._last))
            self._now += 1
        return found

    def finish(self, duration: float) -> list[SpeechRegion]:
        """Return the pieces still owed by a recording that ends here."""
        found: list[SpeechRegion] = []
        if self._span is not None and duration - self._span * self._frame >= MIN_SPEECH:
            found += self._close(duration, ends_span=True)
        if self._last is not None:
            found.append(self._settle(self._last, duration))
        self._span = None
        return found

    def _n_frames(self, seconds: float) -> int:
        return ceil(seconds / self._frame - 1e-6)

    def _take_speech(self) -> list[SpeechRegion]:
        found: list[SpeechRegion] = []
        if self._span is None:
            self._span = self._start = self._now
        elif self._dip is not None and self._now - self._dip >= self._min_pause:
            found = self._close(self._dip * self._frame, ends_span=False)
            self._start = self._now
        self._dip = self._low_since = None
        return found

    def _take_uncertain(self, probability: float) -> list[SpeechRegion]:
        """Hear a frame within a span that may be its end."""
        if self._dip is None:
            self._dip = self._now
        if probability >= self._low:
            return []
        if self._low_since is None:
            self._low_since = self._now
        if self._now - self._low_since < self._min_silence:
            return []
        span, end = self._span, self._low_since
        self._span = self._dip = self._low_since = None
        if span is None or end - span < self._min_speech:
            return []
        self._settles = end + self._long
        return self._close(end * self._frame, ends_span=True)

    def _close(self, end: float, *, ends_span: bool) -> list[SpeechRegion]:
        """End the open run, which tells what there is to know of the one before it."""
        start, last = self._start * self._frame, self._last
        if last is None:
            self._last = _Run(
                max(start - self._padding, 0.0), max(start - self._context, 0.0), end, ends_span
            )
            return []
        half = (start - last.end) / 2
        padding = min(half, self._padding) if last.ends_span else half
        context = min(half, self._context) if last.ends_span else half
        self._last = _Run(start - padding, start - context, end, ends_span)
        pause = min(start - last.end, LONG_SILENCE)
        return [
            SpeechRegion(
                last.start, last.end + padding, last.earliest_start, last.end + context, pause, last.ends_span
            )
        ]

    def _settle(self, last: _Run, duration: float = inf) -> SpeechRegion:
        """Return the run before, after which nobody speaks for long or ever."""
        self._last = None
        end, closes = (min(last.end + silence, duration) for silence in (self._padding, self._context))
        return SpeechRegion(last.start, end, last.earliest_start, closes, LONG_SILENCE, True)
