"""The base of every loaded Whisper, whichever runtime decodes: features, encoding, prompts and word times.

Knows no decoder: `ctranslate2_recognizer` and `openvino/` have one each; recordings longer than a window and
temperature fallback are `window_loop`'s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from hearsay.engines.whisper.encoder import Encoder
from hearsay.engines.whisper.log_mel import WINDOW_FRAMES, LogMel
from hearsay.engines.whisper.window_loop import WindowLoop
from hearsay.errors import UnsupportedOption

if TYPE_CHECKING:
    from hearsay.engines.whisper.tokenizer import Vocabulary
    from hearsay.engines.whisper.weights.folder import Shape

EncodedWindow = NDArray[Any]
"""`float[n_positions, width]`, the encoder's output for a window: 1500 positions for 30 s; in main memory."""


class WhisperRecognizer(ABC):
    """A loaded Whisper model of any size and family; to be used by `n_replicas` threads at a time."""

    window_frames = WINDOW_FRAMES
    window_seconds = 30.0
    frame_seconds = 0.01
    timestamp_seconds = 0.02
    batch_windows = 8
    """Windows that it decodes together efficiently."""
    device: str
    """Where the model computes: `cpu` or `cuda`."""
    compute_type: str
    """The number format in which the decoder computes, by CTranslate2's names."""
    n_replicas: int
    """How many threads may call it at once and compute side by side."""

    def __init__(self, vocabulary: Vocabulary, shape: Shape, folder: Path, encoder: Encoder) -> None:
        """Combine the parts that every Whisper has; `loading.load` makes one from a folder."""
        self.encoder = encoder
        self._vocabulary = vocabulary
        self._shape = shape
        self._folder = folder
        self.timestamp_begin = vocabulary.timestamp_begin
        self.end_of_text = vocabulary.end_of_text
        self.previous_limit = shape.n_text_ctx // 2 - 1
        self.multilingual = vocabulary.multilingual
        self.languages: tuple[str, ...] = tuple(vocabulary.languages) if self.multilingual else ("en",)
        self.tasks = RECOGNITION if self.multilingual else frozenset({Task.TRANSCRIBE})

    def window_loop(
        self,
        audio: Audio,
        options: TranscribeOptions,
        *,
        decode: DecodeSettings,
        part: AudioSlice | None = None,
    ) -> WindowLoop:
        return WindowLoop(self.features(audio), options, self, decode=decode, part=part)

    def features(self, audio: Audio) -> LogMel:
        return LogMel(audio, self._shape.n_mels)

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[EncodedWindow]:
        return list(self.encoder.encode(inputs))

    def detect_language(self, encodings: Sequence[EncodedWindow]) -> list[Mapping[str, float]]:
        """Return for each encoding the probability of every language code: of `en` alone without others."""
        if not self.multilingual:
            return [{"en": 1.0} for _ in encodings]
        return self._detect(encodings) if encodings else []

    def decode_kind(self, window: Window) -> Hashable:
        return None

    @abstractmethod
    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Decode each window once at its own temperature.

        At temperature 0 by beam search (width 1: greedy), above by the best of `best_of` samples.
        """

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        """Return the words of each window's text tokens, with times by cross-attention.

        Raises: `UnsupportedOption` for weights converted without alignment heads.
        """
        if not self._shape.alignment_heads:
            raise UnsupportedOption(
                f"The Whisper model in {self._folder.name} cannot give word times: its config.json names no "
                "alignment_heads. Convert it again with a current CTranslate2.",
                param="timestamp_granularities",
            )
        return self._align_all(list(zip(windows, tokens, n_frames, strict=True)))

    def encode_text(self, text: str) -> tuple[int, ...]:
        return self._vocabulary.encode(text)

    def decode_text(self, tokens: Sequence[int]) -> str:
        return self._vocabulary.decode(tokens)

    @abstractmethod
    def close(self) -> None:
        """Free the weights' memory."""

    @abstractmethod
    def _detect(self, encodings: Sequence[EncodedWindow]) -> list[Mapping[str, float]]:
        """Return probabilities of languages; the model is multilingual, and there is an encoding."""

    @abstractmethod
    def _align_all(self, jobs: Sequence[tuple[Window, Sequence[int], int]]) -> list[list[AlignedWord]]:
        """Return the timed words of texts: window, text tokens, and frames of real audio."""
