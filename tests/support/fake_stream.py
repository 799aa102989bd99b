"""The fake engine as a stream, and what it recognises: every loud half second is a word.

Knows no test.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hearsay.domain import RECOGNITION, SAMPLE_RATE, Audio, Samples, Segment, Task, TranscribeOptions, Word
from hearsay.engines.fake.recognizer import (
    _FRAME_SAMPLES,
    _LANGUAGES,
    _SLOT_FRAMES,
    _SLOT_SAMPLES,
    _SPEECH_LOGPROB,
    LOUD,
    PROBABILITY,
    SEGMENT_WORDS,
    Faults,
    _noun,
)
from hearsay.errors import UnsupportedOption

SLOT_SECONDS = 0.5
"""How long a word lasts."""


def _is_loud(samples: Samples) -> bool:
    return len(samples) > 0 and float(np.sqrt(np.mean(samples**2))) >= LOUD


def expected_words(audio: Audio, *, language: str = "en", capitals: bool = False) -> tuple[Word, ...]:
    """Predict every word that the engine will hear; a slot counts when at least half of it is there."""
    n_frames = audio.n_samples // _FRAME_SAMPLES
    words = []
    for slot in range((n_frames + _SLOT_FRAMES // 2) // _SLOT_FRAMES):
        stop = min((slot + 1) * _SLOT_FRAMES, n_frames) * _FRAME_SAMPLES
        if _is_loud(audio.samples(slot * _SLOT_SAMPLES, stop)):
            start = slot * SLOT_SECONDS
            words.append(Word(start, stop / SAMPLE_RATE, _noun(slot, language, capitals), PROBABILITY))
    return tuple(words)


class FakeUtteranceRecognizer:
    """An `UtteranceRecognizer` whose segments end with half a second of silence or ten words."""

    def __init__(
        self,
        *,
        languages: tuple[str, ...] = _LANGUAGES,
        tasks: frozenset[Task] = RECOGNITION,
        mishaps: Faults | None = None,
    ) -> None:
        self.languages = languages
        self.tasks = tasks
        self.mishaps = mishaps or Faults()

    def open(self, options: TranscribeOptions) -> FakeStream:
        """Begin a recording. Raises `UnsupportedOption` for a language or task that it was not made with."""
        if options.language is not None and options.language not in self.languages:
            raise UnsupportedOption(f"The fake engine does not speak {options.language!r}.", param="language")
        if options.task not in self.tasks:
            raise UnsupportedOption(f"The fake engine cannot {options.task.value}.", param="model")
        return FakeStream(options, self.languages[0], self.mishaps)

    def close(self) -> None:
        """Do nothing; there is no memory to give back."""


class FakeStream:
    """One recording being heard slot by slot."""

    def __init__(self, options: TranscribeOptions, hears: str, mishaps: Faults) -> None:
        self.warnings: list[str] = []
        self.language = options.language or hears
        self._options = options
        self._spoken = "en" if options.task is Task.TRANSLATE else self.language
        self._capitals = (options.prompt or "").isupper()
        self._mishaps = mishaps
        self._waiting: Samples = np.zeros(0, np.float32)
        self._slot = 0
        self._open: list[Word] = []

    def feed(self, samples: Samples) -> Iterator[Segment]:
        """Take `float32[n_samples]` and give the segments that they completed."""
        self._mishaps.pause()
        self._waiting = np.concatenate([self._waiting, samples])
        while len(self._waiting) >= _SLOT_SAMPLES:
            slot, self._waiting = self._waiting[:_SLOT_SAMPLES], self._waiting[_SLOT_SAMPLES:]
            yield from self._hear(slot)

    def partial(self) -> str:
        """Return the words since the last segment."""
        return "".join(word.text for word in self._open).strip()

    def finish(self) -> Iterator[Segment]:
        """Hear what is left (when at least half a slot) and give the last segment."""
        if len(self._waiting) // _FRAME_SAMPLES >= _SLOT_FRAMES // 2:
            yield from self._hear(self._waiting)
        self._waiting = self._waiting[:0]
        yield from self._complete()

    def _hear(self, slot: Samples) -> Iterator[Segment]:
        start = self._slot * SLOT_SECONDS
        slot = slot[: len(slot) // _FRAME_SAMPLES * _FRAME_SAMPLES]
        loud = _is_loud(slot)
        if loud:
            text = _noun(self._slot, self._spoken, self._capitals)
            end = (self._slot * _SLOT_SAMPLES + len(slot)) / SAMPLE_RATE
            self._open.append(Word(start, end, text, PROBABILITY))
        self._slot += 1
        if len(self._open) >= SEGMENT_WORDS or not loud:
            yield from self._complete()

    def _complete(self) -> Iterator[Segment]:
        if not self._open:
            return
        self._mishaps.step()
        words, self._open = tuple(self._open), []
        yield Segment(
            start=words[0].start,
            end=words[-1].end,
            text="".join(word.text for word in words),
            words=words if self._options.words else None,
            temperature=self._options.temperature,
            avg_logprob=_SPEECH_LOGPROB,
            compression_ratio=1.0,
            no_speech_prob=0.01,
        )
