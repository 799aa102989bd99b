"""One audio track on its way from packets to mono 16 kHz samples in a file.

Knows no container format and no policy: what damage means, and whether it matters, is told by `audio`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, BinaryIO

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError as EndOfStream
from av.error import FFmpegError

from hearsay.domain import SAMPLE_RATE
from hearsay.errors import InvalidAudio

MIN_GAP, MAX_GAP = 0.1, 60.0
"""Seconds; shorter holes in the timeline are rounding, longer ones are clocks that jump."""

_TARGET = ("s16", "mono", SAMPLE_RATE)
_MIN_RATE, _MAX_RATE = 1_000, 1_000_000
_MAX_READ_ERRORS = 100


class Track:
    """Decodes one track, counting what it could not."""

    def __init__(self, pcm: BinaryIO | IO[bytes], max_duration: float | None, start: float | None) -> None:
        """Begin a track that is written to `pcm`; its timeline begins at `start`, or with its first sound."""
        self.n_samples = 0
        self.n_damaged = 0
        """Packets that could not be read or decoded."""
        self.n_jumps = 0
        """How often the clock jumped too far to be a hole."""
        self.filled = 0.0
        """Seconds of silence that stand for holes after the first sound."""
        self.end = start or 0.0
        """Where the next frame should begin, in seconds of the container's timeline."""
        self._placed = start is not None
        self._pcm = pcm
        self._max_duration = max_duration
        self._resampler = MonoResampler()

    def read(self, container: InputContainer, stream: AudioStream) -> None:
        """Decode every packet that can be decoded, to the end. Raises `InvalidAudio`."""
        for packet in self._packets(container, stream):
            for frame in self._decode(stream, packet):
                self._take(frame)
        for frame in self._decode(stream, None):
            self._take(frame)
        self._write(self._resampler.flush())

    def _packets(self, container: InputContainer, stream: AudioStream) -> Iterator[Any]:
        for _ in range(_MAX_READ_ERRORS):
            try:
                yield from (packet for packet in container.demux(stream) if packet.size)
            except FFmpegError:
                self.n_damaged += 1
            except IndexError:  # PyAV at the end of a file in which tracks appeared late
                return
            else:
                return

    def _decode(self, stream: AudioStream, packet: Any) -> list[AudioFrame]:
        try:
            return list(stream.codec_context.decode(packet))
        except EndOfStream:
            return []
        except FFmpegError:
            self.n_damaged += 1
            return []

    def _take(self, frame: AudioFrame) -> None:
        if not _MIN_RATE <= frame.sample_rate <= _MAX_RATE:
            raise InvalidAudio(
                f"The recording claims to have {frame.sample_rate} samples a second.", code="damaged_audio"
            )
        self._place(frame)
        self.end += frame.samples / frame.sample_rate
        self._write(self._resampler.convert(frame))

    def _place(self, frame: AudioFrame) -> None:
        """Fill a hole before this frame with silence; follow a clock that jumps back or far ahead."""
        if frame.pts is None or frame.time_base is None:
            return
        begin = float(frame.pts * frame.time_base)
        gap = begin - self.end
        if self._placed and -MIN_GAP <= gap <= MIN_GAP:
            return
        if self._placed and 0 < gap <= MAX_GAP:
            self.filled += gap if self.n_samples else 0.0
            self._write(iter([bytes(2 * round(SAMPLE_RATE * gap))]))
        elif self._placed:
            self.n_jumps += 1
        self.end = begin
        self._placed = True

    def _write(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self._pcm.write(piece)
            self.n_samples += len(piece) // 2
            if self._max_duration is not None and self.n_samples > self._max_duration * SAMPLE_RATE:
                message = f"The recording is longer than {self._max_duration:g} seconds, the most accepted."
                raise InvalidAudio(message, code="audio_too_long")


class MonoResampler:
    """Turns frames of any and of changing rate, layout and format into `s16le` mono at 16 kHz."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None

    def convert(self, frame: AudioFrame) -> Iterator[bytes]:
        """Take a frame and give the samples that are ready."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self.flush()
            self._shape = shape
            self._resampler = None if shape == _TARGET else AudioResampler("s16", "mono", SAMPLE_RATE)
        if self._resampler is None:
            yield _bytes(frame)
            return
        for ready in self._resampler.resample(_average(frame) if _is_unplaced(frame) else frame):
            yield _bytes(ready)

    def flush(self) -> Iterator[bytes]:
        """Give the samples still inside."""
        if self._resampler is not None:
            for ready in self._resampler.resample(None):
                yield _bytes(ready)
        self._resampler, self._shape = None, None


def _is_unplaced(frame: AudioFrame) -> bool:
    """Tell whether libav does not know where the channels stand, so that it cannot mix them."""
    name = frame.layout.name
    return frame.layout.nb_channels > 2 and ("channels" in name or "ambisonic" in name)


def _average(frame: AudioFrame) -> AudioFrame:
    """Mix all channels alike."""
    samples = frame.to_ndarray()
    n_channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        samples = samples.reshape(-1, n_channels).T
    mixed = samples.astype(np.float64).mean(axis=0, keepdims=True)
    if samples.dtype.kind != "f":
        scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        mixed = mixed / scale - (1.0 if samples.dtype.kind == "u" else 0.0)
    mono = AudioFrame.from_ndarray(mixed.astype(np.float32), "fltp", "mono")
    mono.sample_rate, mono.pts, mono.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mono


def _bytes(frame: AudioFrame) -> bytes:
    return bytes(memoryview(frame.planes[0])[: 2 * frame.samples])
