"""Levelling of audio for a speech detector: quiet passages are raised to the level that detectors expect.

Knows no detector. Silero's probability falls to nothing for speech at -50 dBFS, though Whisper, whose
features are relative to the loudest of a window, understands it. What a recogniser gets is never changed.
"""

from __future__ import annotations

import numpy as np

from hearsay.domain import Audio, Samples

TARGET = 0.1
"""RMS of the loudest block around, 1.0 being full scale: that of speech recorded close by."""

MAX_GAIN = 100.0
"""40 dB: silence is not raised to noise of full scale."""

_BLOCK = 800
"""Samples whose RMS is taken: 50 ms, more than a period of any voice."""

_REACH = 20
"""Blocks on each side in which the loudest one decides: 1 s, longer than the pauses between words."""


def level(audio: Audio, start: int, stop: int) -> Samples:
    """Return `float32[stop - start]`: samples of a recording at an even level, wherever it is divided.

    `stop` is at most the recording's length. Gains are interpolated between the centres of blocks, so one
    block more than the reach is read on each side.
    """
    first = max(start // _BLOCK - _REACH - 1, 0) * _BLOCK
    samples = audio.samples(first, (-(-stop // _BLOCK) + _REACH + 1) * _BLOCK)
    n_blocks = -(-len(samples) // _BLOCK)
    padded = np.zeros(n_blocks * _BLOCK, np.float32)
    padded[: len(samples)] = samples
    rms = np.sqrt(np.mean(padded.reshape(n_blocks, _BLOCK) ** 2, axis=1))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(rms, _REACH), 2 * _REACH + 1)
    gain = TARGET / np.maximum(around.max(axis=1), TARGET / MAX_GAIN)
    centres = np.arange(n_blocks) * _BLOCK + _BLOCK / 2
    by_sample = np.interp(np.arange(start - first, stop - first), centres, gain)
    levelled: Samples = (samples[start - first : stop - first] * by_sample).astype(np.float32)
    return levelled
