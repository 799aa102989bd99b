"""What an engine must be able to do to serve; engines are synchronous and blocking.

Knows no third-party runtime. An option that an engine cannot honour raises `errors.UnsupportedOption`; it
never silently vanishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import (
    Audio,
    DecodeSettings,
    Fallback,
    ModelCard,
    Pcm,
    Samples,
    Segment,
    SynthesisOptions,
    Task,
    TranscribeOptions,
    Voice,
)
from hearsay.engines.jobs import Jobs
from hearsay.errors import UnsupportedOption

IsCancelled = Callable[[], bool]
"""Asked between pieces of work; True means that the answer is not wanted any more and the work must end."""


@dataclass(frozen=True, slots=True)
class AudioSlice:
    """The part of a recording that is recognised by itself."""

    begin: float
    """Seconds of the recording at which it starts, on the grid of frames."""
    until: float = inf
    """Seconds of the recording after which there is no speech: no further window begins from there on."""


class WindowLoop(Protocol):
    """One recording, or a slice of one, being recognised window by window."""

    language: str | None
    """Code of the language, None while unknown; may be set before the first result is sent in."""
    warnings: list[str]
    """What the client should know, one sentence each."""
    segments_by_window: list[list[Segment]]
    """Segments of each window decoded so far, in order, with times of the recording; the reader clears it."""
    fallbacks: list[Fallback]
    """Hypotheses that were refused, in order."""

    @property
    def seek_seconds(self) -> float:
        """Where decoding has come to, in seconds of the recording."""

    def jobs(self) -> Jobs[None]:
        """Yield the jobs of one window after the other, filling `segments_by_window`."""


@runtime_checkable
class WindowRecognizer(Protocol):
    """A model that sees a bounded window; jobs of different requests may share a call.

    It may have three more attributes, which the scheduler reads with `getattr`: `n_replicas: int`, how many
    threads may call it at once to some purpose (one for each GPU), `batch_windows: int`, how many windows it
    decodes together best, and `continuous_batch`, see `ContinuousRecognizer`.
    """

    languages: tuple[str, ...]
    """Codes of the languages that it recognises."""
    tasks: frozenset[Task]
    window_seconds: float
    """Longest audio that it sees at once (30 for Whisper)."""
    frame_seconds: float
    """Slices of a recording begin at whole multiples of this (0.01 for Whisper)."""

    def window_loop(
        self,
        audio: Audio,
        options: TranscribeOptions,
        *,
        decode: DecodeSettings,
        part: AudioSlice | None = None,
    ) -> WindowLoop:
        """Prepare to recognise a recording, or the slice `part` of one, whose samples are `audio`.

        Raises: `UnsupportedOption`.
        """

    def close(self) -> None:
        """Free the model's memory; it is unusable afterwards."""


class ContinuousBatch(Protocol):
    """Jobs of the decoding stage that advance together, token by token; they join and leave at any step.

    Source: iteration-level scheduling, Orca (Yu et al., OSDI 2022).
    """

    def has_room(self, job: Any) -> bool:
        """Return whether `join` would take this job now; an empty batch has room for any."""

    def join(self, job: Any) -> int:
        """Add a job and return the number by which it is known. Raises: `UnsupportedOption`, `EngineFailed`.

        Cheap: what it takes to begin is done in the next step, for all new jobs at once.
        """

    def step(self) -> list[tuple[int, Any]]:
        """Advance every job by about one token; return number and result of those that are done and leave."""

    def leave(self, number: int) -> None:
        """Drop a job; unknown numbers are no error."""


@runtime_checkable
class ContinuousRecognizer(WindowRecognizer, Protocol):
    """A window recogniser whose decoding jobs may join those that are being decoded."""

    def continuous_batch(self) -> ContinuousBatch:
        """Return a new, empty batch."""


@runtime_checkable
class SpeechDetector(Protocol):
    """A model that finds speech in audio (voice activity detection)."""

    frame_samples: int
    """Samples in a frame: 512 for Silero, 32 ms."""

    def open(self) -> SpeechStream:
        """Return a stream for one recording; streams may be used in different threads at once."""


class SpeechStream(Protocol):
    """One recording whose speech is being detected."""

    def feed(self, samples: Samples) -> NDArray[np.float32]:
        """Return the probability of speech in [0, 1] of each whole frame; the rest is kept for the next call.

        Shape: `float32[n]`, in order, `n` the frames completed by these samples.
        """

    def finish(self) -> NDArray[np.float32]:
        """Return the probability of the last, unfinished frame, if there is one: `float32[0 or 1]`."""


class SynthesisStream(Protocol):
    """One utterance being synthesized, ahead of its reader."""

    def __iter__(self) -> Iterator[Pcm]:
        """Return the audio as it is made, in blocks of any size, once.

        Raises: `EngineFailed`, `Cancelled`.
        """

    def stop(self) -> None:
        """Cancel the rest and drop what is made; safe from any thread, at any time, and again."""


@runtime_checkable
class Synthesizer(Protocol):
    """A model that turns text into speech."""

    sample_rate: int
    """Samples per second of its audio."""
    voices: tuple[Voice, ...]
    speeds: tuple[float, float]
    """Slowest and fastest speech that the model itself can make, as multiples of its normal speed."""
    utterance_characters: int
    """Most characters of an utterance; also what it holds in memory of one request."""

    def synthesize(self, text: str, options: SynthesisOptions, *, is_awaited: bool = True) -> SynthesisStream:
        """Begin to synthesize one utterance; returns at once, from any thread.

        Utterances of all requests are begun in order, those that are awaited first: the others follow audio
        that is still being played. Text that holds nothing to pronounce (a dash) gives no samples.
        Raises: `UnsupportedOption` for a voice that it lacks.
        """

    def close(self) -> None:
        """Free the model's memory, and cancel all utterances; it is unusable afterwards."""


Engine = WindowRecognizer | Synthesizer
"""Any loaded model."""


def as_recognizer(engine: Engine, card: ModelCard) -> WindowRecognizer:
    """Return a loaded model as a recogniser. Raises: `UnsupportedOption` for a synthesizer."""
    if isinstance(engine, Synthesizer):
        raise UnsupportedOption(f"The model `{card.id}` speaks; it cannot transcribe.", param="model")
    return engine


def as_synthesizer(engine: Engine, card: ModelCard) -> Synthesizer:
    """Return a loaded model as a synthesizer. Raises: `UnsupportedOption` for a recogniser."""
    if not isinstance(engine, Synthesizer):
        raise UnsupportedOption(f"The model `{card.id}` transcribes; it cannot speak.", param="model")
    return engine
