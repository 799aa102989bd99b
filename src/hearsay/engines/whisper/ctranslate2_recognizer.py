"""Whisper through CTranslate2, which decodes windows from beginning to end, in batches of one kind.

Knows no graph. What is decoded, and how it is scored, follows openai/whisper `decoding.py`; where CTranslate2
differs, `CTranslate2Whisper.recognize` says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Hypothesis, Window
from hearsay.engines.whisper import prompts
from hearsay.engines.whisper.encoder import CTranslate2Encoder, Encoder
from hearsay.engines.whisper.recognizer import EncodedWindow, WhisperRecognizer
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.engines.whisper.weights.folder import Shape
from hearsay.engines.whisper.word_timestamps import words_on_path
from hearsay.errors import EngineFailed
from hearsay.transcripts.quality import compression_ratio

T = TypeVar("T")

_MAX_INITIAL_TIMESTAMP = 50
"""Latest first timestamp of a window: 1.00 s in steps of 0.02 s."""

_FEWEST_FRAMES = 2
"""Frames that become one position of the encoder's output; with fewer there is nothing to attend to."""


class CTranslate2Whisper(WhisperRecognizer):
    """A Whisper in a `ctranslate2.models.Whisper`, on the processor or on GPUs with a thread for each."""

    def __init__(
        self, model: Any, vocabulary: Vocabulary, shape: Shape, folder: Path, encoder: Encoder | None = None
    ) -> None:
        """Wrap a model, and an encoder where it shall not be the model's own."""
        super().__init__(vocabulary, shape, folder, encoder or CTranslate2Encoder(model))
        self._model: Any = model

    @property
    def device(self) -> str:
        """Where the model computes: `cpu` or `cuda`."""
        return str(self._model.device)

    @property
    def compute_type(self) -> str:
        """The number format in which the model computes."""
        return str(self._model.compute_type)

    @property
    def n_replicas(self) -> int:
        """How many threads may call it at once and be served side by side: one for each GPU."""
        return len(self._model.device_index)

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Decode each window once at its own temperature; those that can share a call do.

        At temperature 0 by beam search (width 1: greedy), above by the best of `best_of` samples. Greedy
        search is that of openai/whisper to the token. What differs: beam search here finishes hypotheses only
        among the best `beam_size` candidates of a step, where the reference goes down the list until it has
        as many unfinished ones; and samples cannot be repeated, since the generator has no seed per call.
        """
        return _in_groups(windows, self.decode_kind, self._generate)

    def close(self) -> None:
        """Free the weights' memory."""
        self.encoder.close()
        self._model.unload_model()

    def decode_kind(self, window: Window) -> Hashable:
        """Return what windows of one call must have in common."""
        width = window.best_of if window.temperature > 0 else window.beam_size
        return len(self._prompt(window)), len(window.encoding), window.temperature, width

    def _generate(self, windows: Sequence[Window]) -> list[Hypothesis]:
        prompts = [self._prompt(window) for window in windows]
        results = self._call(
            lambda: self._model.generate(
                self._view([window.encoding for window in windows]),
                prompts,
                max_length=self._shape.n_text_ctx,
                suppress_tokens=list(self._vocabulary.suppressed),
                max_initial_timestamp_index=_MAX_INITIAL_TIMESTAMP,
                return_scores=True,
                return_no_speech_prob=True,
                **_search(windows[0]),
            )
        )
        return [self._hypothesis(*pair) for pair in zip(windows, results, strict=True)]

    def _hypothesis(self, window: Window, result: Any) -> Hypothesis:
        """Choose the sequence with the best mean log probability, and score it as the reference does."""
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
        """Build what stands before the first sampled token: earlier text, start, language, task."""
        return prompts.prompt(
            self._vocabulary, window, multilingual=self.multilingual, previous_limit=self.previous_limit
        )

    def _detect(self, encodings: Sequence[EncodedWindow]) -> list[Mapping[str, float]]:
        rows = self._call(lambda: self._model.detect_language(self._view(encodings)))
        return [{token.strip("<|>"): float(probability) for token, probability in row} for row in rows]

    def _align_all(self, jobs: Sequence[tuple[Window, Sequence[int], int]]) -> list[list[AlignedWord]]:
        return _in_groups(jobs, self._alignment_kind, self._align)

    def _alignment_kind(self, job: tuple[Window, Sequence[int], int]) -> Hashable:
        """What alignments of one call must have in common.

        The length too: rows of padding would count in the attention's mean and deviation over tokens.
        """
        window, tokens, _ = job
        return tuple(self._start_sequence(window)), len(window.encoding), len(tokens)

    def _align(self, jobs: Sequence[tuple[Window, Sequence[int], int]]) -> list[list[AlignedWord]]:
        window, tokens, _ = jobs[0]
        if not tokens:
            return [[] for _ in jobs]
        results = self._call(
            lambda: self._model.align(
                self._view([window.encoding for window, _, _ in jobs]),
                self._start_sequence(window),
                [list(tokens) for _, tokens, _ in jobs],
                [max(n_frames, _FEWEST_FRAMES) for _, _, n_frames in jobs],
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
        """Run CTranslate2, and say in our own words what broke."""
        try:
            return work()
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(f"The Whisper model in {self._folder.name} failed: {error}") from error


def _search(window: Window) -> dict[str, Any]:
    """Choose the search; a length penalty of 1 makes scores the mean over the sampled tokens."""
    if window.temperature > 0:
        return {
            "beam_size": 1,
            "num_hypotheses": window.best_of,
            "sampling_topk": 0,
            "sampling_temperature": window.temperature,
            "length_penalty": 1.0,
        }
    return {"beam_size": window.beam_size, "length_penalty": 1.0}


Job = TypeVar("Job")
Result = TypeVar("Result")


def _in_groups(
    jobs: Iterable[Job],
    kind: Callable[[Job], Hashable],
    run: Callable[[Sequence[Job]], Sequence[Result]],
) -> list[Result]:
    """Run jobs of one kind together, and give the results in the order of the jobs."""
    groups: defaultdict[Hashable, list[tuple[int, Job]]] = defaultdict(list)
    for place, job in enumerate(jobs):
        groups[kind(job)].append((place, job))
    results: dict[int, Result] = {}
    for members in groups.values():
        places = [place for place, _ in members]
        results.update(zip(places, run([job for _, job in members]), strict=True))
    return [results[place] for place in sorted(results)]
