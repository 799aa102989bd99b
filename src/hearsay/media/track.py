"""Decoding of one audio track: packets to mono 16 kHz samples in a file.

Knows no container format and no policy: `decoding` decides what damage means.
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
"""Seconds; shorter gaps in the timeline are rounding, longer ones are clock jumps."""

MAX_SILENCE_RATIO = 20.0
"""Limit of gap filling: seconds of silence per second of audio, beyond the first minute."""

_TARGET = ("s16", "mono", SAMPLE_RATE)
_SMALL_FRAME = 512
"""Frames of fewer samples are merged: some damaged headers make one frame per sample."""

_MIN_RATE, _MAX_RATE = 1_000, 1_000_000
_MAX_READ_ERRORS = 100


class Track:
    """Decodes one track and counts its damage."""

    def __init__(self, pcm: BinaryIO | IO[bytes], max_duration: float | None, start: float | None) -> None:
        """Write to `pcm`; the timeline begins at `start` seconds, or with the first frame."""
        self.n_samples = 0
        self.n_damaged = 0
        """Packets that could not be read or decoded."""
        self.n_jumps = 0
        """Clock jumps too large for a gap."""
        self.filled_seconds = 0.0
        """Silence inserted for gaps after the first frame."""
        self.end = start or 0.0
        """Expected start of the next frame, in seconds of the container's timeline."""
        self._seconds = 0.0
        self._is_synced = start is not None
        self._pcm = pcm
        self._max_duration = max_duration
        self._resampler = MonoResampler()

    def read(self, container: InputContainer, stream: AudioStream) -> None:
        """Decode every decodable packet, to the end. Raises `InvalidAudio`."""
        pending: AudioFrame | None = None
        for frame in self._frames(container, stream):
            if pending is not None:
                self._add(pending, frame)
            pending = frame
        if pending is not None:
            self._add(pending, None)
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

    def _add(self, frame: AudioFrame, next_frame: AudioFrame | None) -> None:
        if not _MIN_RATE <= frame.sample_rate <= _MAX_RATE:
            raise InvalidAudio(
                f"The recording claims to have {frame.sample_rate} samples a second.", code="damaged_audio"
            )
        self._sync(frame, next_frame)
        self._seconds += frame.samples / frame.sample_rate
        self.end += frame.samples / frame.sample_rate
        self._write(self._resampler.convert(frame))

    def _sync(self, frame: AudioFrame, next_frame: AudioFrame | None) -> None:
        """Fill a gap before this frame with silence; follow a clock that jumps back or far ahead.

        A time that the next frame contradicts is damaged and ignored.
        """
        start = _start_time(frame)
        if start is None:
            return
        gap = start - self.end
        if self._is_synced and -MIN_GAP <= gap <= MIN_GAP:
            return
        if self._is_synced and not _continues(frame, next_frame):
            return
        max_filled = MAX_GAP + MAX_SILENCE_RATIO * self._seconds
        if self._is_synced and 0 < gap <= MAX_GAP and self.filled_seconds + gap <= max_filled:
            self.filled_seconds += gap if self._seconds else 0.0
            self._write(self._resampler.drain())
            self._write(iter([bytes(2 * round(SAMPLE_RATE * gap))]))
        elif self._is_synced:
            self.n_jumps += 1
        self.end = start
        self._is_synced = True

    def _write(self, blocks: Iterator[bytes]) -> None:
        for block in blocks:
            self._pcm.write(block)
            self.n_samples += len(block) // 2
            if self._max_duration is not None and self.n_samples > self._max_duration * SAMPLE_RATE:
                message = f"The recording is longer than {self._max_duration:g} seconds, the most accepted."
                raise InvalidAudio(message, code="audio_too_long")


def _start_time(frame: AudioFrame) -> float | None:
    """Return the start of a frame, in seconds of the container's timeline."""
    return None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)


def _continues(frame: AudioFrame, next_frame: AudioFrame | None) -> bool:
    """Return whether the next frame begins where this one ends; True for the last one."""
    start, next_start = _start_time(frame), None if next_frame is None else _start_time(next_frame)
    if start is None or next_start is None:
        return next_frame is None
    return abs(next_start - start - frame.samples / frame.sample_rate) <= MIN_GAP


class MonoResampler:
    """Converts frames of any and changing rate, layout and format to `s16le` mono at 16 kHz."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._input_format: tuple[str, str, int] | None = None
        self._fifo = AudioFifo()

    def convert(self, frame: AudioFrame) -> Iterator[bytes]:
        """Convert a frame and yield the samples that are ready."""
        input_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        if input_format != self._input_format:
            yield from self.flush()
            self._input_format = input_format
            self._resampler = None if input_format == _TARGET else AudioResampler("s16", "mono", SAMPLE_RATE)
        if frame.samples >= _SMALL_FRAME:
            yield from self.drain()
            yield from self._convert(frame)
            return
        frame.pts = None
        self._fifo.write(frame)
        if self._fifo.samples >= _SMALL_FRAME:
            yield from self.drain()

    def flush(self) -> Iterator[bytes]:
        yield from self.drain()
        if self._resampler is not None:
            yield from map(_bytes, self._resampler.resample(None))
        self._resampler, self._input_format, self._fifo = None, None, AudioFifo()

    def drain(self) -> Iterator[bytes]:
        """Yield the samples of merged small frames."""
        gathered = self._fifo.read() if self._fifo.samples else None
        if gathered is not None:
            yield from self._convert(gathered)

    def _convert(self, frame: AudioFrame) -> Iterator[bytes]:
        if self._resampler is None:
            yield _bytes(frame)
            return
        frame = _mean_of_channels(frame) if _has_unknown_layout(frame) else frame
        yield from map(_bytes, self._resampler.resample(frame))


def _has_unknown_layout(frame: AudioFrame) -> bool:
    """Return whether libav does not know the channels' positions, so that it cannot mix them."""
    name = frame.layout.name
    return frame.layout.nb_channels > 2 and ("channels" in name or "ambisonic" in name)


def _mean_of_channels(frame: AudioFrame) -> AudioFrame:
    """Return the mean of all channels.

    The samples are interleaved first: PyAV counts a frame's planes by the null pointer after the last one,
    which is missing beyond eight planes.
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
