"""Samples → packets of a codec → pages of its container, through libav: opus, aac, flac and ogg.

Knows no resampling. Nothing is ever rewritten, so nothing stands in a file that is known only at its end:
FLAC says that its length is unknown (zero), and `flac_head` gives the true one to whoever can go back. Every
packet is passed on at once, and pages of Ogg are short. Files carry no date, no random number and no version:
the same sound gives the same bytes.

An `ogg` file must play at any rate that was asked for. Opus plays at 48 kHz whatever it was made of (but for
libsndfile, which minds the rate in its header), so it is in the file where that was the wish; at every other
rate FLAC is. FFmpeg and browsers play that; libsndfile, which reads FLAC and reads Ogg, does not read the one
in the other. FFmpeg's own Vorbis encoder, the only one in libav's wheels, knows stereo alone and loses most
of a voice that is sampled 16,000 times a second.

What must be fed before the first sound comes out, in seconds at 8, 24 and 48 kHz: flac 0.04, ogg with flac
0.08, opus 0.12, aac 0.26, 0.09 and 0.05. In aac sound begins later by the codec's delay, which it cannot tell
a reader about: 1024 samples. Its end is filled up to a whole frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from hearsay.domain import Pcm
from hearsay.errors import UnsupportedOption
from hearsay.media.formats import Container, SoundFormat

_FRAMES_PER_SECOND = 25
"""Of FLAC, about: its usual frames of 0.1 s hold sound back, and odd ones cannot be parted and cost twice;
each frame costs as much as 0.02 s of sound, whatever is in it."""

_OPUS_PLAYS_AT = 48_000

_FLAC_HEAD = 26
"""Bytes of a FLAC file up to the end of its length: a mark of 4, a block's header of 4, 10 about sizes, and 8
of which the last 36 bits are how many samples there are (RFC 9639, 8.2); 0 for what is not known."""

_LENGTH_BITS = 36

_OPUS_PAGE = {"page_duration": "60000"}
_FLAC_PAGE = {"page_duration": "30000"}
"""Microseconds of sound in a page of Ogg, at least: three packets of Opus, one frame of FLAC. One page is
held back by libav; each costs 28 bytes."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How libav is to make one container."""

    muxer: str
    codec: str
    muxer_options: dict[str, str]
    codec_options: dict[str, str]
    bit_rate: int = 0
    """What speech sounds well at; 0 where there is nothing to choose."""


_OPUS_OPTIONS = {"compression_level": "0", "vbr": "constrained"}
"""A bit rate is kept to. Effort 0 takes a fifth of the time of the usual 10. At the same bit rate it is about
as near to speech as effort 5; what it lacks against 10, more bits make up for."""

_AAC_OPTIONS = {"aac_coder": "fast"}
"""Takes a fifth of the time of the usual search, and is nearer to the sound."""


def _recipe(container: Container, rate: int) -> _Recipe:
    match container:
        case Container.AAC:
            return _Recipe("adts", "aac", {}, _AAC_OPTIONS, min(4 * rate, 96_000))
        case Container.FLAC:
            return _Recipe("flac", "flac", {"metadata_header_padding": "0"}, _flac_options(rate))
        case Container.OGG if rate != _OPUS_PLAYS_AT:
            return _Recipe("ogg", "flac", _FLAC_PAGE, _flac_options(rate))
        case Container.OPUS | Container.OGG:
            bit_rate = 32_000 if rate < 16_000 else 64_000 if rate < 48_000 else 80_000
            return _Recipe("ogg", "libopus", _OPUS_PAGE, _OPUS_OPTIONS, bit_rate)
        case _:
            raise ValueError(f"{container} needs no codec of libav's.")


def _flac_options(rate: int) -> dict[str, str]:
    return {"frame_size": str(round(rate / _FRAMES_PER_SECOND / 32) * 32)}


class LibavWriter:
    """One file being written."""

    def __init__(self, wanted: SoundFormat) -> None:
        """Prepare. Raises `UnsupportedOption` where libav was built without the codec."""
        recipe = _recipe(wanted.container, wanted.sample_rate)
        self._rate = wanted.sample_rate
        self._time_base = Fraction(1, wanted.sample_rate)
        self._n_samples = 0
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
        """Return what is ready after these samples."""
        if len(pcm):
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[None]), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._n_samples, self._time_base
            self._n_samples += len(pcm)
            self._output.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """Return the rest."""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._sink.take()


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


def flac_head(file: BinaryIO) -> bytes:
    """Return the first bytes of a whole FLAC file as they are when they state its length.

    Raises `ValueError` for a file of another kind.
    """
    file.seek(0)
    head = file.read(_FLAC_HEAD)
    if len(head) < _FLAC_HEAD or not head.startswith(b"fLaC"):
        raise ValueError("This is no FLAC file.")
    file.seek(0)
    with av.open(file, "r", format="flac") as whole:
        n_samples = sum(packet.duration or 0 for packet in whole.demux(audio=0))
    fields = int.from_bytes(head[-8:], "big")
    if n_samples >> _LENGTH_BITS:
        return head
    return head[:-8] + (fields >> _LENGTH_BITS << _LENGTH_BITS | n_samples).to_bytes(8, "big")


class _Sink:
    """What libav takes for a file that can only be written to, and only at its end."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = bytes(self._bytes)
        self._bytes.clear()
        return data
