"""A window recogniser that plays back a script, for tests of the loop around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Audio, Hypothesis, Segment, Window
from hearsay.engines.jobs import run_inline
from hearsay.engines.protocols import WindowRecognizer
from hearsay.engines.whisper.window_loop import WindowLoop
from tests.support.whisper_double import WhisperDouble


class ScriptedFeatures:
    """Windows that only remember where they begin and whether silence follows."""

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames

    def window(self, start: int, *, pad_silence: bool = False) -> NDArray[np.float32]:
        """Return `[start, pad_silence]`."""
        return np.array([start, pad_silence], np.float32)


class ScriptedRecognizer(WhisperDouble):
    """Plays hypotheses and alignments back in order, and notes what it was asked."""

    timestamp_begin = 50364
    end_of_text = 50257

    def __init__(
        self,
        hypotheses: Sequence[Hypothesis],
        alignments: Sequence[list[AlignedWord]] = (),
        *,
        texts: Mapping[int, str] | None = None,
        prompt_tokens: Sequence[int] = (),
        multilingual: bool = True,
    ) -> None:
        self.multilingual = multilingual
        self.languages: tuple[str, ...] = ("en", "de", "es", "ja") if multilingual else ("en",)
        self.encoded: list[list[list[float]]] = []
        self.windows: list[Window] = []
        self.aligned: list[tuple[list[int], int]] = []
        self._hypotheses: Iterator[Hypothesis] = iter(hypotheses)
        self._alignments = iter(alignments)
        self._texts = texts
        self._prompt_tokens = tuple(prompt_tokens)

    def features(self, audio: Audio) -> ScriptedFeatures:
        """Count frames."""
        return ScriptedFeatures(audio.n_samples // 160)

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[Any]:
        """Return windows back as they are."""
        self.encoded.append([window.tolist() for window in inputs])
        return list(inputs)

    def detect_language(self, encodings: Sequence[Any]) -> list[Mapping[str, float]]:
        """Hear German."""
        return [{"en": 0.2, "de": 0.7, "es": 0.1} for _ in encodings]

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Play the next hypotheses."""
        self.windows += windows
        return [next(self._hypotheses) for _ in windows]

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        """Play the next alignments."""
        self.aligned += [(list(row), n) for row, n in zip(tokens, n_frames, strict=True)]
        return [next(self._alignments) for _ in windows]

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Return the tokens of the script's prompt, or one token a character."""
        return self._prompt_tokens or tuple(map(ord, text))

    def decode_text(self, tokens: Sequence[int]) -> str:
        """Look texts up, or take one character a token."""
        text = (self._texts or {}).get
        return "".join(text(t, "") if self._texts else chr(t) for t in tokens if t < self.end_of_text)


def segments_of(loop: WindowLoop, recognizer: WindowRecognizer) -> list[Segment]:
    """Run a loop to its end in this thread."""
    submit, jobs = run_inline(recognizer), loop.jobs()
    with suppress(StopIteration):
        job = next(jobs)
        while True:
            job = jobs.send(submit(job).result())
    return [segment for window in loop.segments_by_window for segment in window]


def hypothesis(*tokens: int | str, **changes: Any) -> Hypothesis:
    """Make a sure hypothesis; times are ids from 50364 up, text is one token a character."""
    flat = [token for part in tokens for token in (map(ord, part) if isinstance(part, str) else [part])]
    values = {"avg_logprob": -0.1, "no_speech_prob": 0.01, "temperature": 0.0, "compression_ratio": 1.0}
    return Hypothesis(tokens=tuple(flat), text="", **(values | changes))
