"""Whisper through CTranslate2, as a `WindowRecognizer`.

Knows no recording longer than a window, and no fallback: that is the caller's. What is decoded, and how it is
scored, follows openai/whisper `decoding.py`; where CTranslate2 differs, `WhisperRecognizer.recognize` says
so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Audio, Hypothesis, Task, Window
from hearsay.engines.whisper import alignment
from hearsay.engines.whisper.features import WINDOW_FRAMES, LogMel
from hearsay.engines.whisper.tokens import Vocabulary
from hearsay.engines.whisper.weights import Shape
from hearsay.errors import EngineFailed, UnsupportedOption
from hearsay.quality import compression_ratio

Encoding = NDArray[Any]
"""`float[1500, width]`, the encoder's output for one window, in the model's own type, in main memory."""

T = TypeVar("T")

_MAX_INITIAL_TIMESTAMP = 50
"""Latest first timestamp of a window: 1.00 s in steps of 0.02 s."""

_FEWEST_FRAMES = 2
"""Frames that become one position of the encoder's output; with fewer there is nothing to attend to."""


class WhisperRecognizer:
    """A loaded Whisper model of any size and family; to be used by one thread at a time."""

    window_frames = WINDOW_FRAMES
    frame_seconds = 0.01
    timestamp_seconds = 0.02

    def __init__(self, model: Any, vocabulary: Vocabulary, shape: Shape, folder: Path) -> None:
        """Wrap a `ctranslate2.models.Whisper`; `load` makes one from a folder."""
        self._model: Any = model
        self._vocabulary = vocabulary
        self._shape = shape
        self._folder = folder
        self.timestamp_begin = vocabulary.timestamp_begin
        self.end_of_text = vocabulary.end_of_text
        self.previous_limit = shape.n_text_ctx // 2 - 1
        self.multilingual = bool(model.is_multilingual)
        self.languages: tuple[str, ...] = tuple(vocabulary.languages) if self.multilingual else ("en",)

    @property
    def device(self) -> str:
        """Where the model computes: `cpu` or `cuda`."""
        return str(self._model.device)

    @property
    def compute_type(self) -> str:
        """The number format in which the model computes."""
        return str(self._model.compute_type)

    def features(self, audio: Audio) -> LogMel:
        """Compute log-mel features of a recording, in memory that does not grow with its length."""
        return LogMel(audio, self._shape.n_mels)

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[Encoding]:
        """Encode windows of `float32[n_mels, 3000]` in one call."""
        if not inputs:
            return []
        view = self._call(lambda: self._model.encode(self._view(inputs), to_cpu=True))
        return list(self._array(view))

    def detect_language(self, encodings: Sequence[Encoding]) -> list[Mapping[str, float]]:
        """Give for each encoding the probability of every language code; English-only models hear English."""
        if not self.multilingual:
            return [{"en": 1.0} for _ in encodings]
        if not encodings:
            return []
        rows = self._call(lambda: self._model.detect_language(self._view(encodings)))
        return [{token.strip("<|>"): float(probability) for token, probability in row} for row in rows]

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Decode each window once at its own temperature; those that can share a call do.

        At temperature 0 by beam search (width 1: greedy), above by the best of `best_of` samples. Greedy
        search is that of openai/whisper to the token. What differs: beam search here finishes hypotheses only
        among the best `beam_size` candidates of a step, where the reference goes down the list until it has
        as many unfinished ones; and samples cannot be repeated, since the generator has no seed per call.
        """
        return _in_groups(windows, self._kind, self._generate)

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        """Time the words of each window's text tokens by cross-attention; those that can share a call do.

        Raises: `UnsupportedOption` for weights converted without alignment heads.
        """
        if not self._shape.aligns:
            raise UnsupportedOption(
                f"The Whisper model in {self._folder.name} cannot give word times: its config.json names no "
                "alignment_heads. Convert it again with a current CTranslate2.",
                param="timestamp_granularities",
            )
        jobs = list(zip(windows, tokens, n_frames, strict=True))
        return _in_groups(jobs, self._alignment_kind, self._align)

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Turn text into tokens; nothing in it is taken for a special token."""
        return self._vocabulary.encode(text)

    def decode_text(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text; timestamps and other special tokens vanish."""
        return self._vocabulary.decode(tokens)

    def close(self) -> None:
        """Give the weights' memory back."""
        self._model.unload_model()

    def _kind(self, window: Window) -> Hashable:
        """What windows of one call must have in common."""
        width = window.best_of if window.temperature > 0 else window.beam_size
        return len(self._prompt(window)), window.temperature, width

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
        previous = window.previous[-self.previous_limit :]
        return [*([self._vocabulary.previous, *previous] if previous else []), *self._start_sequence(window)]

    def _start_sequence(self, window: Window) -> list[int]:
        if not self.multilingual:
            return [self._vocabulary.start]
        language = self._vocabulary.languages.get(window.language or "")
        if language is None:
            raise UnsupportedOption(
                f"The model does not know the language {window.language!r}.", param="language"
            )
        translate = window.task is Task.TRANSLATE
        task = self._vocabulary.translate if translate else self._vocabulary.transcribe
        return [self._vocabulary.start, language, task]

    def _alignment_kind(self, job: tuple[Window, Sequence[int], int]) -> Hashable:
        """What alignments of one call must have in common.

        The length too: rows of padding would count in the attention's mean and deviation over tokens.
        """
        window, tokens, _ = job
        return tuple(self._start_sequence(window)), len(tokens)

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
            alignment.words(self._vocabulary, window.language, tokens, result)
            for (window, tokens, _), result in zip(jobs, results, strict=True)
        ]

    def _view(self, arrays: Sequence[NDArray[Any]]) -> Any:
        import ctranslate2

        batch = arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(batch))

    def _array(self, view: Any) -> NDArray[Any]:
        import ctranslate2

        if view.dtype == ctranslate2.DataType.bfloat16:
            view = view.to(ctranslate2.DataType.float32)
        return np.asarray(view)

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
    jobs: Iterable[Job], kind: Callable[[Job], Hashable], run: Callable[[Sequence[Job]], Sequence[Result]]
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
