"""WAV files and headerless samples.

Knows no codec that needs a library. The length of a stream is unknown, so its header has 0xFFFFFFFF in all
size fields, as FFmpeg writes to a pipe, which readers take for "to the end"; in a seekable file the header
may be replaced afterwards. Sources: Microsoft's "Multimedia Programming Interface and Data Specifications
1.0", and "New Multimedia Data Types and Data Techniques" for all but integers (longer `fmt ` chunk, `fact`).
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
"""Format tag of each encoding in a `fmt ` chunk, and its bytes per sample."""


def header(encoding: Encoding, rate: int, *, n_samples: int | None = None) -> bytes:
    """Return the header of a mono WAV file; `n_samples` is None where it is unknown."""
    tag, width = _TAGS[encoding]
    form = struct.pack("<HHIIHH", tag, 1, rate, rate * width, width, 8 * width)
    fact = b""
    if encoding is not Encoding.PCM_S16LE:
        form += struct.pack("<H", 0)
        fact = b"fact" + struct.pack("<II", 4, n_samples or 0)
    before = b"WAVEfmt " + struct.pack("<I", len(form)) + form + fact + b"data"
    n_bytes = None if n_samples is None else n_samples * width
    riff_size = None if n_bytes is None else len(before) + 4 + n_bytes + n_bytes % 2
    return (
        b"RIFF" + struct.pack("<I", _size_field(riff_size)) + before + struct.pack("<I", _size_field(n_bytes))
    )


def samples(pcm: Pcm, encoding: Encoding) -> BytesLike:
    """Return samples as little-endian bytes, without a copy where possible."""
    match encoding:
        case Encoding.PCM_S16LE:
            return np.ascontiguousarray(pcm, "<i2").view(np.uint8).data
        case Encoding.PCM_F32LE:
            return (pcm / np.float32(32_768)).astype("<f4", copy=False).tobytes()
        case Encoding.MULAW:
            return g711.mulaw(pcm).tobytes()
        case Encoding.ALAW:
            return g711.alaw(pcm).tobytes()


def _size_field(number: int | None) -> int:
    """Return the value of a 32-bit size field; `UNKNOWN` for a number that does not fit."""
    return UNKNOWN if number is None or number > UNKNOWN else number


class WavWriter:
    """Writes one WAV file, or headerless samples."""

    def __init__(self, encoding: Encoding, rate: int, *, headerless: bool) -> None:
        self._encoding = encoding
        self._header = b"" if headerless else header(encoding, rate)

    def feed(self, pcm: Pcm) -> BytesLike:
        """Return the bytes of samples, the first time after the header."""
        head, self._header = self._header, b""
        written = samples(pcm, self._encoding)
        return b"".join((head, written)) if head else written

    def finish(self) -> bytes:
        """Return the header if nothing was fed."""
        head, self._header = self._header, b""
        return head
