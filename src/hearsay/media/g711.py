"""Companding of 16-bit samples to 8 bits: mu-law and A-law of ITU-T G.711.

Knows no container. Both laws are tables of all 65,536 samples, computed from the segments of G.711: eight per
sign, each twice as coarse as the one before. Results equal those of the ITU's software tools (G.191):
negative samples get the codes of their complements, with the other sign bit.
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
    """Compute codes of 14 bits, with a bias of 33 so that segments begin at powers of two, bits inverted."""
    size, positive = _magnitude_and_sign()
    biased = np.minimum((size >> 2) + 33, 0x1FFF)
    segment = _n_bits(biased) - 6
    code = segment << 4 | biased >> segment + 1 & 0xF
    return _bytes(~(code | np.where(positive, 0, 0x80)) & 0xFF)


@cache
def _alaw() -> Codes:
    """Compute codes of 13 bits, the two lowest segments equally fine, with every other bit inverted."""
    size, positive = _magnitude_and_sign()
    coarse = size >> 4
    segment = np.maximum(_n_bits(coarse) - 4, 0)
    code = segment << 4 | coarse >> np.maximum(segment - 1, 0) & 0xF
    return _bytes((code | np.where(positive, 0x80, 0)) ^ 0x55)


def _magnitude_and_sign() -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the magnitude of each 16-bit sample and whether it is non-negative, by its bit pattern."""
    samples = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int64)
    return np.where(samples < 0, ~samples, samples), samples >= 0


def _bytes(codes: NDArray[np.int64]) -> Codes:
    return np.asarray(codes, np.uint8)


def _n_bits(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    n_bits: NDArray[np.int64] = np.ceil(np.log2(numbers + 1.0)).astype(np.int64)
    return n_bits
