"""Samples of 16 bits → samples of 8 bits, as in telephony: mu-law and A-law of ITU-T G.711.

Knows no container. Both laws are tables, made from the segments that G.711 describes: eight per sign,
each twice as coarse as the one before. The bytes are those of the ITU's own software tools (G.191): negative
samples have the codes of `~sample`, but for the sign. (Not `audioop`, which left Python in 3.13 and rounds
negative mu-law samples away from zero.)
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import Pcm

Codes = NDArray[np.uint8]


def mulaw(pcm: Pcm) -> Codes:
    """Return `uint8[n_samples]` for `int16[n_samples]`; silence is 0xFF."""
    return _mulaw()[pcm.view(np.uint16)]


def alaw(pcm: Pcm) -> Codes:
    """Return `uint8[n_samples]` for `int16[n_samples]`; silence is 0xD5."""
    return _alaw()[pcm.view(np.uint16)]


@cache
def _mulaw() -> Codes:
    """Compute codes of 14 bits, with 33 added so that segments begin at powers of two; then invert all."""
    biased = np.minimum((np.arange(32_768) >> 2) + 33, 0x1FFF)
    segment = np.frexp(biased)[1] - 6
    return _table(segment << 4 | biased >> segment + 1 & 0xF, 0x7F)


@cache
def _alaw() -> Codes:
    """Compute codes of 13 bits, the two lowest segments being equally fine; then invert every other bit."""
    coarse = np.arange(32_768) >> 4
    segment = np.maximum(np.frexp(coarse)[1] - 4, 0)
    return _table(segment << 4 | coarse >> np.maximum(segment - 1, 0) & 0xF, 0x55)


def _table(codes: NDArray[np.int64], inverted: int) -> Codes:
    """Return the code of each bit pattern of a sample, from those of the magnitudes, `int64[32768]`."""
    return (np.concatenate([codes | 0x80, codes[::-1]]) ^ inverted).astype(np.uint8)
