"""One audio track on its way from packets to mono 16 kHz samples in a file.

Knows no container format and no policy: what damage means, and whether it matters, is told by `audio`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, BinaryIO

import numpy as np
from av.audio.fifo import AudioFifo
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

MAX_SILENCE_RATIO = 20.0
"""Seconds of silence that may stand for holes for every second of sound, beyond the first minute."""

_TARGET = ("s16", "mono", SAMPLE_RATE)
_SMALL_FRAME = 512
"""Frames of fewer samples are gathered: some damaged headers make one of every sample."""

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
        self._sound = 0.0
        self._placed = start is not None
        self._pcm = pcm
        self._max_duration = max_duration
        self._resampler = MonoResampler()

    def read(self, container: InputContainer, stream: AudioStream) -> None:
        """Decode every packet that can be decoded, to the end. Raises `InvalidAudio`."""
        held: AudioFrame | None = None
        for frame in self._frames(container, stream):
            if held is not None:
                self._take(held, frame)
            held = frame
        if held is not None:
            self._take(held, None)
        self._write(self._resampler.flush())

    def _frames(self, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
        for packet in self._packets(container, stream):
            yield from self._decode(stream, packet)
        yield from self._decode(stream, None)

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

    def _take(self, frame: AudioFrame, following: AudioFrame | None) -> None:
        if not _MIN_RATE <= frame.sample_rate <= _MAX_RATE:
            raise InvalidAudio(
                f"The recording claims to have {frame.sample_rate} samples a second.", code="damaged_audio"
            )
        self._place(frame, following)
        self._sound += frame.samples / frame.sample_rate
        self.end += frame.samples / frame.sample_rate
        self._write(self._resampler.convert(frame))

    def _place(self, frame: AudioFrame, following: AudioFrame | None) -> None:
        """Fill a hole before this frame with silence; follow a clock that jumps back or far ahead.

        A time that the next frame does not bear out is a damaged one, and is ignored.
        """
        begin = _begin(frame)
        if begin is None:
            return
        gap = begin - self.end
        if self._placed and -MIN_GAP <= gap <= MIN_GAP:
            return
        if self._placed and not _continues(frame, following):
            return
        bearable = MAX_GAP + MAX_SILENCE_RATIO * self._sound
        if self._placed and 0 < gap <= MAX_GAP and self.filled + gap <= bearable:
            self.filled += gap if self._sound else 0.0
            self._write(self._resampler.drain())
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


def _begin(frame: AudioFrame) -> float | None:
    """Read when a frame begins, in seconds of the container's timeline."""
    return None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)


def _continues(frame: AudioFrame, following: AudioFrame | None) -> bool:
    """Return whether the next frame begins where this one ends; there is none to contradict the last."""
    begin, then = _begin(frame), None if following is None else _begin(following)
    if begin is None or then is None:
        return following is None
    return abs(then - begin - frame.samples / frame.sample_rate) <= MIN_GAP


class MonoResampler:
    """Turns frames of any and of changing rate, layout and format into `s16le` mono at 16 kHz."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._small = AudioFifo()

    def convert(self, frame: AudioFrame) -> Iterator[bytes]:
        """Take a frame and give the samples that are ready."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self.flush()
            self._shape = shape
            self._resampler = None if shape == _TARGET else AudioResampler("s16", "mono", SAMPLE_RATE)
        if frame.samples >= _SMALL_FRAME:
            yield from self.drain()
            yield from self._convert(frame)
            return
        frame.pts = None
        self._small.write(frame)
        if self._small.samples >= _SMALL_FRAME:
            yield from self.drain()

    def flush(self) -> Iterator[bytes]:
        """Return the samples still inside."""
        yield from self.drain()
        if self._resampler is not None:
            for ready in self._resampler.resample(None):
                yield _bytes(ready)
        self._resampler, self._shape, self._small = None, None, AudioFifo()

    def drain(self) -> Iterator[bytes]:
        """Return what was gathered of small frames."""
        gathered = self._small.read() if self._small.samples else None
        if gathered is not None:
            yield from self._convert(gathered)

    def _convert(self, frame: AudioFrame) -> Iterator[bytes]:
        if self._resampler is None:
            yield _bytes(frame)
            return
        for ready in self._resampler.resample(_average(frame) if _is_unplaced(frame) else frame):
            yield _bytes(ready)


def _is_unplaced(frame: AudioFrame) -> bool:
    """Return whether libav does not know where the channels stand, so that it cannot mix them."""
    name = frame.layout.name
    return frame.layout.nb_channels > 2 and ("channels" in name or "ambisonic" in name)


def _average(frame: AudioFrame) -> AudioFrame:
    """Mix all channels alike.

    The samples are interleaved first: PyAV finds the planes of a frame by looking for a null pointer behind
    the last one, which is not there when there are more than eight.
    """
    packer = AudioResampler("flt", frame.layout, frame.sample_rate)
    (packed,) = packer.resample(frame)
    n_samples, n_channels = packed.samples, packed.layout.nb_channels
    samples = np.frombuffer(memoryview(packed.planes[0]), np.float32, n_samples * n_channels)
    mixed = samples.reshape(n_samples, n_channels).mean(axis=1, dtype=np.float64)
    mono = AudioFrame.from_ndarray(mixed.astype(np.float32)[None], "fltp", "mono")
    mono.sample_rate, mono.pts, mono.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mono


def _bytes(frame: AudioFrame) -> bytes:
    return bytes(memoryview(frame.planes[0])[: 2 * frame.samples])
