"""Samples as they are made → the bytes of a file or stream: mp3, opus, aac, flac, ogg, wav and bare samples.

Knows neither where the samples come from nor where the bytes go. Nothing is ever rewritten: each byte is
final when it is given. What can be asked for stands in `sound_formats`.
"""

from __future__ import annotations

from collections.abc import Iterable

from hearsay.domain import BytesLike, Pcm
from hearsay.media.formats import Container, Encoding, SoundFormat, check
from hearsay.media.libav_encoder import LibavWriter
from hearsay.media.mp3 import Mp3Writer
from hearsay.media.resampling import RateTempoChanger
from hearsay.media.wav import WavWriter

__all__ = ["TEMPI", "Container", "Encoding", "SoundEncoder", "SoundFormat", "check"]

TEMPI = (0.05, 20.0)
"""How much slower and quicker a sound can be made."""


class SoundEncoder:
    """One file being written; one thread at a time may use it."""

    def __init__(self, wanted: SoundFormat, *, source_rate: int, tempo: float = 1.0) -> None:
        """Prepare. Raises `UnsupportedOption` for what a container cannot hold."""
        check(wanted)
        slowest, quickest = TEMPI
        if not slowest <= tempo <= quickest:
            raise ValueError(f"A tempo lies between {slowest} and {quickest}, not at {tempo}.")
        self._retiming: RateTempoChanger | None = None
        if tempo != 1.0 or source_rate != wanted.sample_rate:
            self._retiming = RateTempoChanger(source_rate=source_rate, rate=wanted.sample_rate, tempo=tempo)
        self._writer = _writer(wanted)

    def feed(self, pcm: Pcm) -> BytesLike:
        """Take `int16[n_samples]`, not to be changed any more, and give the bytes that are ready, if any."""
        if self._retiming is None:
            return self._writer.feed(pcm)
        return self._written(self._retiming.feed(pcm)) if len(pcm) else self._writer.feed(pcm)

    def finish(self) -> bytes:
        """Return the rest."""
        rest = self._written(self._retiming.finish()) if self._retiming else b""
        return rest + self._writer.finish()

    def _written(self, blocks: Iterable[Pcm]) -> bytes:
        return b"".join(self._writer.feed(block) for block in blocks)


def _writer(wanted: SoundFormat) -> WavWriter | Mp3Writer | LibavWriter:
    match wanted.container:
        case Container.WAV | Container.RAW:
            bare = wanted.container is Container.RAW
            return WavWriter(wanted.encoding, wanted.sample_rate, bare=bare)
        case Container.MP3:
            return Mp3Writer(wanted.sample_rate, wanted.bit_rate)
        case _:
            return LibavWriter(wanted)
