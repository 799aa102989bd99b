"""Samples → packets of a codec → pages of its container, through libav: mp3, opus, aac, flac and ogg.

Knows no resampling. Nothing is ever rewritten, so nothing stands in a file that is known only at its end: mp3
has no Xing header, FLAC says that its length is unknown (zero). Every packet is passed on at once, and pages
of Ogg are short. Files carry no date, no random number and no version: the same sound gives the same bytes.

An `ogg` file must play at any rate that was asked for. Opus plays at 48 kHz whatever it was made of, so it
is in the file where that was the wish; at every other rate FLAC is. FFmpeg's own Vorbis encoder, the only
one in libav's wheels, knows stereo alone and loses most of a voice that is sampled 16,000 times a second.
The price is that libsndfile, which reads FLAC and reads Ogg, does not read the one in the other.

What must be fed before the first sound comes out, in seconds at 8, 24 and 48 kHz: flac 0.02, opus and ogg
0.12, mp3 0.22, 0.08 and 0.05, aac 0.26, 0.09 and 0.05. In mp3 and aac sound begins later by the codec's
delay, which they cannot tell a reader about: mp3 529 samples (1105 from 32 kHz), aac 1024. Their ends are
filled up to whole frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from hearsay.domain import Pcm
from hearsay.errors import UnsupportedOption
from hearsay.sound_formats import Container, SoundFormat

_FRAMES_PER_SECOND = 50
"""Of FLAC, about: its usual frames of 0.1 s hold sound back, and odd ones cannot be parted and cost twice."""

_OPUS_PLAYS_AT = 48_000

_PAGE = {"page_duration": "60000"}
"""Microseconds of sound in a page of Ogg. One page is held back by libav; each costs 28 bytes."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How libav is to make one container."""

    muxer: str
    codec: str
    muxer_options: dict[str, str]
    codec_options: dict[str, str]
    bit_rate: int = 0
    """What speech sounds well at; 0 where there is nothing to choose."""
    n_silent: int = 0
    """Packets that hold nothing but the codec's delay and that no later one needs: they are left out."""


_MP3_OPTIONS = {"write_xing": "0", "id3v2_version": "0"}
_LAME_OPTIONS = {"reservoir": "0", "compression_level": "7"}
"""Every packet stands for itself. Quality 7 takes half the time of the usual 5 and is nearer to the sound."""

_OPUS_OPTIONS = {"compression_level": "5", "vbr": "constrained"}
"""A bit rate is kept to. Effort 5 takes a third of the time of the usual 10."""

_AAC_OPTIONS = {"aac_coder": "fast"}
"""Takes a fifth of the time of the usual search, and is nearer to the sound."""


def _recipe(container: Container, rate: int) -> _Recipe:
    match container:
        case Container.MP3:
            bit_rate = 32_000 if rate < 16_000 else 64_000 if rate < 22_050 else 96_000
            n_silent = 1 if rate < 32_000 else 0
            return _Recipe("mp3", "libmp3lame", _MP3_OPTIONS, _LAME_OPTIONS, bit_rate, n_silent)
        case Container.AAC:
            return _Recipe("adts", "aac", {}, _AAC_OPTIONS, min(4 * rate, 96_000))
        case Container.FLAC:
            return _Recipe("flac", "flac", {"metadata_header_padding": "0"}, _flac_options(rate))
        case Container.OGG if rate != _OPUS_PLAYS_AT:
            return _Recipe("ogg", "flac", _PAGE, _flac_options(rate))
        case Container.OPUS | Container.OGG:
            bit_rate = 32_000 if rate < 16_000 else 48_000 if rate < 48_000 else 64_000
            return _Recipe("ogg", "libopus", _PAGE, _OPUS_OPTIONS, bit_rate)
        case _:
            raise ValueError(f"{container} needs no codec.")


def _flac_options(rate: int) -> dict[str, str]:
    return {"frame_size": str(round(rate / _FRAMES_PER_SECOND / 32) * 32)}


class Muxing:
    """One file being written."""

    def __init__(self, wanted: SoundFormat) -> None:
        """Prepare. Raises `UnsupportedOption` where libav was built without the codec."""
        recipe = _recipe(wanted.container, wanted.sample_rate)
        self._rate = wanted.sample_rate
        self._n_samples = 0
        self._n_silent = recipe.n_silent
        self._sink = _Sink()
        try:
            self._output, self._stream = _open(self._sink, recipe, wanted)
        except (ValueError, FFmpegError) as error:
            raise UnsupportedOption(
                f"{wanted.container} cannot be made: libav has no {recipe.codec} on this machine. "
                f"Ask for {Container.WAV}.",
                param="response_format",
            ) from error

    def feed(self, pcm: Pcm) -> bytes:
        """Give what is ready after these samples."""
        if len(pcm):
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[None]), "s16", "mono")
            frame.sample_rate, frame.pts = self._rate, self._n_samples
            frame.time_base = Fraction(1, self._rate)
            self._n_samples += len(pcm)
            self._mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """Give the rest."""
        self._mux(self._stream.encode(None))
        self._output.close()
        return self._sink.take()

    def _mux(self, packets: list[Any]) -> None:
        n_silent = min(self._n_silent, len(packets))
        self._n_silent -= n_silent
        self._output.mux(packets[n_silent:])


def _open(sink: _Sink, recipe: _Recipe, wanted: SoundFormat) -> tuple[Any, Any]:
    """Begin a file, which writes its header if it has one. Raises `ValueError` for what libav has not."""
    options = recipe.muxer_options | {"flush_packets": "1", "fflags": "+bitexact"}
    output: Any = av.open(sink, "w", format=recipe.muxer, container_options=options)
    options = recipe.codec_options | {"flags": "+bitexact"}
    stream = output.add_stream(recipe.codec, rate=wanted.sample_rate, layout="mono", options=options)
    if bit_rate := wanted.bit_rate or recipe.bit_rate:
        stream.bit_rate = bit_rate
    stream.codec_context.thread_count = 1
    output.start_encoding()
    return output, stream


class _Sink:
    """What libav takes for a file that can only be written to, and only at its end."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        """Give what was written since the last time."""
        data = bytes(self._bytes)
        self._bytes.clear()
        return data
