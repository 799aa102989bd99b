"""Log-mel features of a recording, as Whisper was trained on them.

Knows no model and no tokens. Numerically the same as openai/whisper `audio.py` with the 30 s of silence that
its `transcribe.py` appends (to 1e-4): Hann window of 400 samples, hop of 160, Slaney's mel filters, and
values clipped to 80 dB below the loudest value of the whole recording.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio

Floats = NDArray[np.float32]

N_FFT = 400
"""Samples in the analysis window."""

HOP = 160
"""Samples between frames: 10 ms."""

WINDOW_FRAMES = 3000
"""Frames in what the model sees at once: 30 s."""

KEEP_FRAMES = 5 * 60 * 100
"""Longest recording, in frames, whose features stay in memory; others' are computed again by window."""

_BLOCK = 250
"""Frames transformed at once: small enough to stay in the cache, measured fastest between 100 and 500."""

_ROWS = 10
"""Frames in one matrix product: so few that BLAS starts no threads, which would wait for busy cores."""

_EDGE = N_FFT // HOP + 1
"""Frames after the end of a recording whose analysis window overlaps it."""

_SILENCE = np.float32(-10.0)
"""Logarithm of the least power."""


class LogMel:
    """Features of one recording; memory does not grow with its length beyond `KEEP_FRAMES`.

    The loudest value must be known before the first window, so a long recording is read once at the start,
    and each window again when it is requested. That is 10 ms of work for 30 s of audio, and needs no file.
    """

    def __init__(self, audio: Audio, n_mels: int) -> None:
        self._audio = audio
        self._n_mels = n_mels
        self.n_frames = audio.n_samples // HOP
        self._n_computed = self.n_frames + _EDGE
        keep = self.n_frames <= KEEP_FRAMES
        self._kept = np.empty((self._n_computed, n_mels), np.float32) if keep else None
        self._floor = np.float32(self._measure() - 8.0)

    def window(self, start: int, *, pad_silence: bool = False) -> Floats:
        stop = min(start + WINDOW_FRAMES, self._n_computed if pad_silence else self.n_frames)
        padding = self._scale(_SILENCE) if pad_silence else 0.0
        features = np.full((self._n_mels, WINDOW_FRAMES), padding, np.float32)
        if stop > start:
            features[:, : stop - start] = self._scale(self._log_mel(start, stop)).T
        return features

    def _measure(self) -> np.float32:
        """Return the loudest value of a recording, keeping the features of a short one."""
        loudest = _SILENCE
        for start in range(0, self._n_computed, WINDOW_FRAMES):
            stop = min(start + WINDOW_FRAMES, self._n_computed)
            block = log_mel(self._audio, self._n_mels, start, stop)
            if self._kept is not None:
                self._kept[start:stop] = block
            loudest = max(loudest, block.max())
        return loudest

    def _log_mel(self, start: int, stop: int) -> Floats:
        if self._kept is not None:
            return self._kept[start:stop]
        return log_mel(self._audio, self._n_mels, start, stop)

    def _scale(self, values: Floats | np.float32) -> Floats:
        return (np.maximum(values, self._floor) + np.float32(4.0)) / np.float32(4.0)


def log_mel(audio: Audio, n_mels: int, start: int, stop: int) -> Floats:
    """Compute `float32[stop - start, n_mels]`: log10 of the mel power of the frames, at least -10.

    Before its first sample the recording is mirrored, after its last there is silence.
    """
    samples = _samples(audio, start * HOP - N_FFT // 2, (stop - 1) * HOP + N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP]
    filters, hann = mel_filters(n_mels), _hann()
    result = np.empty((stop - start, n_mels), np.float32)
    for first in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[first : first + _BLOCK] * hann, axis=-1)
        power: Floats = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
        result[first : first + _BLOCK] = _in_small_products(power, filters.T)
    np.maximum(result, np.float32(1e-10), out=result)
    return np.log10(result, out=result)


@cache
def mel_filters(n_mels: int) -> Floats:
    """Compute `float32[n_mels, 201]`: triangles on Slaney's mel scale from 0 to 8 kHz, each of unit area.

    Source: Slaney, Auditory Toolbox (1998), by way of librosa's `filters.mel`, whose result openai/whisper
    ships.
    """
    bins = np.linspace(0.0, SAMPLE_RATE / 2, N_FFT // 2 + 1)
    edges = _mel_to_hertz(np.linspace(0.0, _hertz_to_mel(SAMPLE_RATE / 2), n_mels + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - bins[None, :]
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def _in_small_products(rows: Floats, matrix: Floats) -> Floats:
    """Multiply `float32[n, k]` by `float32[k, m]`, a few rows at a time."""
    n = len(rows) // _ROWS * _ROWS
    product = (rows[:n].reshape(-1, _ROWS, rows.shape[1]) @ matrix).reshape(n, matrix.shape[1])
    return product if n == len(rows) else np.concatenate([product, rows[n:] @ matrix])


def _samples(audio: Audio, start: int, stop: int) -> Floats:
    """Return samples, mirrored before the first one and silent after the last."""
    inside = audio.samples(max(start, 0), max(stop, 0))
    if start >= 0 and len(inside) == stop - start:
        return inside
    mirrored = audio.samples(1, 1 - start)[::-1] if start < 0 else inside[:0]
    gap = max(-start - len(mirrored), 0)
    tail = stop - start - gap - len(mirrored) - len(inside)
    return np.concatenate([np.zeros(gap, np.float32), mirrored, inside, np.zeros(tail, np.float32)])


@cache
def _hann() -> Floats:
    """Return the periodic Hann window, `float32[400]`."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


_LINEAR_STEP = 200.0 / 3.0
"""Hertz per mel below 1 kHz, where Slaney's scale is linear."""

_KNEE_HERTZ = 1000.0
_KNEE_MEL = _KNEE_HERTZ / _LINEAR_STEP
_LOG_STEP = np.log(6.4) / 27.0
"""Natural logarithm of the ratio of frequencies one mel apart, above 1 kHz."""


def _hertz_to_mel(hertz: float) -> float:
    if hertz < _KNEE_HERTZ:
        return hertz / _LINEAR_STEP
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HERTZ) / _LOG_STEP)


def _mel_to_hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(
        mels < _KNEE_MEL, mels * _LINEAR_STEP, _KNEE_HERTZ * np.exp(_LOG_STEP * (mels - _KNEE_MEL))
    )
