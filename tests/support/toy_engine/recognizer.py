"""A recogniser that hears a beep in every loud half second.

Knows no test.
"""

from __future__ import annotations

import numpy as np

from hearsay.domain import SAMPLE_RATE, Audio, Segment, TranscribeOptions, Word
from tests.support.whole_recording import WholeRecordingRecognizer

BLOCK_SECONDS = 0.5
LOUD = 0.02


class ToyRecognizer(WholeRecordingRecognizer):
    """A `WindowRecognizer`."""

    def hear(self, audio: Audio, options: TranscribeOptions) -> list[Segment]:
        """Return a segment for each loud block."""
        segments = []
        n_samples = round(BLOCK_SECONDS * SAMPLE_RATE)
        for begin in range(0, audio.n_samples, n_samples):
            block = audio.samples(begin, begin + n_samples)
            if np.abs(block).max() > LOUD:
                start, end = begin / SAMPLE_RATE, (begin + len(block)) / SAMPLE_RATE
                words = (Word(start, end, " beep", 1.0),) if options.words else None
                segments.append(Segment(start, end, " beep", words))
        return segments
