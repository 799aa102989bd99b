"""Continuous batching on OpenVINO: windows join, are searched each in its own way, and leave when done.

Knows no recording and no fallback. What is fed and how it is scored follows openai/whisper `decoding.py`; a
window's answer does not depend on the windows beside it, but for the rounding of the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import Hypothesis, Window
from hearsay.engines.jobs import run_in_groups
from hearsay.engines.whisper.beam_search import BeamSearch, Sampling, Search, max_sample_length
from hearsay.engines.whisper.jobs import Decode
from hearsay.engines.whisper.logit_rules import TokenIds, allowed, log_probabilities
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence, SequenceInput
from hearsay.engines.whisper.openvino.topk import SplitLogits, TopK
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.errors import EngineFailed
from hearsay.transcripts.quality import compression_ratio

if TYPE_CHECKING:
    from hearsay.engines.whisper.openvino.decoder import Session, WhisperDecoder

MAX_WINDOWS = 64
"""Most windows in a batch: each takes memory for its cross-attention keys and values."""

EFFICIENT_WINDOWS = 8
"""Windows in a batch from which on a processor gains next to nothing by more."""

_MAX_DETECTED = 8
"""Most windows whose languages are detected in one step."""

_SEED = 0x5EED
"""Samples of a window are the same whenever, and in whatever batch, it is decoded."""

_SHORT_PROMPT = 4
"""Tokens that each window may add to a step of others: a prompt without earlier text has fewer."""

_N_PROMPT_LOGITS = 2
"""Tokens of a prompt whose logits are used: the start of the transcript and the last one."""


@dataclass(frozen=True, slots=True, eq=False)
class DecoderModel:
    """A decoder, and the meaning of its ids."""

    decoder: WhisperDecoder
    vocabulary: Vocabulary
    ids: TokenIds
    n_text_ctx: int
    """Positions of the decoder: 448 tokens."""
    language_detector: LanguageDetector
    """May have computed a window's cross-attention keys and values already."""

    def check(self, encoding: Any) -> None:
        """Check the shape of an encoding. Raises: `EngineFailed` where it is not this model's."""
        shape, width = np.shape(encoding), self.decoder.shape.width
        if len(shape) != 2 or shape[0] < 1 or shape[1] != width:
            raise EngineFailed(f"An encoding should be [n_positions, {width}], and this one is {shape}.")

    def search(self, window: Window, n_prompt: int) -> Search:
        limit = max_sample_length(self.n_text_ctx, n_prompt)
        end = self.ids.end_of_text
        if window.temperature > 0:
            rng = np.random.default_rng([_SEED, round(window.temperature * 1000)])
            return Sampling(window.best_of, window.temperature, rng, end_of_text=end, limit=limit)
        return BeamSearch(window.beam_size, end_of_text=end, limit=limit)


