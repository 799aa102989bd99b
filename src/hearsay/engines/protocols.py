"""What an engine must be able to do to serve; engines are synchronous and blocking.

Knows no third-party runtime. An option that an engine cannot honour raises `errors.UnsupportedOption`; it
never silently vanishes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import (
    AlignedWord,
    Audio,
    Hypothesis,
    Pcm,
    Samples,
    Segment,
    SynthesisOptions,
    Task,
    TranscribeOptions,
    Voice,
    Window,
)

IsCancelled = Callable[[], bool]
"""Asked between pieces of work; True means that the caller has gone and the work must end."""


@runtime_checkable
class Features(Protocol):
    """Model input of one recording, from which windows are cut by frame."""

    n_frames: int
    """Frames of real audio (10 ms each for Whisper), padding excluded."""

    def window(self, start: int, *, pad_silence: bool = False) -> NDArray[np.float32]:
        """Cut `float32[n_mels, 3000]` from frame `start`; padding is zeros, or with `pad_silence` silence."""
        ...


@runtime_checkable
class WindowRecognizer(Protocol):
    """A model that sees a bounded window (Whisper); windows of different requests may share one call.

    It may have two more attributes, which callers read with `getattr`: `n_replicas: int`, how many threads
    may call it at once to some purpose (one for each GPU), and `batch_windows: int`, how many windows it
    likes to decode together.
    """

    window_frames: int
    """Frames in a full window (3000)."""
    frame_seconds: float
    """Seconds per frame (0.01)."""
    timestamp_begin: int
    """The token id of time 0.00; ids from here up are times."""
    timestamp_seconds: float
    """Seconds between neighbouring timestamp tokens (0.02)."""
    end_of_text: int
    """Ids below this one are text."""
    previous_limit: int
    """Most tokens of previous text that a window may carry (223 for Whisper, n_text_ctx // 2 - 1)."""
    multilingual: bool
    languages: tuple[str, ...]

    def features(self, audio: Audio) -> Features:
        """Compute model input for a whole recording in memory that does not grow with its length."""
        ...

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[Any]:
        """Encode windows of `float32[n_mels, 3000]`: one opaque encoding each, for any number of decodes."""
        ...

    def detect_language(self, encodings: Sequence[Any]) -> list[Mapping[str, float]]:
        """Return for each encoding the probability of every language code."""
        ...

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Decode each window once at its own temperature; fallback is the caller's decision."""
        ...

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        """Time the words of each window's text tokens; times are seconds from the window's start.

        `tokens` hold text tokens only; `n_frames` are frames of real audio. Words come raw and in order, and
        together stand for all tokens: merging punctuation and mending odd durations is the work of
        `alignment`.
        """
        ...

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Turn text into tokens (no special ones), for prompts."""
        ...

    def decode_text(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text; timestamps and other special tokens vanish."""
        ...

    def close(self) -> None:
        """Return memory back; the recogniser is unusable afterwards."""
        ...


@runtime_checkable
class SortingRecognizer(WindowRecognizer, Protocol):
    """A window recogniser that can say beforehand which windows one computation of `recognize` can hold."""

    def kind(self, window: Window) -> Hashable:
        """Return what windows must have in common to be decoded together. Raises `UnsupportedOption`."""
        ...


class Decoding(Protocol):
    """Windows being decoded together, token by token: some may join and leave while others go on."""

    n_windows: int
    """Windows in it now."""

    def has_room(self, window: Window) -> bool:
        """Return whether `join` would take this window now; an empty decoding has room for any window."""
        ...

    def join(self, windows: Sequence[Window]) -> list[int]:
        """Take windows in, and give a number for each by which it is known. Raises `UnsupportedOption`.

        Cheap: newcomers often come one by one, and what it takes to begin is done in the next step, for all
        of them at once.
        """
        ...

    def step(self) -> list[tuple[int, Hypothesis]]:
        """Advance every window by about one token; give those that came to their end, which leave."""
        ...

    def leave(self, number: int) -> None:
        """Forget a window that nobody wants any more; unknown numbers are no error."""
        ...


@runtime_checkable
class ContinuousRecognizer(WindowRecognizer, Protocol):
    """A window recogniser that new windows need not wait for: they join those being decoded."""

    def decoding(self) -> Decoding:
        """Return a new, empty decoding; `recognize` remains the way to decode a few windows and wait."""
        ...


@runtime_checkable
class SpeechDetector(Protocol):
    """A model that tells where somebody speaks."""

    frame_samples: int
    """Samples in a frame: 512 for Silero, 32 ms."""

    def open(self) -> SpeechStream:
        """Begin a recording; streams of one detector may be used from different threads at once."""
        ...


class SpeechStream(Protocol):
    """One recording being listened to."""

    def feed(self, samples: Samples) -> NDArray[np.float32]:
        """Return the probability of speech in [0, 1] of each whole frame; what is left waits for more.

        Shape: `float32[n]`, in order, `n` the frames completed by these samples.
        """
        ...

    def finish(self) -> NDArray[np.float32]:
        """Return the probability of the last, unfinished frame, if there is one: `float32[0 or 1]`."""
        ...


class Stream(Protocol):
    """One recording being recognised as it arrives.

    A stream may have two more attributes, which callers read with `getattr`: `warnings: list[str]`, one
    sentence for each wish that it could only ignore (a prompt, a temperature), and `language: str | None`,
    what it took the speech for.
    """

    def feed(self, samples: Samples) -> Iterator[Segment]:
        """Take more audio and give the segments that it completed."""
        ...

    def partial(self) -> str:
        """Return the text of the utterance still open."""
        ...

    def finish(self) -> Iterator[Segment]:
        """End the recording and give the segments still owed."""
        ...


@runtime_checkable
class UtteranceRecognizer(Protocol):
    """A model that takes audio of any length piece by piece (PocketSphinx)."""

    languages: tuple[str, ...]
    tasks: frozenset[Task]

    def open(self, options: TranscribeOptions) -> Stream:
        """Begin a recording. Raises `UnsupportedOption` for what it cannot do."""
        ...

    def close(self) -> None:
        """Return memory back; the recogniser is unusable afterwards."""
        ...


Recognizer = WindowRecognizer | UtteranceRecognizer
"""Whatever can turn speech into text."""


class SynthesisStream(Protocol):
    """One piece of text being spoken; it is made ahead of whoever listens, as far as the piece goes."""

    def __iter__(self) -> Iterator[Pcm]:
        """Return the sound as it is made, in blocks of any size, once.

        Raises `EngineFailed`, `IsCancelled`.
        """
        ...

    def stop(self) -> None:
        """Make no more of it, and forget what is made; safe from any thread, at any time, and again."""
        ...


@runtime_checkable
class Synthesizer(Protocol):
    """A model that says what is written."""

    sample_rate: int
    """Samples per second of everything that it says."""
    voices: tuple[Voice, ...]
    speeds: tuple[float, float]
    """Slowest and fastest speech that it can make itself, as multiples of its normal speed."""
    utterance_characters: int
    """Most characters that a piece of text may have; also what it holds in memory of one request."""

    def synthesize(self, text: str, options: SynthesisOptions, *, is_awaited: bool = True) -> SynthesisStream:
        """Begin one utterance; returns at once, from any thread.

        Utterances of all requests are begun in the order in which they come, those that are awaited first:
        the others follow audio that is still being heard. Text that holds nothing that can be spoken (a dash)
        gives no samples. Raises `UnsupportedOption` for a voice that it lacks.
        """
        ...

    def close(self) -> None:
        """Return memory back; the synthesizer is unusable afterwards, and what it is saying ends."""
        ...


Engine = Recognizer | Synthesizer
"""Whatever a model can be once it is loaded."""
