"""A recogniser that hears a beep in every loud half second.

Knows no test.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hearsay.domain import SAMPLE_RATE, Samples, Segment, Task, TranscribeOptions, Word

BLOCK_SECONDS = 0.5
LOUD = 0.02


class ToyRecognizer:
    """An `UtteranceRecognizer`."""

    languages: tuple[str, ...] = ("en",)
    tasks = frozenset({Task.TRANSCRIBE})

    def open(self, options: TranscribeOptions) -> ToyStream:
        """Return a stream for one recording."""
        return ToyStream(options)

    def close(self) -> None:
        """Do nothing; there is no memory to free."""


class ToyStream:
    """One recording, recognised at its end."""

    def __init__(self, options: TranscribeOptions) -> None:
        self._options = options
        self._samples: list[Samples] = []

    def feed(self, samples: Samples) -> Iterator[Segment]:
        """Take `float32[n_samples]`; nothing is complete before the end."""
        self._samples.append(samples)
        return iter(())

    def partial(self) -> str:
        """Return the empty string: nothing is recognised before the end."""
        return ""

    def finish(self) -> Iterator[Segment]:
        """Return a segment for each loud block."""
        samples = np.concatenate(self._samples)
        n_samples = round(BLOCK_SECONDS * SAMPLE_RATE)
        for begin in range(0, len(samples), n_samples):
            block = samples[begin : begin + n_samples]
            if np.abs(block).max() > LOUD:
                start, end = begin / SAMPLE_RATE, (begin + len(block)) / SAMPLE_RATE
                words = (Word(start, end, " beep", 1.0),) if self._options.words else None
                yield Segment(start, end, " beep", words)
