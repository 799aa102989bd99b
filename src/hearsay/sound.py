"""Samples as they are made → the bytes of a file or stream: mp3, opus, aac, flac, ogg, wav and bare samples.

Knows neither where the samples come from nor where the bytes go. Nothing is ever rewritten: each byte is
final when it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hearsay.domain import Pcm


class Container(StrEnum):
    """How the samples are wrapped."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    OGG = "ogg"
    WAV = "wav"
    RAW = "raw"


class Encoding(StrEnum):
    """How one sample is written, where a container leaves that open (wav, raw)."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    MULAW = "pcm_mulaw"
    ALAW = "pcm_alaw"


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What a caller wants to get."""

    container: Container
    sample_rate: int
    """Samples per second."""
    encoding: Encoding = Encoding.PCM_S16LE
    """Heeded by wav and raw only."""
    bit_rate: int | None = None
    """Bits per second, for mp3, opus and aac; None leaves it to us."""


class SoundEncoder:
    """One file being written."""

    def __init__(self, wanted: SoundFormat, *, source_rate: int, tempo: float = 1.0) -> None:
        """Prepare. Raises `UnsupportedOption` for what a container cannot hold."""
        raise NotImplementedError

    def feed(self, pcm: Pcm) -> bytes:
        """Take `int16[n_samples]` and give the bytes that are ready, perhaps none."""
        raise NotImplementedError

    def finish(self) -> bytes:
        """Give the rest."""
        raise NotImplementedError
