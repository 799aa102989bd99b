"""Streaming audio encoder: mp3, opus, aac, flac, ogg, wav and headerless samples.

Knows neither the source of the samples nor the destination of the bytes. Nothing is rewritten: each returned
byte is final. `formats` lists the valid combinations.
"""

from __future__ import annotations

from collections.abc import Iterable

from hearsay.domain import BytesLike, Pcm
from hearsay.media.formats import AudioFormat, Container, Encoding, check
from hearsay.media.libav_encoder import LibavWriter
from hearsay.media.mp3 import Mp3Writer
from hearsay.media.resampling import RateTempoChanger
from hearsay.media.wav import WavWriter

__all__ = ["TEMPO_RANGE", "AudioEncoder", "AudioFormat", "Container", "Encoding", "check"]

TEMPO_RANGE = (0.05, 20.0)
"""Slowest and fastest tempo."""


class AudioEncoder:
    """Encodes one file; not thread-safe."""

    def __init__(self, audio_format: AudioFormat, *, source_rate: int, tempo: float = 1.0) -> None:
        """Open the encoder. Raises `UnsupportedOption` for a format that the container cannot hold."""
        check(audio_format)
        slowest, fastest = TEMPO_RANGE
        if not slowest <= tempo <= fastest:
            raise ValueError(f"A tempo lies between {slowest} and {fastest}, not at {tempo}.")
        self._changer: RateTempoChanger | None = None
        if tempo != 1.0 or source_rate != audio_format.sample_rate:
            self._changer = RateTempoChanger(
                source_rate=source_rate, rate=audio_format.sample_rate, tempo=tempo
            )
        self._writer = _writer(audio_format)

    def feed(self, pcm: Pcm) -> BytesLike:
        """Encode `int16[n_samples]`, immutable from now on, and return the bytes that are ready, if any."""
        if self._changer is None:
            return self._writer.feed(pcm)
        return self._write(self._changer.feed(pcm)) if len(pcm) else self._writer.feed(pcm)

    def finish(self) -> bytes:
        """Return the remaining bytes."""
        rest = self._write(self._changer.finish()) if self._changer else b""
        return rest + self._writer.finish()

    def _write(self, blocks: Iterable[Pcm]) -> bytes:
        return b"".join(self._writer.feed(block) for block in blocks)


def _writer(audio_format: AudioFormat) -> WavWriter | Mp3Writer | LibavWriter:
    match audio_format.container:
        case Container.WAV | Container.RAW:
            headerless = audio_format.container is Container.RAW
            return WavWriter(audio_format.encoding, audio_format.sample_rate, headerless=headerless)
        case Container.MP3:
            return Mp3Writer(audio_format.sample_rate, audio_format.bit_rate)
        case _:
            return LibavWriter(audio_format)
