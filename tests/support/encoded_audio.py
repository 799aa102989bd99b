"""Something like a voice, the file that the encoder makes of it, and what another decoder finds in that."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np

from hearsay.domain import Pcm
from hearsay.media.encoding import AudioEncoder, AudioFormat

SOURCE_RATE = 22_050


SECONDS = 1.5


def voice(seconds: float = SECONDS, rate: int = SOURCE_RATE) -> Pcm:
    """Return something like a voice: harmonics that glide, in syllables."""
    times = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * times)) / rate
    sound = sum(np.sin(n * phase) / n for n in range(1, 18))
    return np.round(sound * np.sin(2 * np.pi * 2 * times) ** 2 * 9000).astype(np.int16)


def encoded(
    wanted: AudioFormat,
    pcm: Pcm,
    *,
    source_rate: int = SOURCE_RATE,
    tempo: float = 1.0,
    blocks: tuple[int, ...] = (441,),
) -> bytes:
    encoder = AudioEncoder(wanted, source_rate=source_rate, tempo=tempo)
    data, start, turn = b"", 0, 0
    while start < len(pcm):
        size = blocks[turn % len(blocks)]
        data += encoder.feed(pcm[start : start + size])
        start, turn = start + size, turn + 1
    return data + encoder.finish()


@dataclass(frozen=True)
class Heard:
    rate: int
    codec: str
    channels: int
    samples: np.ndarray
    """float64, in [-1, 1]"""


def heard(file: bytes) -> Heard:
    blocks = [np.zeros(0)]
    with av.open(io.BytesIO(file), "r") as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            block = frame.to_ndarray()[0]
            blocks.append(block / 32_768.0 if block.dtype == np.int16 else block.astype(float))
        return Heard(stream.rate, stream.codec_context.name, stream.channels, np.concatenate(blocks))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the maximal cross-correlation of two signals."""
    size = 1 << (len(one) + len(other)).bit_length()
    product = np.fft.irfft(np.conj(np.fft.rfft(one, size)) * np.fft.rfft(other, size))
    return float(product.max() / np.sqrt((one**2).sum() * (other**2).sum()))
