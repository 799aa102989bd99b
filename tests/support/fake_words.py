"""What the fake engine recognises: every loud half second is a word.

Knows no test.
"""

from __future__ import annotations

import numpy as np

from hearsay.domain import SAMPLE_RATE, Audio, Samples, Word
from hearsay.engines.fake.recognizer import (
    _FRAME_SAMPLES,
    _SLOT_FRAMES,
    _SLOT_SAMPLES,
    LOUD,
    PROBABILITY,
    _noun,
)

SLOT_SECONDS = 0.5
"""How long a word lasts."""


def expected_words(audio: Audio, *, language: str = "en", capitals: bool = False) -> tuple[Word, ...]:
    """Predict every word that the engine will hear; a slot counts when at least half of it is there."""
    n_frames = audio.n_samples // _FRAME_SAMPLES
    words = []
    for slot in range((n_frames + _SLOT_FRAMES // 2) // _SLOT_FRAMES):
        stop = min((slot + 1) * _SLOT_FRAMES, n_frames) * _FRAME_SAMPLES
        if _is_loud(audio.samples(slot * _SLOT_SAMPLES, stop)):
            start = slot * SLOT_SECONDS
            words.append(Word(start, stop / SAMPLE_RATE, _noun(slot, language, capitals), PROBABILITY))
    return tuple(words)


def _is_loud(samples: Samples) -> bool:
    return len(samples) > 0 and float(np.sqrt(np.mean(samples**2))) >= LOUD
