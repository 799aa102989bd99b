"""Speech spans from speech probabilities, and the pauses at which they may be cut.

Knows no detector's runtime and no recogniser. Streams frame by frame in constant memory. Source of the
hysteresis: `get_speech_timestamps` of Silero VAD (github.com/snakers4/silero-vad).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import SpeechSpan, VadThresholds

CERTAIN = 0.5
"""Probability from which a frame is speech beyond doubt."""

HYSTERESIS = 0.15
"""Distance below the threshold to which the probability must fall before speech may end."""

MIN_SPEECH = 0.1
"""Seconds; a shorter span is a click, not a word."""

MIN_PAUSE = 0.2
"""Time below the threshold that allows a cut, within a span or between spans, seconds.

Shorter pauses are as often the closure of a plosive within a word (measured: 2 of 4).
"""

LONG_SILENCE = 5.0
"""Silence that always ends a chunk, seconds."""

CONTEXT = 1.0
"""Silence that a chunk keeps before and after its speech, where available, seconds."""


@dataclass(frozen=True, slots=True)
class SpeechRegion:
    """Speech between two pauses; one or more regions make a span."""

    start: float
    """Start of the speech, with padding."""
    end: float
    """End of the speech, with padding."""
    earliest_start: float
    """Start of a chunk that begins with this region, at most `start`."""
    latest_end: float
    """Latest end of a chunk that ends with this region, at least `end`."""
    pause: float
    """Seconds without speech after the region, at most `LONG_SILENCE`; infinity after the last one."""
    ends_span: bool
    """Whether a span ends with the region; otherwise the pause lies within a span."""
    certain: tuple[float, float] | None = None
    """When its first frame of `CERTAIN` speech begins and its last one ends."""


def join_regions(speech: Iterable[SpeechRegion]) -> Iterator[SpeechSpan]:
    """Yield the spans that the regions form."""
    joined: list[SpeechRegion] = []
    for region in speech:
        joined.append(region)
        if region.ends_span:
            yield _span(joined)
            joined = []
    if joined:
        yield _span(joined)


def _span(regions: Sequence[SpeechRegion]) -> SpeechSpan:
    certain = [time for region in regions for time in region.certain or ()]
    return SpeechSpan(regions[0].start, regions[-1].end, (certain[0], certain[-1]) if certain else None)


@dataclass(frozen=True, slots=True)
class _PendingRegion:
    """A `SpeechRegion` whose padding after the speech depends on the start of the next one."""

    start: float
    earliest_start: float
    end: float
    """End of the speech, without padding."""
    ends_span: bool
    certain: tuple[float, float] | None


class SpeechSegmenter:
    """Computes speech regions from probabilities fed in blocks of any size; counts in frames."""

    def __init__(self, thresholds: VadThresholds, frame_seconds: float) -> None:
        self._high = thresholds.threshold
        self._low = max(thresholds.threshold - HYSTERESIS, 0.01)
        self._padding = thresholds.padding
        self._context = max(thresholds.padding, CONTEXT)
        self._frame_seconds = frame_seconds
        self._min_silence = self._n_frames(thresholds.min_silence)
        self._min_speech = self._n_frames(MIN_SPEECH)
        self._min_pause = self._n_frames(MIN_PAUSE)
        self._max_silence = self._n_frames(max(LONG_SILENCE, 2 * thresholds.padding))
        self._index = 0
        self._span_start: int | None = None  # where the open span began
        self._region_start = 0  # where the open run within it began
        self._below_since: int | None = None  # since when the probability has been below the threshold
        self._silent_since: int | None = None  # since when it has been so low that the span may end there
        self._certain: list[int] = []  # the first and the last certain frame of the open run
        self._pending: _PendingRegion | None = None  # the run before the open one
        self._flush_at = 0  # when the silence after it will have been long

    def feed(self, probabilities: NDArray[np.float32]) -> list[SpeechRegion]:
        """Process more frames and return the regions that are complete now."""
        found: list[SpeechRegion] = []
        for probability in probabilities.tolist():
            if probability >= self._high:
                found += self._on_speech()
                if probability >= CERTAIN:
                    self._certain = [*self._certain[:1], self._index]
            elif self._span_start is not None:
                found += self._on_silence(probability)
            elif self._pending is not None and self._index >= self._flush_at:
                found.append(self._flush_pending(self._pending))
            self._index += 1
        return found

    def finish(self, duration: float) -> list[SpeechRegion]:
        """Return the remaining regions of a recording that ends here."""
        found: list[SpeechRegion] = []
        if self._span_start is not None and duration - self._span_start * self._frame_seconds >= MIN_SPEECH:
            found += self._close(duration, ends_span=True)
        if self._pending is not None:
            found.append(self._flush_pending(self._pending, duration))
        self._span_start = None
        return found

    def _n_frames(self, seconds: float) -> int:
        return ceil(seconds / self._frame_seconds - 1e-6)

    def _on_speech(self) -> list[SpeechRegion]:
        found: list[SpeechRegion] = []
        if self._span_start is None:
            self._span_start = self._region_start = self._index
        elif self._below_since is not None and self._index - self._below_since >= self._min_pause:
            found = self._close(self._below_since * self._frame_seconds, ends_span=False)
            self._region_start = self._index
        self._below_since = self._silent_since = None
        return found

    def _on_silence(self, probability: float) -> list[SpeechRegion]:
        """Process a frame below the threshold, which may end the span."""
        if self._below_since is None:
            self._below_since = self._index
        if probability >= self._low:
            return []
        if self._silent_since is None:
            self._silent_since = self._index
        if self._index - self._silent_since < self._min_silence:
            return []
        span, end = self._span_start, self._silent_since
        self._span_start = self._below_since = self._silent_since = None
        if span is None or end - span < self._min_speech:
            self._certain = []
            return []
        self._flush_at = end + self._max_silence
        return self._close(end * self._frame_seconds, ends_span=True)

    def _close(self, end: float, *, ends_span: bool) -> list[SpeechRegion]:
        """End the open region, which completes the pending one."""
        start, pending = self._region_start * self._frame_seconds, self._pending
        certain, self._certain = self._certain_times(), []
        if pending is None:
            self._pending = _PendingRegion(
                max(start - self._padding, 0.0), max(start - self._context, 0.0), end, ends_span, certain
            )
            return []
        half = (start - pending.end) / 2
        padding = min(half, self._padding) if pending.ends_span else half
        context = min(half, self._context) if pending.ends_span else half
        self._pending = _PendingRegion(start - padding, start - context, end, ends_span, certain)
        pause = min(start - pending.end, LONG_SILENCE)
        return [
            SpeechRegion(
                pending.start,
                pending.end + padding,
                pending.earliest_start,
                pending.end + context,
                pause,
                pending.ends_span,
                pending.certain,
            )
        ]

    def _certain_times(self) -> tuple[float, float] | None:
        if not self._certain:
            return None
        return self._certain[0] * self._frame_seconds, (self._certain[-1] + 1) * self._frame_seconds

    def _flush_pending(self, pending: _PendingRegion, duration: float = inf) -> SpeechRegion:
        """Return the pending region, after which there is long or final silence."""
        self._pending = None
        end, latest_end = (min(pending.end + silence, duration) for silence in (self._padding, self._context))
        pause = LONG_SILENCE if duration == inf else inf
        return SpeechRegion(
            pending.start, end, pending.earliest_start, latest_end, pause, True, pending.certain
        )
