"""Makers of test media: a known sound in any container and codec that libav writes, made when a test runs.

Knows nothing about how it will be read.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to write sound."""

    muxer: str
    codec: str
    rate: int = 44_100
    layout: str = "stereo"
    video: bool = False
    """Whether a small moving picture goes with it."""
    options: tuple[tuple[str, str], ...] = ()
    """Options of the muxer."""
    encoding: tuple[tuple[str, str], ...] = ()
    """Options of the encoder."""
    container: str | None = None
    """libav's name when it reads it, where that differs from the muxer's."""


KINDS: dict[str, Kind] = {
    "wav": Kind("wav", "pcm_s16le"),
    "wav-float": Kind("wav", "pcm_f32le", 48_000),
    "wav-24bit": Kind("wav", "pcm_s24le", 96_000),
    "wav-u8": Kind("wav", "pcm_u8", 8_000, "mono"),
    "wav-mulaw": Kind("wav", "pcm_mulaw", 8_000, "mono"),
    "wav-alaw": Kind("wav", "pcm_alaw", 8_000, "mono"),
    "wav-adpcm": Kind("wav", "adpcm_ima_wav", 22_050, "mono"),
    "wav-5.1": Kind("wav", "pcm_s16le", 48_000, "5.1"),
    "w64": Kind("w64", "pcm_s16le"),
    "aiff": Kind("aiff", "pcm_s16be"),
    "au": Kind("au", "pcm_s16be", 16_000, "mono"),
    "caf": Kind("caf", "pcm_s16le"),
    "flac": Kind("flac", "flac"),
    "flac-16k": Kind("flac", "flac", 16_000, "mono"),
    "mp3": Kind("mp3", "libmp3lame"),
    "mp3-bare": Kind("mp3", "libmp3lame", options=(("write_xing", "0"), ("id3v2_version", "0"))),
    "mpga": Kind("mp2", "mp2", container="mp3"),
    "m4a": Kind("ipod", "aac", container="mov"),
    "m4a-alac": Kind("ipod", "alac", container="mov"),
    "m4a-faststart": Kind("ipod", "aac", options=(("movflags", "+faststart"),), container="mov"),
    "mp4": Kind("mp4", "aac", 48_000, container="mov"),
    "mp4-fragments": Kind(
        "mp4", "aac", 48_000, options=(("movflags", "+frag_keyframe+empty_moov"),), container="mov"
    ),
    "mp4-video": Kind("mp4", "aac", 48_000, video=True, container="mov"),
    "mov-video": Kind("mov", "pcm_s16le", 48_000, video=True, container="mov"),
    "3gp": Kind("3gp", "libopencore_amrnb", 8_000, "mono", container="mov"),
    "amr": Kind("amr", "libopencore_amrnb", 8_000, "mono"),
    "aac": Kind("adts", "aac", container="aac"),
    "ogg-opus": Kind("ogg", "libopus", 48_000),
    "ogg-vorbis": Kind("ogg", "vorbis", 48_000, encoding=(("strict", "experimental"),)),
    "ogg-flac": Kind("ogg", "flac"),
    "webm": Kind("webm", "libopus", 48_000, container="matroska"),
    "webm-video": Kind("webm", "libopus", 48_000, video=True, container="matroska"),
    "mka": Kind("matroska", "flac"),
    "mkv-video": Kind("matroska", "aac", 48_000, video=True),
    "mpeg": Kind("mpeg", "mp2", 48_000),
    "mpeg-video": Kind("mpeg", "mp2", 48_000, video=True),
    "ts": Kind("mpegts", "aac", 48_000),
    "wma": Kind("asf", "wmav2", encoding=(("b", "128000"),)),
    "avi": Kind("avi", "libmp3lame", video=True),
    "flv": Kind("flv", "aac", video=True),
    "tta": Kind("tta", "tta"),
    "wv": Kind("wv", "wavpack"),
    "ac3": Kind("ac3", "ac3", 48_000),
}
"""Name → kind: everything that the task names, and more that the library opens."""

_VIDEO_CODECS = {"webm": "libvpx", "mpeg": "mpeg1video", "flv": "flv"}


def tone(seconds: float, frequency: float = 440.0, rate: int = 16_000) -> NDArray[np.float32]:
    """Make a sine of half the full scale, `float32[n_samples]`."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def write(kind: Kind, sound: NDArray[np.float32], *, tracks: int = 1) -> bytes:
    """Write `float32[n_samples]` at the kind's rate on every channel; further tracks hold silence."""
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=kind.muxer, options=dict(kind.options)) as output:
            picture = _add_picture(output, kind) if kind.video else None
            streams = [_add_track(output, kind) for _ in range(tracks)]
            if picture is not None:
                _write_picture(output, picture, len(sound) / kind.rate)
            for start in range(0, len(sound), 1000):
                for number, stream in enumerate(streams):
                    piece = sound[start : start + 1000] * (number == 0)
                    output.mux(stream.encode(_frame(piece, start, kind)))
            for stream in streams:
                output.mux(stream.encode(None))
        return Path(file.name).read_bytes()


def _add_track(output: Any, kind: Kind) -> Any:
    return output.add_stream(kind.codec, rate=kind.rate, layout=kind.layout, options=dict(kind.encoding))


def _frame(piece: NDArray[np.float32], start: int, kind: Kind) -> AudioFrame:
    n_channels = av.AudioLayout(kind.layout).nb_channels
    interleaved = np.repeat(piece, n_channels)[None]
    frame = AudioFrame.from_ndarray(interleaved, "flt", kind.layout)
    frame.sample_rate, frame.pts, frame.time_base = kind.rate, start, Fraction(1, kind.rate)
    return frame


def _add_picture(output: Any, kind: Kind) -> Any:
    picture = output.add_stream(_VIDEO_CODECS.get(kind.muxer, "mpeg4"), rate=25)
    picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
    return picture


def _write_picture(output: Any, picture: Any, seconds: float) -> None:
    for number in range(max(round(seconds * 25), 1)):
        shade = np.full((48, 64, 3), number % 256, np.uint8)
        frame = VideoFrame.from_ndarray(shade, "rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        output.mux(picture.encode(frame))
    output.mux(picture.encode(None))
