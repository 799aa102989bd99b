"""A base for recognisers that take a recording whole, in one job, whatever its length.

Knows no test and no engine.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Self

from hearsay.domain import Audio, DecodeSettings, Fallback, Segment, Task, TranscribeOptions
from hearsay.engines.jobs import Job, Jobs, Stage
from hearsay.engines.protocols import AudioSlice


class WholeRecordingRecognizer:
    """A `WindowRecognizer` whose window is longer than any recording."""

    languages: tuple[str, ...] = ("en",)
    tasks = frozenset({Task.TRANSCRIBE})
    window_seconds = 1e6
    frame_seconds = 0.01

    @abstractmethod
    def hear(self, audio: Audio, options: TranscribeOptions) -> list[Segment]:
        """Return the segments of a recording."""

    def window_loop(
        self,
        audio: Audio,
        options: TranscribeOptions,
        *,
        decode: DecodeSettings,
        part: AudioSlice | None = None,
    ) -> WholeRecordingLoop:
        """Return the loop, which has one job."""
        return WholeRecordingLoop(audio, options)

    def close(self) -> None:
        """Do nothing; there is no memory to free."""


class WholeRecordingLoop:
    """A `WindowLoop` of one window."""

    seek_seconds = 0.0

    def __init__(self, audio: Audio, options: TranscribeOptions) -> None:
        self.language: str | None = options.language or "en"
        self.warnings: list[str] = []
        self.segments_by_window: list[list[Segment]] = []
        self.fallbacks: list[Fallback] = []
        self._job = Hear(audio, options)

    def jobs(self) -> Jobs[None]:
        """Yield the job."""
        self.segments_by_window.append((yield self._job))


class Hear(Job):
    """Recognise a recording."""

    __slots__ = ("audio", "options")
    stage: ClassVar[Stage] = Stage.DECODE

    def __init__(self, audio: Audio, options: TranscribeOptions) -> None:
        self.audio, self.options = audio, options

    def kind(self, model: Any) -> Hashable:
        """Return nothing: all may share a call."""
        return None

    @classmethod
    def run(cls, model: Any, jobs: Sequence[Self]) -> list[Any]:
        """Return the segments of each recording."""
        return [model.hear(job.audio, job.options) for job in jobs]