class LanguageDetector:
    """Detects languages by one step of the decoder; for one thread at a time.

    Cross-attention keys and values of the last window that was detected alone are kept, since it is likely to
    be decoded next, and they take longer to compute than the step itself.
    """

    def __init__(self, decoder: WhisperDecoder, vocabulary: Vocabulary) -> None:
        self._decoder = decoder
        self._start = vocabulary.start
        self._languages = vocabulary.languages
        self._session: Session | None = None
        self._last_encoding: Any = None

    def detect(self, encodings: Sequence[NDArray[np.float32]]) -> list[dict[str, float]]:
        """Return for each encoding the probability of every language code.

        Those of one length share steps.
        """
        return run_in_groups(encodings, len, self._detect_in_steps)

    def recall(self, encoding: NDArray[np.float32]) -> NDArray[Any] | None:
        """Return the keys and values of this very encoding, if it was the last that was detected alone."""
        if self._session is None or encoding is not self._last_encoding:
            return None
        return self._session.cross_kv(0)

    def close(self) -> None:
        self._session = self._last_encoding = None

    def _detect_in_steps(self, encodings: Sequence[NDArray[np.float32]]) -> list[dict[str, float]]:
        firsts = range(0, len(encodings), _MAX_DETECTED)
        return [each for i in firsts for each in self._detect(encodings[i : i + _MAX_DETECTED])]

    def _detect(self, encodings: Sequence[NDArray[np.float32]]) -> list[dict[str, float]]:
        self._last_encoding = None
        if self._session is None or self._session.n_positions != len(encodings[0]):
            self._session = self._decoder.session(len(encodings[0]))
        for slot, encoding in enumerate(encodings):
            self._session.compute_cross_kv(slot, encoding)
        sequences = [CachedSequence() for _ in encodings]
        inputs = [SequenceInput(each, [self._start], slot, (0,)) for slot, each in enumerate(sequences)]
        logits = self._session.feed(inputs, slice(0, len(encodings)))
        columns = [id_ - self._decoder.shape.end_of_text for id_ in self._languages.values()]
        by_language = logits.special[:, columns].copy()
        for sequence in sequences:
            self._session.kv_cache.release(sequence)
        self._session.clear()
        if len(encodings) == 1:
            self._last_encoding = encodings[0]
        return [
            {code: float(p) for code, p in zip(self._languages, softmax(row), strict=True)}
            for row in by_language
        ]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute probabilities, `float32[n]`, from logits."""
    exponentials = np.exp(logits - logits.max())
    probabilities: NDArray[np.float32] = exponentials / exponentials.sum()
    return probabilities


@dataclass(slots=True, eq=False)
class _ActiveWindow:
    number: int
    window: Window
    prompt: list[int]
    search: Search
    slot: int
    """Where the session keeps its cross-attention keys and values."""
    no_speech_prob: float = 0.0
    sequences: list[CachedSequence] = field(default_factory=list)
    """Of each hypothesis; empty until the prompt was fed."""
    tokens: list[int] = field(default_factory=list)
    """What each sequence is fed next."""


class DecodeBatch:
    """Windows being decoded; for one thread at a time. See `protocols.ContinuousBatch`."""

    def __init__(self, model: DecoderModel) -> None:
        self._model = model
        self._topk = TopK(model.decoder.shape, model.ids)
        self._active: list[_ActiveWindow] = []
        """In the order of their slots."""
        self._session: Session | None = None
        self._next_number = 0

    @property
    def n_windows(self) -> int:
        return len(self._active)

    def has_room(self, job: Decode) -> bool:
        """Return whether `join` would take this job now: windows of different lengths cannot mix."""
        if not self._active:
            return True
        same_length = self._session is not None and len(job.window.encoding) == self._session.n_positions
        return same_length and len(self._active) < MAX_WINDOWS

    def join(self, job: Decode) -> int:
        if not self.has_room(job):
            raise EngineFailed("There is no room for one more window in this batch.")
        window = job.window
        self._model.check(window.encoding)
        prompt = self._model.vocabulary.prompt(window, max_previous=self._model.n_text_ctx // 2 - 1)
        search = self._model.search(window, len(prompt))
        n_positions = len(window.encoding)
        if self._session is None or self._session.n_positions != n_positions:
            self._session = self._model.decoder.session(n_positions)
        slot = next(i for i, active in enumerate([*self._active, None]) if active is None or active.slot != i)
        self._active.insert(slot, _ActiveWindow(self._next_number, window, prompt, search, slot))
        self._next_number += 1
        return self._active[slot].number

    def step(self) -> list[tuple[int, Hypothesis]]:
        self._fill_free_slots()
        begun = [active for active in self._active if active.sequences]
        shared = max(_SHORT_PROMPT, *(len(active.sequences) for active in begun)) if begun else 0
        apart = [active for active in self._active if not active.sequences and len(active.prompt) > shared]
        for _, group in groupby(apart, key=lambda active: len(active.prompt)):
            self._advance(list(group))
        if unfinished := [active for active in self._active if not active.search.done]:
            self._advance(unfinished)
        done = [active for active in self._active if active.search.done]
        hypotheses = [(active.number, self._hypothesis(active)) for active in done]
        for active in done:
            self._remove(active)
        return hypotheses

    def leave(self, number: int) -> None:
        for active in [active for active in self._active if active.number == number]:
            self._remove(active)

    def _remove(self, active: _ActiveWindow) -> None:
        """Release a window's memory; its slot may be taken by one that joins before the next step."""
        session = self._require_session()
        for sequence in active.sequences:
            session.kv_cache.release(sequence)
        self._active.remove(active)
        if not self._active:
            session.clear()

    def _fill_free_slots(self) -> None:
        """Move the last windows to slots that are free, so that no gap is computed."""
        for slot in range(len(self._active)):
            if self._active[slot].slot != slot:
                last = self._active.pop()
                if last.sequences:
                    self._require_session().move(last.slot, slot)
                last.slot = slot
                self._active.insert(slot, last)

    def _advance(self, group: Sequence[_ActiveWindow]) -> None:
        """Feed windows, in the order of slots, their next tokens or prompts; advance their searches."""
        inputs: list[SequenceInput] = []
        spans: list[tuple[_ActiveWindow, slice]] = []
        """Of each window's rows of logits."""
        first = 0
        for active in group:
            n_logits = len(active.sequences) or _N_PROMPT_LOGITS
            inputs += _next_inputs(active) if active.sequences else self._prompt_inputs(active)
            spans.append((active, slice(first, first + n_logits)))
            first += n_logits
        logits = self._require_session().feed(inputs, slice(group[0].slot, group[-1].slot + 1))
        for active, span in spans:
            if not active.search.sequences[0]:
                full = logits.rows(span.start, span.start + 1).full(self._model.ids.end_of_text)
                active.no_speech_prob = float(softmax(full[0])[self._model.vocabulary.no_speech])
        for n, run in groupby(spans, key=lambda pair: pair[0].search.n_candidates):
            if n is None:
                self._advance_by_all_ids(list(run), logits)
            else:
                self._advance_by_best_ids(list(run), logits, n)

    def _prompt_inputs(self, active: _ActiveWindow) -> list[SequenceInput]:
        """Compute a new window's cross-attention; return its prompt, with logits for `no_speech_prob`."""
        encoding = active.window.encoding
        known = self._model.language_detector.recall(encoding)
        self._require_session().compute_cross_kv(active.slot, encoding, known=known)
        active.sequences = [CachedSequence()]
        outputs = (active.prompt.index(self._model.vocabulary.start), len(active.prompt) - 1)
        return [SequenceInput(active.sequences[0], active.prompt, active.slot, outputs)]

    def _advance_by_all_ids(self, run: Sequence[tuple[_ActiveWindow, slice]], logits: SplitLogits) -> None:
        """Advance searches that draw among all ids."""
        ids = self._model.ids
        for active, span in run:
            rows = logits.rows(span.stop - len(active.search.sequences), span.stop)
            bounds = [allowed(sampled, ids) for sampled in active.search.sequences]
            scores = log_probabilities(rows.full(ids.end_of_text), bounds, ids)
            self._advance_search(active, scores, np.broadcast_to(np.arange(ids.n_vocab), scores.shape))

    def _advance_by_best_ids(
        self, run: Sequence[tuple[_ActiveWindow, slice]], logits: SplitLogits, n: int
    ) -> None:
        """Advance searches of neighbouring windows that want `n` candidates for each sequence."""
        first = run[0][1].start
        bounds = []
        for active, span in run:  # Bounds of a prompt's first logits do not matter: they are not searched.
            n_unused = span.stop - span.start - len(active.search.sequences)
            sampled = [*[()] * n_unused, *active.search.sequences]
            bounds += [allowed(tokens, self._model.ids) for tokens in sampled]
        scores, ids = self._topk.select(logits.rows(first, run[-1][1].stop), bounds, n)
        for active, span in run:
            searched = slice(span.stop - first - len(active.search.sequences), span.stop - first)
            self._advance_search(active, scores[searched], ids[searched])

    def _advance_search(
        self, active: _ActiveWindow, scores: NDArray[np.float32], ids: NDArray[np.integer]
    ) -> None:
        """Advance a window's search by one token, and fork its sequences accordingly."""
        step = active.search.advance(scores, ids)
        active.sequences = self._require_session().kv_cache.fork(active.sequences, step.parents.tolist())
        active.tokens = step.tokens.tolist()

    def _hypothesis(self, active: _ActiveWindow) -> Hypothesis:
        tokens, sum_logprob = active.search.best()
        text = self._model.vocabulary.decode(tokens).strip()
        return Hypothesis(
            tokens=tokens,
            text=text,
            avg_logprob=sum_logprob / (len(tokens) + 1),
            no_speech_prob=active.no_speech_prob,
            temperature=active.window.temperature,
            compression_ratio=compression_ratio(text),
        )

    def _require_session(self) -> Session:
        if self._session is None:
            raise EngineFailed("A decoding without a window was asked to go on.")
        return self._session


def _next_inputs(active: _ActiveWindow) -> list[SequenceInput]:
    pairs = zip(active.sequences, active.tokens, strict=True)
    return [SequenceInput(sequence, (token,), active.slot, (0,)) for sequence, token in pairs]


def recognize(batch: DecodeBatch, windows: Sequence[Window]) -> list[Hypothesis]:
    """Decode windows to the end in an empty batch."""
    hypotheses: dict[int, Hypothesis] = {}
    indices: dict[int, int] = {}
    waiting = list(enumerate(map(Decode, windows)))[::-1]
    while len(hypotheses) < len(windows):
        while waiting and batch.has_room(waiting[-1][1]):
            index, job = waiting.pop()
            indices[batch.join(job)] = index
        hypotheses.update((indices[number], hypothesis) for number, hypothesis in batch.step())
    return [hypotheses[index] for index in range(len(windows))]
