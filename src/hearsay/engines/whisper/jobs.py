"""The jobs of Whisper: encode a window, detect its language, decode it, align its words.

Knows no queue and no thread; any model with these four calls can run them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Audio, Hypothesis, Window
from hearsay.engines.jobs import Job, Stage


class Features(Protocol):
    """Log-mel features of one recording, from which windows are cut by frame."""

    n_frames: int
    """Frames of real audio (10 ms each), padding excluded."""

    def window(self, start: int, *, pad_silence: bool = False) -> NDArray[np.float32]:
        """Return `float32[n_mels, 3000]` from frame `start`; padding is zeros or silence."""


class WhisperModel(Protocol):
    """What the window loop and its jobs need of a loaded Whisper, whichever runtime computes it."""

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
    """Most tokens of previous text in a prompt (223, n_text_ctx // 2 - 1)."""
    multilingual: bool
    languages: tuple[str, ...]

    def features(self, audio: Audio) -> Features:
        """Return the features of a recording, computed in memory that does not grow with its length."""

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[Any]:
        """Return an opaque encoding for each window of `float32[n_mels, n_frames]`."""

    def detect_language(self, encodings: Sequence[Any]) -> list[Mapping[str, float]]:
        """Return for each encoding the probability of every language code."""

    def decode_kind(self, window: Window) -> Hashable:
        """Return what windows must have in common to be decoded together. Raises: `UnsupportedOption`."""

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Decode each window once at its own temperature; fallback is the caller's decision."""

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        """Return the words of each window's text tokens, with times in seconds from the window's start.

        `tokens` hold text tokens only; `n_frames` are frames of real audio. Words come raw and in order, and
        together stand for all tokens: `word_timestamps` merges punctuation and corrects durations.
        """

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text (no special ones), for prompts."""

    def decode_text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; timestamps and other special tokens vanish."""


@dataclass(frozen=True, slots=True, eq=False)
class Encode(Job):
    """Encode one window; the result is an opaque encoding."""

    stage: ClassVar[Stage] = Stage.ENCODE
    features: NDArray[np.float32]
    """`float32[n_mels, n_frames]`."""

    def kind(self, model: WhisperModel) -> Hashable:
        """Return the shape: arrays of different shapes cannot be stacked."""
        return self.features.shape

    @classmethod
    def run(cls, model: WhisperModel, jobs: Sequence[Self]) -> list[Any]:
        return model.encode([job.features for job in jobs])


@dataclass(frozen=True, slots=True, eq=False)
class DetectLanguage(Job):
    """Detect the language of one window; the result is the probability of every language code."""

    stage: ClassVar[Stage] = Stage.DETECT
    encoding: Any

    def kind(self, model: WhisperModel) -> Hashable:
        """Return the shape of the encoding, if it is an array."""
        return getattr(self.encoding, "shape", None)

    @classmethod
    def run(cls, model: WhisperModel, jobs: Sequence[Self]) -> list[Mapping[str, float]]:
        return model.detect_language([job.encoding for job in jobs])


@dataclass(frozen=True, slots=True, eq=False)
class Decode(Job):
    """Decode one window once, at its own temperature; the result is a `Hypothesis`."""

    stage: ClassVar[Stage] = Stage.DECODE
    window: Window

    def kind(self, model: WhisperModel) -> Hashable:
        return model.decode_kind(self.window)

    @classmethod
    def run(cls, model: WhisperModel, jobs: Sequence[Self]) -> list[Hypothesis]:
        return model.recognize([job.window for job in jobs])


@dataclass(frozen=True, slots=True, eq=False)
class Align(Job):
    """Find the times of one window's words; the result is a list of `AlignedWord`."""

    stage: ClassVar[Stage] = Stage.ALIGN
    window: Window
    tokens: tuple[int, ...]
    """Text tokens only."""
    n_frames: int
    """Frames of real audio in the window."""

    def kind(self, model: WhisperModel) -> Hashable:
        """Return the shape of the encoding, if it is an array."""
        return getattr(self.window.encoding, "shape", None)

    @classmethod
    def run(cls, model: WhisperModel, jobs: Sequence[Self]) -> list[list[AlignedWord]]:
        return model.align(
            [job.window for job in jobs], [job.tokens for job in jobs], [job.n_frames for job in jobs]
        )
