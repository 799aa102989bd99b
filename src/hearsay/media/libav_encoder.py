"""Streaming encoder through libav: opus, aac, flac and ogg.

Knows no resampling. Nothing is rewritten, so a file has no field that is known only at its end: FLAC declares
an unknown length (zero), and `flac_head` returns the header with the length for seekable files. Every packet
is returned at once, and Ogg pages are short. Files have no date, random number or version: equal audio gives
equal bytes.

An `ogg` file must play at any requested rate. Opus always plays at 48 kHz (except in libsndfile, which obeys
the rate in its header), so ogg holds Opus at that rate and FLAC at all others. FFmpeg and browsers play that;
libsndfile does not read FLAC in Ogg. FFmpeg's Vorbis encoder, the only one in libav's wheels, is stereo only
and loses most of a voice at 16 kHz.

Latency, in seconds at 8, 24 and 48 kHz: flac 0.04, ogg with flac 0.08, opus 0.12, aac 0.26, 0.09 and 0.05. In
aac the audio begins 1024 samples late, a codec delay that the file cannot declare; its end is padded to a
whole frame.
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
from hearsay.media.formats import AudioFormat, Container

_FRAMES_PER_SECOND = 25
"""FLAC frame rate, approximately: the usual 0.1 s would add latency, and odd sizes cannot be partitioned and
cost twice; each frame has an overhead of 0.02 s of audio."""

_OPUS_RATE = 48_000

_FLAC_HEADER_BYTES = 26
"""Bytes of a FLAC file up to the length: marker of 4, block header of 4, block and frame sizes of 10, and 8
of which the last 36 bits are the number of samples (RFC 9639, 8.2); 0 for unknown."""

_LENGTH_BITS = 36

_OPUS_PAGE = {"page_duration": "60000"}
_FLAC_PAGE = {"page_duration": "30000"}
"""Least microseconds of audio in an Ogg page: three packets of Opus, one frame of FLAC. libav holds one page
back; each costs 28 bytes."""


@dataclass(frozen=True, slots=True)
class _CodecSettings:
    """libav's muxer, codec and options of one container."""

    muxer: str
    codec: str
    muxer_options: dict[str, str]
    codec_options: dict[str, str]
    bit_rate: int = 0
    """Default for speech; 0 where the codec has none."""


_OPUS_OPTIONS = {"compression_level": "0", "vbr": "constrained"}
"""Constrained bit rate. Complexity 0 takes a fifth of the time of the default 10; at the same bit rate its
quality for speech is about that of 5, and more bits compensate for the difference to 10."""

_AAC_OPTIONS = {"aac_coder": "fast"}
"""Takes a fifth of the time of the default search, with a lower error."""


def _codec_settings(container: Container, rate: int) -> _CodecSettings:
    match container:
        case Container.AAC:
            return _CodecSettings("adts", "aac", {}, _AAC_OPTIONS, min(4 * rate, 96_000))
        case Container.FLAC:
            return _CodecSettings("flac", "flac", {"metadata_header_padding": "0"}, _flac_options(rate))
        case Container.OGG if rate != _OPUS_RATE:
            return _CodecSettings("ogg", "flac", _FLAC_PAGE, _flac_options(rate))
        case Container.OPUS | Container.OGG:
            bit_rate = 32_000 if rate < 16_000 else 64_000 if rate < 48_000 else 80_000
            return _CodecSettings("ogg", "libopus", _OPUS_PAGE, _OPUS_OPTIONS, bit_rate)
        case _:
            raise ValueError(f"{container} needs no codec of libav's.")


def _flac_options(rate: int) -> dict[str, str]:
    return {"frame_size": str(round(rate / _FRAMES_PER_SECOND / 32) * 32)}


class LibavWriter:
    """Encodes one file."""

    def __init__(self, audio_format: AudioFormat) -> None:
        """Open the encoder. Raises `UnsupportedOption` where libav was built without the codec."""
        settings = _codec_settings(audio_format.container, audio_format.sample_rate)
        self._rate = audio_format.sample_rate
        self._time_base = Fraction(1, audio_format.sample_rate)
        self._n_samples = 0
        self._buffer = _OutputBuffer()
        try:
            self._output, self._stream = _open(self._buffer, settings, audio_format)
        except (ValueError, FFmpegError) as error:
            raise UnsupportedOption(
                f"{audio_format.container} cannot be made: libav has no {settings.codec} on this machine. "
                f"Ask for {Container.WAV}.",
                param="response_format",
            ) from error

    def feed(self, pcm: Pcm) -> bytes:
        if len(pcm):
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[None]), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._n_samples, self._time_base
            self._n_samples += len(pcm)
            self._output.mux(self._stream.encode(frame))
        return self._buffer.take()

    def finish(self) -> bytes:
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._buffer.take()


def _open(buffer: _OutputBuffer, settings: _CodecSettings, audio_format: AudioFormat) -> tuple[Any, Any]:
    """Return container and stream, with the header written. Raises `ValueError` for a missing codec."""
    options = settings.muxer_options | {"flush_packets": "1", "fflags": "+bitexact"}
    output: Any = av.open(buffer, "w", format=settings.muxer, container_options=options)
    options = settings.codec_options | {"flags": "+bitexact"}
    stream = output.add_stream(settings.codec, rate=audio_format.sample_rate, layout="mono", options=options)
    if bit_rate := audio_format.bit_rate or settings.bit_rate:
        stream.bit_rate = bit_rate
    stream.codec_context.thread_count = 1
    output.start_encoding()
    return output, stream


def flac_head(file: BinaryIO) -> bytes:
    """Return the header of a complete FLAC file, with its length.

    Raises `ValueError` for a file of another kind.
    """
    file.seek(0)
    head = file.read(_FLAC_HEADER_BYTES)
    if len(head) < _FLAC_HEADER_BYTES or not head.startswith(b"fLaC"):
        raise ValueError("This is no FLAC file.")
    file.seek(0)
    with av.open(file, "r", format="flac") as whole:
        n_samples = sum(packet.duration or 0 for packet in whole.demux(audio=0))
    fields = int.from_bytes(head[-8:], "big")
    if n_samples >> _LENGTH_BITS:
        return head
    return head[:-8] + (fields >> _LENGTH_BITS << _LENGTH_BITS | n_samples).to_bytes(8, "big")


class _OutputBuffer:
    """An append-only file for libav."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._bytes)
        self._bytes.clear()
        return data
