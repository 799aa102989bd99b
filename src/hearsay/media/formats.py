"""Audio formats: containers, sample encodings, and the rates of each container.

Knows no encoder: requests are checked against these facts before encoding. Sources of rates and bit rates:
ISO/IEC 11172-3, 13818-3 and MPEG 2.5 for mp3; RFC 6716 and its encoder's limits for Opus; ISO/IEC 13818-7,
which allows 6144 bits for 1024 samples, for AAC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hearsay.errors import UnsupportedOption


class Container(StrEnum):
    """The file or stream format."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    OGG = "ogg"
    WAV = "wav"
    RAW = "raw"


class Encoding(StrEnum):
    """The sample format, where a container leaves it open (wav, raw)."""

    PCM_S16LE = "pcm_s16le"
    PCM_F32LE = "pcm_f32le"
    MULAW = "pcm_mulaw"
    ALAW = "pcm_alaw"


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """The format of an audio output."""

    container: Container
    sample_rate: int
    """Hz."""
    encoding: Encoding = Encoding.PCM_S16LE
    """Applies to wav and raw only."""
    bit_rate: int | None = None
    """Bits per second of mp3, opus and aac; None: the default."""


ANY_RATE = range(8000, 48_001)
"""Accepted rates of the containers that hold any rate."""

_MPEG_RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

RATES: Mapping[Container, Sequence[int]] = dict.fromkeys(Container, ANY_RATE) | {
    Container.MP3: _MPEG_RATES,
    Container.OPUS: (8000, 12_000, 16_000, 24_000, 48_000),
    Container.AAC: _MPEG_RATES,
}
"""Sample rates of each container, Hz, ascending."""


def bit_rates(container: Container, sample_rate: int) -> Sequence[int]:
    """Return the allowed bit rates, ascending; none where the format has no bit rate."""
    match container:
        case Container.MP3 if sample_rate >= 32_000:
            kilobits: Sequence[int] = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
            return [1000 * n for n in kilobits]
        case Container.MP3:
            kilobits = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
            return [1000 * n for n in kilobits if n <= 64 or sample_rate >= 16_000]
        case Container.OPUS:
            return range(6000, 256_001)
        case Container.AAC:
            return range(8000, 6 * sample_rate + 1)
        case _:
            return ()


def closest_rate(container: Container, sample_rate: int) -> int:
    """Return the container's lowest rate of at least `sample_rate`, else its highest."""
    rates = RATES[container]
    return next((rate for rate in rates if rate >= sample_rate), rates[-1])


def check(audio_format: AudioFormat) -> None:
    """Raise `UnsupportedOption`, with the allowed values, for a format that its container cannot hold."""
    container, rate, bit_rate = audio_format.container, audio_format.sample_rate, audio_format.bit_rate
    rates = RATES[container]
    if rate not in rates:
        raise UnsupportedOption(
            f"{container} cannot be made at {rate} samples per second. Choose {_choice(rates)}.",
            param="sample_rate",
        )
    if bit_rate is None:
        return
    allowed = bit_rates(container, rate)
    if not allowed:
        raise UnsupportedOption(
            f"{container} has no bit rate to choose. Leave it out, or ask for mp3, opus or aac.",
            param="bit_rate",
        )
    if bit_rate not in allowed:
        raise UnsupportedOption(
            f"{container} at {rate} samples per second cannot be made at {bit_rate} bits per second. "
            f"Choose {_choice(allowed)}.",
            param="bit_rate",
        )


def _choice(numbers: Sequence[int]) -> str:
    if isinstance(numbers, range):
        return f"from {numbers[0]} to {numbers[-1]}"
    return f"one of {', '.join(map(str, numbers))}"
