"""A deterministic engine for every protocol: no weights, instant, predictable from the audio.

Knows nothing about speech: every half second of the recording (counted from its start) that is louder than
-40 dBFS is one word named after its place, so 0.0-0.5 s is `word0` and 7.0-7.5 s is `word14`. What the caller
asked for can be seen in the answer: a spoken language changes the noun (`wort0`, `palabra0`, `mot0`),
translation gives English, a prompt in capitals gives capitals. For tests and for people who write clients.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import (
    RECOGNITION,
    AlignedWord,
    Audio,
    DecodeSettings,
    Hypothesis,
    Task,
    TranscribeOptions,
    Window,
)
from hearsay.engines.protocols import AudioSlice
from hearsay.engines.whisper.window_loop import WindowLoop
from hearsay.errors import EngineFailed

NOUNS = {"en": "word", "de": "wort", "es": "palabra", "fr": "mot"}
"""What one half second of noise is called in each language that the engine speaks."""

LOUD = 0.01
"""Root mean square above which a half second counts as speech (-40 dBFS)."""

SEGMENT_WORDS = 10
"""Most words in a segment; a silent half second ends it earlier."""

PROBABILITY = 0.9
"""What every word claims."""

_FRAME_SAMPLES = 160
_SLOT_FRAMES = 50
_SLOT_SAMPLES = _SLOT_FRAMES * _FRAME_SAMPLES
_WINDOW_FRAMES = 3000
_SPEECH_LOGPROB, _SILENCE_LOGPROB = -0.1, -1.5
_LANGUAGES = tuple(NOUNS)
_N_BYTES = 256
_VARIANTS = 2 * len(_LANGUAGES)
_END_OF_TEXT = 1 << 22
_TIMESTAMP_BEGIN = _END_OF_TEXT + 100


@dataclass
class Faults:
    """What shall go wrong, and how slowly; by default nothing and not at all."""

    fail_after: int | None = None
    """Windows, or segments of a stream, that succeed before `EngineFailed` is raised; None means never."""
    pause: Callable[[], None] = lambda: None
    """Called before each window or feed; give it something that blocks to play a slow model."""
    done: int = field(default=0, init=False)
    """Pieces of work that succeeded so far."""

    def step(self) -> None:
        """Count one piece of work, or raise `EngineFailed` when its time has come."""
        if self.fail_after is not None and self.done >= self.fail_after:
            raise EngineFailed("The fake engine failed as it was told to.")
        self.done += 1


class FakeFeatures:
    """Loudness and place of every frame: row 0 is the root mean square, row 1 the number of the frame."""

    def __init__(self, audio: Audio) -> None:
        self._audio = audio
        self.n_frames = audio.n_samples // _FRAME_SAMPLES

    def window(self, start: int, *, pad_silence: bool = False) -> NDArray[np.float32]:
        """Cut `float32[2, 3000]` from frame `start`; padding and the features of silence are both zeros."""
        cut = np.zeros((2, _WINDOW_FRAMES), np.float32)
        stop = min(start + _WINDOW_FRAMES, self.n_frames)
        n_frames = max(stop - start, 0)
        if n_frames:
            samples = self._audio.samples(start * _FRAME_SAMPLES, stop * _FRAME_SAMPLES)
            cut[0, :n_frames] = np.sqrt(np.mean(samples.reshape(n_frames, _FRAME_SAMPLES) ** 2, axis=1))
            cut[1, :n_frames] = np.arange(start, stop)
        return cut


@dataclass(frozen=True, slots=True)
class FakeEncoding:
    """What a window holds: the numbers of its loud slots and where it begins."""

    start: int
    """First frame."""
    slots: tuple[int, ...]
    """Loud slots whose middle lies in the window, in order."""


class FakeWindowRecognizer:
    """A `WindowRecognizer` that sees 30 s at once, as Whisper does, with timestamp tokens every 20 ms."""

    window_frames = _WINDOW_FRAMES
    window_seconds = 30.0
    frame_seconds = 0.01
    timestamp_begin = _TIMESTAMP_BEGIN
    timestamp_seconds = 0.02
    end_of_text = _END_OF_TEXT
    previous_limit = 223

    def __init__(
        self,
        *,
        hears: str = "en",
        multilingual: bool = True,
        sure_from: float = 0.0,
        mishaps: Faults | None = None,
    ) -> None:
        """Make an engine that detects the language `hears` and is sure from temperature `sure_from` up."""
        self.multilingual = multilingual
        self.languages: tuple[str, ...] = _LANGUAGES if multilingual else ("en",)
        self.tasks = RECOGNITION if multilingual else frozenset({Task.TRANSCRIBE})
        self.mishaps = mishaps or Faults()
        self._hears = hears
        self._sure_from = sure_from

    def window_loop(
        self,
        audio: Audio,
        options: TranscribeOptions,
        *,
        decode: DecodeSettings,
        part: AudioSlice | None = None,
    ) -> WindowLoop:
        return WindowLoop(self.features(audio), options, self, decode=decode, part=part)

    def decode_kind(self, window: Window) -> Hashable:
        return None

    def features(self, audio: Audio) -> FakeFeatures:
        return FakeFeatures(audio)

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[FakeEncoding]:
        """Find the loud slots of each window of `float32[2, 3000]`."""
        return [_encode(window) for window in inputs]

    def detect_language(self, encodings: Sequence[FakeEncoding]) -> list[Mapping[str, float]]:
        """Hear the configured language with probability 0.9 and share the rest among the others."""
        others = [code for code in self.languages if code != self._hears]
        scores = {code: 0.1 / len(others) for code in others} | {self._hears: 0.9 if others else 1.0}
        return [dict(scores) for _ in encodings]

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Name the loud slots of each window, as segments between timestamp tokens."""
        return [self._recognize(window) for window in windows]

    def _recognize(self, window: Window) -> Hypothesis:
        self.mishaps.pause()
        self.mishaps.step()
        encoding: FakeEncoding = window.encoding
        language = "en" if window.task is Task.TRANSLATE else window.language or "en"
        capitals = self.decode_text(window.previous).isupper()
        tokens: list[int] = []
        for run in _runs(encoding.slots):
            tokens += [
                self._timestamp(run[0] * _SLOT_FRAMES - encoding.start, window.duration),
                *(_token(slot, language, capitals) for slot in run),
                self._timestamp((run[-1] + 1) * _SLOT_FRAMES - encoding.start, window.duration),
            ]
        sure = window.temperature >= self._sure_from
        return Hypothesis(
            tokens=tuple(tokens),
            text=self.decode_text(tokens).strip(),
            avg_logprob=_SPEECH_LOGPROB if tokens and sure else _SILENCE_LOGPROB,
            no_speech_prob=0.01 if tokens else 0.99,
            temperature=window.temperature,
            compression_ratio=1.0,
        )

    def _timestamp(self, frame: int, duration: float) -> int:
        seconds = min(max(frame * self.frame_seconds, 0.0), duration)
        return self.timestamp_begin + round(seconds / self.timestamp_seconds)

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        return [
            [self._align(window.encoding, token, limit) for token in row if token >= _N_BYTES]
            for window, row, limit in zip(windows, tokens, n_frames, strict=True)
        ]

    def _align(self, encoding: FakeEncoding, token: int, n_frames: int) -> AlignedWord:
        slot = (token - _N_BYTES) // _VARIANTS
        edges = (slot * _SLOT_FRAMES - encoding.start, (slot + 1) * _SLOT_FRAMES - encoding.start)
        start, end = (min(max(edge, 0), n_frames) * self.frame_seconds for edge in edges)
        return AlignedWord(self.decode_text([token]), 1, start, end, PROBABILITY)

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Turn text into one token a byte."""
        return tuple(text.encode())

    def decode_text(self, tokens: Sequence[int]) -> str:
        pieces = (bytes([t]) if t < _N_BYTES else _word_of(t).encode() for t in tokens if t < _END_OF_TEXT)
        return b"".join(pieces).decode(errors="replace")

    def close(self) -> None:
        """Do nothing; there is no memory to give back."""


def _noun(slot: int, language: str, capitals: bool) -> str:
    text = f" {NOUNS.get(language, NOUNS['en'])}{slot}"
    return text.upper() if capitals else text


def _token(slot: int, language: str, capitals: bool) -> int:
    spoken = _LANGUAGES.index(language) if language in NOUNS else 0
    return _N_BYTES + slot * _VARIANTS + spoken * 2 + capitals


def _word_of(token: int) -> str:
    slot, variant = divmod(token - _N_BYTES, _VARIANTS)
    return _noun(slot, _LANGUAGES[variant // 2], bool(variant % 2))


def _encode(window: NDArray[np.float32]) -> FakeEncoding:
    start = int(window[1, 0])
    first = max(0, -(-(start - _SLOT_FRAMES // 2) // _SLOT_FRAMES))
    last = (start + _WINDOW_FRAMES - _SLOT_FRAMES // 2 - 1) // _SLOT_FRAMES
    n_frames = int(np.count_nonzero(window[1])) + (start == 0)
    slots = range(first, last + 1)
    loud = [slot for slot in slots if _slot_is_loud(window, slot * _SLOT_FRAMES - start, n_frames)]
    return FakeEncoding(start, tuple(loud))


def _slot_is_loud(window: NDArray[np.float32], begin: int, n_frames: int) -> bool:
    frames = window[0, max(begin, 0) : min(begin + _SLOT_FRAMES, n_frames)]
    middle_is_there = begin + _SLOT_FRAMES // 2 <= n_frames
    return middle_is_there and len(frames) > 0 and float(np.sqrt(np.mean(frames**2))) >= LOUD


def _runs(slots: Sequence[int]) -> list[tuple[int, ...]]:
    """Split loud slots where one is silent, and after every `SEGMENT_WORDS`."""
    groups = groupby(enumerate(slots), lambda pair: pair[1] - pair[0])
    runs = [[slot for _, slot in group] for _, group in groups]
    return [tuple(run[i : i + SEGMENT_WORDS]) for run in runs for i in range(0, len(run), SEGMENT_WORDS)]
