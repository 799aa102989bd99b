"""Bytes of any container to mono 16 kHz audio and back, through libav.

Knows no engine and no server. `worker_pool` isolates hostile files in a process; here libav is only kept from
other files: it may open a single descriptor, with demuxers that read their own bytes. Downmix and resampling
are those of `ffmpeg -ac 1 -ar 16000`, as in openai/whisper's `audio.py`; unlike there, gaps in the timeline
are filled with silence, so that times stay those of the recording.
"""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard

from hearsay.domain import MIN_DURATION, SAMPLE_RATE, Audio, Samples
from hearsay.errors import AudioTooShort, InvalidAudio
from hearsay.media.track import Track
from hearsay.media.truncation import declared_end, is_truncated, rejection_reason

DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,iff,ircam,loas,matroska,mlp,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qoa,rm,sox,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
"""Allowed demuxers: containers that describe themselves and read only their own bytes.

No playlist (concat, hls, dash), no image sequence, no device, no session description, no raw samples.
"""

CONTAINERS = {
    "wav": ("wav", "pcm_s16le", None),
    "flac": ("flac", "flac", None),
    "ogg": ("ogg", "libopus", 32_000),
    "webm": ("webm", "libopus", 32_000),
    "mp3": ("mp3", "libmp3lame", 64_000),
    "m4a": ("ipod", "aac", 64_000),
}
"""Containers of `encode`: name → libav's muxer, encoder and bit rate (None: lossless)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Facts about a decoded file."""

    n_samples: int
    container: str
    """libav's name of the container."""
    codec: str
    """libav's name of the decoded track's codec."""
    warnings: tuple[str, ...] = ()
    """Damage in the file, one sentence each."""


def load(path: Path, *, max_duration: float | None = None) -> Audio:
    """Decode a file in this process. Raises `InvalidAudio`, `OSError`."""
    with tempfile.TemporaryFile() as pcm:
        with path.open("rb") as source:
            decoded = decode_file(source, pcm, max_duration=max_duration)
        return Audio.map(pcm, decoded.n_samples, decoded.warnings)


def decode(source: Path, pcm: Path, *, max_duration: float | None = None) -> Decoded:
    """Decode a file into another, as mono 16 kHz `s16le` samples; see `decode_file`."""
    with source.open("rb") as source_file, pcm.open("wb") as pcm_file:
        return decode_file(source_file, pcm_file, max_duration=max_duration)


def decode_file(source: BinaryIO, pcm: BinaryIO | IO[bytes], *, max_duration: float | None = None) -> Decoded:
    """Decode one real file into another, in constant memory.

    Raises `InvalidAudio` for a file that is no recording, cannot be decoded, or is longer than `max_duration`
    seconds, and `AudioTooShort` under 0.01 s.
    """
    if os.fstat(source.fileno()).st_size == 0:
        raise InvalidAudio("The file is empty.", code="empty_file")
    try:
        with _open(source.fileno()) as container:
            stream = _first_track(container)
            track = Track(pcm, max_duration, _timeline_start(container, stream))
            track.read(container, stream)
            pcm.flush()
            return _checked(source.fileno(), container, stream, track)
    except (FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise InvalidAudio(f"The file could not be decoded: {_reason(error)}.") from error


def encode(samples: Samples, container: str) -> bytes:
    """Return `float32[n_samples]` in [-1, 1] at 16 kHz in one of `CONTAINERS`."""
    muxer, codec, bit_rate = CONTAINERS[container]
    pcm = (np.clip(samples, -1.0, 1.0 - 2**-15) * 32768.0).round().astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer) as output:
        stream: Any = output.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        for start in range(0, len(pcm), SAMPLE_RATE):
            frame = AudioFrame.from_ndarray(pcm[None, start : start + SAMPLE_RATE], "s16", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


@cache
def _audio_decoders() -> str:
    """Return the names of all audio decoders, which excludes video decoders."""
    names = []
    for name in sorted(av.codecs_available):
        try:
            codec = Codec(name, "r")
        except ValueError:  # an encoder only
            continue
        if codec.type == "audio":
            names.append(name)
    return ",".join(names)


def _open(descriptor: int) -> InputContainer:
    """Open a descriptor by its content; without a path libav cannot guess from a name or open other files."""
    options = {
        "fd": str(descriptor),
        "protocol_whitelist": "fd",
        "format_whitelist": DEMUXERS,
        "codec_whitelist": _audio_decoders(),
    }
    try:
        return av.open("fd:", "r", options=options, metadata_errors="replace")
    except FFmpegError as error:
        head = os.pread(descriptor, 4096, 0)
        raise InvalidAudio(rejection_reason(head)) from error


def _first_track(container: InputContainer) -> AudioStream:
    """Return the first audio track with a decoder, and discard all others."""
    tracks = container.streams.audio
    if not tracks:
        raise InvalidAudio("The file has no audio track.", code="no_audio_track")
    readable = [track for track in tracks if track.codec_context is not None]
    if not readable:
        raise InvalidAudio("The file's audio is in a codec that is not supported.", code="unsupported_codec")
    chosen: AudioStream = readable[0]
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    return chosen


def _timeline_start(container: InputContainer, stream: AudioStream) -> float | None:
    """Return the start of a container with several streams; None for a single one (its first sample)."""
    if len(container.streams) == 1 or container.start_time is None:
        return None
    return float(container.start_time / av.time_base)


def _checked(descriptor: int, container: InputContainer, stream: AudioStream, track: Track) -> Decoded:
    """Return the result, with warnings about damage. Raises `InvalidAudio`, `AudioTooShort`."""
    if track.n_samples == 0 and track.n_damaged:
        raise InvalidAudio("The recording is damaged: nothing in it could be decoded.", code="damaged_audio")
    if track.n_samples < MIN_DURATION * SAMPLE_RATE:
        raise AudioTooShort
    warnings = []
    declared = declared_end(container, stream, descriptor)
    if declared is not None and track.end < declared - min(0.25 + 0.01 * declared, 5.0):
        warnings.append(
            f"The recording is cut short or damaged: it should last {declared:.2f} seconds, "
            f"{max(track.end, 0.0):.2f} could be read."
        )
    elif is_truncated(container.format.name, descriptor):
        warnings.append("The recording is cut short: its end is missing.")
    if track.n_damaged:
        warnings.append("Parts of the recording are damaged and were left out.")
    if track.filled_seconds:
        warnings.append(
            f"{track.filled_seconds:.2f} seconds are missing inside the recording; silence stands for them."
        )
    if track.n_jumps:
        warnings.append("The recording's clock jumps; the times after a jump count on from before it.")
    return Decoded(track.n_samples, container.format.name, stream.codec_context.name, tuple(warnings))


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".").lower()
