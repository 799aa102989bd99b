"""Samples → frames of MPEG layer III (mp3), through LAME.

Knows no resampling, and nothing of other codecs: libav has LAME too, but its wheels hold one that was built
without optimisation and takes three times as long. A file is frames and nothing else, since a Xing header
could only be written at its end. Sound begins 1105 samples late, by the delay of codec and decoder, which
frames alone cannot tell a reader about; the end is filled up to a whole frame.
"""

from __future__ import annotations

import lameenc

from hearsay.domain import Pcm

_QUALITY = 7
"""LAME's effort, 0 to 9: takes 0.6 of the time of the usual 5 and is as near to the sound."""


def usual_bit_rate(rate: int) -> int:
    """Return the bits per second that speech sounds well at."""
    return 32_000 if rate < 16_000 else 64_000 if rate < 22_050 else 96_000


class Mp3Writer:
    """One file being written."""

    def __init__(self, rate: int, bit_rate: int | None = None) -> None:
        """Prepare; what a rate cannot be combined with is refused before, by `sound_formats.check`."""
        encoder = lameenc.Encoder()
        encoder.silence()
        encoder.set_channels(1)
        encoder.set_in_sample_rate(rate)
        encoder.set_out_sample_rate(rate)
        encoder.set_bit_rate((bit_rate or usual_bit_rate(rate)) // 1000)
        encoder.set_quality(_QUALITY)
        self._encoder = encoder
        self._begun = False

    def feed(self, pcm: Pcm) -> bytes:
        """Return the frames that are ready after these samples."""
        if not len(pcm):
            return b""
        self._begun = True
        return bytes(self._encoder.encode(pcm.tobytes()))

    def finish(self) -> bytes:
        """Return the rest; no sound makes no frames."""
        return bytes(self._encoder.flush()) if self._begun else b""
