"""A windowed recogniser that is nothing like Whisper: 8 s windows, one call each, no prompts, no languages.

Knows no test. Every loud half second of a recording is one word, named after its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from hearsay.domain import (
    SAMPLE_RATE,
    Audio,
    DecodeSettings,
    Fallback,
    Samples,
    Segment,
    Task,
    TranscribeOptions,
    Word,
)
from hearsay.engines.jobs import Job, Jobs, Stage
from hearsay.engines.protocols import AudioSlice
from hearsay.errors import UnsupportedOption

WINDOW_SECONDS = 8.0
WORD_SECONDS = 0.5
_WORD_SAMPLES = round(WORD_SECONDS * SAMPLE_RATE)


@dataclass(frozen=True, slots=True, eq=False)
class Transduce(Job):
    """Recognise one window in one call; the result says which of its half seconds are loud."""

    stage: ClassVar[Stage] = Stage.DECODE
    samples: Samples
    request: str
    """Whose window it is, for the log of calls."""

    def kind(self, model: Any) -> Hashable:
        """Put all windows together."""
        return None

    @classmethod
    def run(cls, model: EightSecondRecognizer, jobs: Sequence[Self]) -> list[list[bool]]:
        """Return the loud half seconds of each window."""
        return model.transduce(jobs)


@dataclass
class EightSecondRecognizer:
    """The recogniser; `pause` is called before each call, and may block."""

    pause: Callable[[], None] = lambda: None
    calls: list[list[str]] = field(default_factory=list)
    """The requests of each call, in order."""
    batch_windows: int = 4

    languages: tuple[str, ...] = ("en",)
    tasks: frozenset[Task] = frozenset({Task.TRANSCRIBE})
    window_seconds: float = WINDOW_SECONDS
    frame_seconds: float = 0.02

    def window_loop(
        self,
        audio: Audio,
        options: TranscribeOptions,
        *,
        decode: DecodeSettings,
        part: AudioSlice | None = None,
    ) -> EightSecondLoop:
        """Prepare to recognise a recording. Raises: `UnsupportedOption` for a prompt."""
        if options.prompt:
            raise UnsupportedOption("This model takes no prompt.", param="prompt")
        return EightSecondLoop(audio, options, part.begin if part else 0.0)

    def transduce(self, jobs: Sequence[Transduce]) -> list[list[bool]]:
        """Recognise windows together."""
        self.calls.append([job.request for job in jobs])
        self.pause()
        return [_loud(job.samples) for job in jobs]

    def close(self) -> None:
        """Do nothing."""


class EightSecondLoop:
    """One window after the other, without seeking, fallback or previous text."""

    def __init__(self, audio: Audio, options: TranscribeOptions, begin: float) -> None:
        self.language: str | None = "en"
        self.warnings: list[str] = []
        self.segments_by_window: list[list[Segment]] = []
        self.fallbacks: list[Fallback] = []
        self.seek_seconds = begin
        self._audio = audio
        self._words = options.words

    def jobs(self) -> Jobs[None]:
        """Yield one job for each window."""
        request = f"{self._audio.duration:g} s"
        step = round(WINDOW_SECONDS * SAMPLE_RATE)
        for start in range(0, self._audio.n_samples, step):
            loud = yield Transduce(self._audio.samples(start, start + step), request)
            begin = self.seek_seconds
            words = tuple(_word(begin + i * WORD_SECONDS) for i, is_loud in enumerate(loud) if is_loud)
            self.segments_by_window.append(self._segments(words))
            self.seek_seconds = begin + WINDOW_SECONDS

    def _segments(self, words: tuple[Word, ...]) -> list[Segment]:
        if not words:
            return []
        text = "".join(word.text for word in words)
        return [Segment(words[0].start, words[-1].end, text, words if self._words else None)]


class Gate:
    """Blocks calls until a test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(30)


def _word(start: float) -> Word:
    return Word(start, start + WORD_SECONDS, f" t{round(start / WORD_SECONDS)}")


def _loud(samples: Samples) -> list[bool]:
    slots = (samples[i : i + _WORD_SAMPLES] for i in range(0, len(samples), _WORD_SAMPLES))
    return [len(slot) > _WORD_SAMPLES // 2 and float(np.sqrt(np.mean(slot**2))) > 0.01 for slot in slots]
