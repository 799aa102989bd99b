"""Samples → packets of a codec → pages of its container, through libav: mp3, opus, aac, flac and ogg.

Knows no resampling. Nothing is ever rewritten, so nothing stands in a file that is known only at its end: mp3
has no Xing header, FLAC says that its length is unknown (zero). Every packet is passed on at once, and pages
of Ogg are short. Files carry no date, no random number and no version: the same sound gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.codec.codec import UnknownCodecError

from hearsay.domain import Pcm
from hearsay.errors import UnsupportedOption
from hearsay.sound_formats import Container, SoundFormat, usual_bit_rate

_FRAMES_PER_SECOND = 50
"""Of FLAC, about: its usual frames of 0.1 s would hold sound back; odd ones cannot be parted and cost twice."""

_PAGE = {"page_duration": "60000"}
"""Microseconds of sound in a page of Ogg. One page is held back by libav; each costs 28 bytes."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How libav is to make one container."""

    muxer: str
    codec: str
    muxer_options: dict[str, str] = field(default_factory=dict)
    codec_options: dict[str, str] = field(default_factory=dict)


_RECIPES = {
    Container.MP3: _Recipe(
        "mp3", "libmp3lame", {"write_xing": "0", "id3v2_version": "0"}, {"reservoir": "0"}
    ),
    Container.OPUS: _Recipe("ogg", "libopus", _PAGE),
    Container.AAC: _Recipe("adts", "aac"),
    Container.FLAC: _Recipe("flac", "flac", {"metadata_header_padding": "0"}),
    Container.OGG: _Recipe("ogg", "flac", _PAGE),
}


class Muxing:
    """One file being written."""

    def __init__(self, wanted: SoundFormat) -> None:
        """Prepare. Raises `UnsupportedOption` where libav was built without the codec."""
        recipe = _RECIPES[wanted.container]
        self._rate = wanted.sample_rate
        self._n_samples = 0
        self._sink = _Sink()
        options = recipe.muxer_options | {"flush_packets": "1", "fflags": "+bitexact"}
        self._output: Any = av.open(self._sink, "w", format=recipe.muxer, container_options=options)
        self._stream = self._add_stream(recipe, wanted)
        self._output.start_encoding()

    def feed(self, pcm: Pcm) -> bytes:
        """Give what is ready after these samples."""
        if len(pcm):
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[None]), "s16", "mono")
            frame.sample_rate, frame.pts = self._rate, self._n_samples
            frame.time_base = Fraction(1, self._rate)
            self._n_samples += len(pcm)
            self._output.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """Give the rest."""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._sink.take()

    def _add_stream(self, recipe: _Recipe, wanted: SoundFormat) -> Any:
        options = {"flags": "+bitexact"} | recipe.codec_options
        if recipe.codec == "flac":
            options["frame_size"] = str(round(wanted.sample_rate / _FRAMES_PER_SECOND / 32) * 32)
        try:
            stream = self._output.add_stream(
                recipe.codec, rate=wanted.sample_rate, layout="mono", options=options
            )
        except UnknownCodecError as error:
            raise UnsupportedOption(
                f"{wanted.container} cannot be made: libav has no {recipe.codec} on this machine. "
                f"Ask for {Container.WAV} or {Container.FLAC}.",
                param="response_format",
            ) from error
        if bit_rate := wanted.bit_rate or usual_bit_rate(wanted.container, wanted.sample_rate):
            stream.bit_rate = bit_rate
        stream.codec_context.thread_count = 1
        return stream


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
