"""Whisper on CTranslate2, which decodes windows from beginning to end, in batches of one kind.

Knows no graph. What is decoded, and how it is scored, follows openai/whisper `decoding.py`; where CTranslate2
differs, `CTranslate2Whisper.recognize` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Hypothesis, Window
from hearsay.engines.jobs import run_in_groups
from hearsay.engines.whisper.encoder import CTranslate2Encoder, Encoder
from hearsay.engines.whisper.logit_rules import MAX_INITIAL_TIMESTAMP
from hearsay.engines.whisper.recognizer import EncodedWindow, WhisperRecognizer
from hearsay.engines.whisper.word_timestamps import words_on_path
from hearsay.errors import EngineFailed
from hearsay.transcripts.quality import compression_ratio

if TYPE_CHECKING:
    from hearsay.engines.whisper.tokenizer import Vocabulary
    from hearsay.engines.whisper.weights.folder import Shape

T = TypeVar("T")

_MIN_FRAMES = 2
"""Frames of one position of the encoder's output; with fewer there is nothing to attend to."""


class CTranslate2Whisper(WhisperRecognizer):
    """A Whisper in a `ctranslate2.models.Whisper`, on a CPU or on GPUs with a thread for each."""

    def __init__(
        self, model: Any, vocabulary: Vocabulary, shape: Shape, folder: Path, encoder: Encoder | None = None
    ) -> None:
        super().__init__(vocabulary, shape, folder, encoder or CTranslate2Encoder(model))
        self._model: Any = model
        self.device = str(model.device)
        self.compute_type = str(model.compute_type)
        self.n_replicas = len(model.device_index)

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Decode each window once at its own temperature; those that can share a call do.

        At temperature 0 by beam search (width 1: greedy), above by the best of `best_of` samples. Greedy
        search is that of openai/whisper to the token. What differs: beam search here finishes hypotheses only
        among the best `beam_size` candidates of a step, where the reference goes down the list until it has
        as many unfinished ones; and samples cannot be repeated, since the generator has no seed per call.
        """
        return run_in_groups(windows, self.decode_kind, self._generate)

    def close(self) -> None:
        self.encoder.close()
        self._model.unload_model()

    def decode_kind(self, window: Window) -> Hashable:
        width = window.best_of if window.temperature > 0 else window.beam_size
        return len(self._prompt(window)), len(window.encoding), window.temperature, width

    def _generate(self, windows: Sequence[Window]) -> list[Hypothesis]:
        results = self._call(
            lambda: self._model.generate(
                self._view([window.encoding for window in windows]),
                [self._prompt(window) for window in windows],
                max_length=self._shape.n_text_ctx,
                suppress_tokens=list(self._vocabulary.suppressed),
                max_initial_timestamp_index=MAX_INITIAL_TIMESTAMP,
                return_scores=True,
                return_no_speech_prob=True,
                **_search(windows[0]),
            )
        )
        return [self._hypothesis(*pair) for pair in zip(windows, results, strict=True)]

    def _hypothesis(self, window: Window, result: Any) -> Hypothesis:
        """Return the sequence with the best mean log probability, scored as by the reference."""
        tokens, score = max(zip(result.sequences_ids, result.scores, strict=True), key=lambda pair: pair[1])
        text = self._vocabulary.decode(tokens).strip()
        return Hypothesis(
            tokens=tuple(tokens),
            text=text,
            avg_logprob=score * len(tokens) / (len(tokens) + 1),
            no_speech_prob=result.no_speech_prob,
            temperature=window.temperature,
            compression_ratio=compression_ratio(text),
        )

    def _prompt(self, window: Window) -> list[int]:
        return self._vocabulary.prompt(window, max_previous=self.previous_limit)

    def _detect(self, encodings: Sequence[EncodedWindow]) -> list[Mapping[str, float]]:
        rows = self._call(lambda: self._model.detect_language(self._view(encodings)))
        return [{token.strip("<|>"): float(probability) for token, probability in row} for row in rows]

    def _align_all(self, jobs: Sequence[tuple[Window, Sequence[int], int]]) -> list[list[AlignedWord]]:
        return run_in_groups(jobs, self._alignment_kind, self._align)

    def _alignment_kind(self, job: tuple[Window, Sequence[int], int]) -> Hashable:
        """Return what alignments of one call must have in common.

        The length too: padding would count in the attention's mean and deviation over tokens.
        """
        window, tokens, _ = job
        return tuple(self._vocabulary.start_sequence(window)), len(window.encoding), len(tokens)

    def _align(self, jobs: Sequence[tuple[Window, Sequence[int], int]]) -> list[list[AlignedWord]]:
        window, tokens, _ = jobs[0]
        if not tokens:
            return [[] for _ in jobs]
        results = self._call(
            lambda: self._model.align(
                self._view([window.encoding for window, _, _ in jobs]),
                self._vocabulary.start_sequence(window),
                [list(tokens) for _, tokens, _ in jobs],
                [max(n_frames, _MIN_FRAMES) for _, _, n_frames in jobs],
            )
        )
        return [
            words_on_path(self._vocabulary, window.language, tokens, result)
            for (window, tokens, _), result in zip(jobs, results, strict=True)
        ]

    def _view(self, arrays: Sequence[NDArray[Any]]) -> Any:
        import ctranslate2

        batch = arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(batch))

    def _call(self, work: Callable[[], T]) -> T:
        """Run CTranslate2, and raise its errors as `EngineFailed`."""
        try:
            return work()
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(f"The Whisper model in {self._folder.name} failed: {error}") from error


def _search(window: Window) -> dict[str, Any]:
    """Return options of a search; a length penalty of 1 makes scores the mean over the sampled tokens."""
    if window.temperature > 0:
        return {
            "beam_size": 1,
            "num_hypotheses": window.best_of,
            "sampling_topk": 0,
            "sampling_temperature": window.temperature,
            "length_penalty": 1.0,
        }
    return {"beam_size": window.beam_size, "length_penalty": 1.0}
