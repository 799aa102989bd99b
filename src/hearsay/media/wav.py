"""Samples as they are, bare or behind the header of a WAV file.

Knows no codec that needs a library. While a sound is still being made nobody knows its length, so the header
says the most that its fields can, 0xFFFFFFFF, in all of them: what FFmpeg writes to a pipe, and what readers
take for "up to the end". `header` gives the true one to whoever can go back and write it over the first.
Layout: Microsoft's "Multimedia Programming Interface and Data Specifications 1.0", and "New Multimedia Data
Types and Data Techniques" for what is not plain integers (a longer `fmt ` chunk, and a `fact` chunk).
"""

from __future__ import annotations

import struct

import numpy as np

from hearsay.domain import BytesLike, Pcm
from hearsay.media import g711
from hearsay.media.formats import Encoding

UNKNOWN = 0xFFFFFFFF

_TAGS = {
    Encoding.PCM_S16LE: (1, 2),
    Encoding.PCM_F32LE: (3, 4),
    Encoding.ALAW: (6, 1),
    Encoding.MULAW: (7, 1),
}
"""The number of each encoding in a `fmt ` chunk, and its bytes per sample."""


def header(encoding: Encoding, rate: int, *, n_samples: int | None = None) -> bytes:
    """Return what stands before the samples of a mono WAV file.

    `n_samples` None where it is not known yet.
    """
    tag, width = _TAGS[encoding]
    form = struct.pack("<HHIIHH", tag, 1, rate, rate * width, width, 8 * width)
    fact = b""
    if encoding is not Encoding.PCM_S16LE:
        form += struct.pack("<H", 0)
        fact = b"fact" + struct.pack("<II", 4, n_samples or 0)
    before = b"WAVEfmt " + struct.pack("<I", len(form)) + form + fact + b"data"
    n_bytes = None if n_samples is None else n_samples * width
    whole = None if n_bytes is None else len(before) + 4 + n_bytes + n_bytes % 2
    return b"RIFF" + struct.pack("<I", _size(whole)) + before + struct.pack("<I", _size(n_bytes))


def samples(pcm: Pcm, encoding: Encoding) -> BytesLike:
    """Write samples one after the other, least significant byte first; not copied where they are so."""
    match encoding:
        case Encoding.PCM_S16LE:
            return np.ascontiguousarray(pcm, "<i2").view(np.uint8).data
        case Encoding.PCM_F32LE:
            return (pcm / np.float32(32_768)).astype("<f4", copy=False).tobytes()
        case Encoding.MULAW:
            return g711.mulaw(pcm).tobytes()
        case Encoding.ALAW:
            return g711.alaw(pcm).tobytes()


def _size(number: int | None) -> int:
    """Fit a number in a field of 32 bits; what is too long for it is unknown to it."""
    return UNKNOWN if number is None or number > UNKNOWN else number


class WavWriter:
    """One WAV file, or bare samples, being written."""

    def __init__(self, encoding: Encoding, rate: int, *, bare: bool) -> None:
        self._encoding = encoding
        self._head = b"" if bare else header(encoding, rate)

    def feed(self, pcm: Pcm) -> BytesLike:
        """Return the bytes of these samples, after those of the header if they are the first."""
        head, self._head = self._head, b""
        written = samples(pcm, self._encoding)
        return b"".join((head, written)) if head else written

    def finish(self) -> bytes:
        """Return the header if nothing was fed."""
        head, self._head = self._head, b""
        return head
