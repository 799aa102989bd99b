"""Levelling of audio for a speech detector: quiet passages are raised to the level that detectors expect.

Knows no detector. Silero's probability falls to nothing for speech at -50 dBFS, though Whisper, whose
features are relative to the loudest of a window, understands it. What a recogniser gets is never changed.
"""

from __future__ import annotations

import numpy as np

from hearsay.domain import SAMPLE_RATE, Samples

TARGET = 0.1
"""RMS of the loudest block around, 1.0 being full scale: that of speech recorded close by."""

MAX_GAIN = 100.0
"""40 dB: silence is not raised to noise of full scale."""

REACH = SAMPLE_RATE
"""Samples on each side in which the loudest block decides: 1 s, longer than the pauses between words."""

_BLOCK = 800
"""Samples whose RMS is taken: 50 ms, more than a period of any voice."""


def level(samples: Samples, before: int, after: int) -> Samples:
    """Return `float32[n - before - after]`: the middle of `samples`, at an even level.

    `before` and `after` are samples of context that belong to the audio around; up to `REACH` of them count.
    """
    n_blocks = -(-len(samples) // _BLOCK)
    padded = np.zeros(n_blocks * _BLOCK, np.float32)
    padded[: len(samples)] = samples
    rms = np.sqrt(np.mean(padded.reshape(n_blocks, _BLOCK) ** 2, axis=1))
    reach = REACH // _BLOCK
    around = np.lib.stride_tricks.sliding_window_view(np.pad(rms, reach), 2 * reach + 1)
    gain = np.minimum(TARGET / np.maximum(around.max(axis=1), TARGET / MAX_GAIN), MAX_GAIN)
    centres = np.arange(n_blocks) * _BLOCK + _BLOCK / 2
    stop = len(samples) - after
    by_sample = np.interp(np.arange(before, stop), centres, gain)
    levelled: Samples = (samples[before:stop] * by_sample).astype(np.float32)
    return levelled
