"""The search for a window's tokens: beam search, or the best of some samples.

Knows no model and no rules: log probabilities of the next tokens in, and out which sequences continue with
which tokens, so that the decoder can rearrange its cache. Follows openai/whisper `decoding.py`, release
20250625: BeamSearchDecoder, GreedyDecoder and MaximumLikelihoodRanker without a length penalty.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearsay.errors import EngineFailed

Sampled = tuple[int, ...]
"""Tokens of one sequence, prompt and `end_of_text` excluded."""

Scored = tuple[Sampled, float]
"""A hypothesis and the sum of the log probabilities of its tokens, `end_of_text` included where it came."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """How the sequences of a window continue: never more than its `width`, and none when it is done."""

    parents: NDArray[np.int64]
    """`int64[n_sequences]`: index of the sequence that each new sequence continues."""
    tokens: NDArray[np.int64]
    """`int64[n_sequences]`: the token that it continues with."""


class Search(ABC):
    """The search of one window, which begins with one sequence: the prompt."""

    n_candidates: int | None
    """How many of the most probable ids `advance` needs for each sequence; None: all ids."""

    def __init__(self, width: int, *, end_of_text: int, limit: int) -> None:
        """Begin a search of `limit` tokens and `width` sequences at most."""
        self.width = width
        self.sequences: list[Sampled] = [()]
        """What each sequence has sampled so far; empty when the search is done."""
        self._end_of_text = end_of_text
        self._limit = limit
        self._sums = np.zeros(1, dtype=np.float32)
        self._finished: list[Scored] = []

    @abstractmethod
    def advance(self, log_probabilities: NDArray[np.float32], ids: NDArray[np.integer]) -> Step:
        """Continue by one token.

        Both arguments are `[at least len(sequences), K]`; further rows are ignored. Ids that are forbidden
        have a log probability of minus infinity. Beam search wants the best `n_candidates` ids of each
        sequence, best first. Raises: `EngineFailed` where a log probability is no number.
        """

    @property
    def done(self) -> bool:
        """Return whether the search has ended."""
        return not self.sequences

    def best(self) -> Scored:
        """Return the hypothesis with the best mean log probability per token; of equals, the earlier.

        It comes with the sum of its log probabilities. `end_of_text` does not count as a token.
        """
        if not self._finished:
            raise ValueError("the search has not come to its end")
        return max(self._finished, key=lambda scored: scored[1] / max(len(scored[0]), 1))


def max_sample_length(n_text_ctx: int, n_prompt: int) -> int:
    """Return how many tokens may be sampled after a prompt in a decoder of `n_text_ctx` positions."""
    return min(n_text_ctx // 2, n_text_ctx - n_prompt + 1)


class BeamSearch(Search):
    """Beam search; with a width of 1, greedy search.

    A step goes down the sorted candidates of all sequences until `width` of them are unfinished; those that
    end on the way are kept, `width` times `patience` of them at most, and then the search is done. Equal
    scores keep the order of sequences and candidates. Forbidden ids never fill the beam.
    """

    def __init__(self, width: int, *, end_of_text: int, limit: int, patience: float = 1.0) -> None:
        """Begin a search of `limit` tokens at most."""
        if width < 1 or limit < 1 or round(width * patience) < 1:
            raise ValueError(f"no beam of width {width}, patience {patience}, {limit} tokens")
        super().__init__(width, end_of_text=end_of_text, limit=limit)
        self.n_candidates = width + 1
        self._max_finished = round(width * patience)

    def advance(self, log_probabilities: NDArray[np.float32], ids: NDArray[np.integer]) -> Step:
        n_sequences = len(self.sequences)
        if ids.shape[1] < self.width + 1:
            raise ValueError(f"a beam of {self.width} needs {self.width + 1} candidates a sequence")
        scores = _without_nan(self._sums[:, np.newaxis] + log_probabilities[:n_sequences])
        parents, tokens, sums = self._continue(scores, ids[:n_sequences])
        sequences = [(*self.sequences[parent], token) for parent, token in zip(parents, tokens, strict=True)]
        if len(self._finished) >= self._max_finished or not sequences or len(sequences[0]) >= self._limit:
            n_missing = max(self.width - len(self._finished), 0)
            self._finished += list(zip(sequences, sums, strict=True))[:n_missing]
            sequences, parents, tokens = [], [], []
        self.sequences = sequences
        self._sums = np.array(sums, dtype=np.float32)
        return Step(np.array(parents, dtype=np.int64), np.array(tokens, dtype=np.int64))

    def _continue(
        self, scores: NDArray[np.float32], ids: NDArray[np.integer]
    ) -> tuple[list[int], list[int], list[float]]:
        """Return parents, tokens and sums of the new sequences; keep those that end before the last one."""
        parents: list[int] = []
        tokens: list[int] = []
        sums: list[float] = []
        order = np.argsort(-scores, axis=None, kind="stable")
        origins = (order // ids.shape[1]).tolist()
        candidates = zip(origins, ids.ravel()[order].tolist(), scores.ravel()[order].tolist(), strict=True)
        for parent, token, score in candidates:
            if len(parents) == self.width or score == -np.inf:
                break
            if token != self._end_of_text:
                parents.append(parent)
                tokens.append(token)
                sums.append(score)
            elif len(self._finished) < self._max_finished:
                self._finished.append((self.sequences[parent], score))
        return parents, tokens, sums


class Sampling(Search):
    """Independent samples at a temperature above 0, of which the most likely one is chosen.

    A sequence that has sampled `end_of_text` is finished. Scores are the model's own probabilities: the
    temperature shapes what is drawn, not how it is scored.
    """

    n_candidates = None

    def __init__(
        self, best_of: int, temperature: float, rng: np.random.Generator, *, end_of_text: int, limit: int
    ) -> None:
        """Begin `best_of` samples of `limit` tokens at most; the same `rng` state gives the same samples."""
        if best_of < 1 or limit < 1 or not temperature > 0:
            raise ValueError(f"no {best_of} samples at temperature {temperature}, {limit} tokens")
        super().__init__(best_of, end_of_text=end_of_text, limit=limit)
        self._temperature = temperature
        self._rng = rng

    def advance(self, log_probabilities: NDArray[np.float32], ids: NDArray[np.integer]) -> Step:
        n_sequences = len(self.sequences)
        parents = np.arange(n_sequences) if self.sequences[0] else np.zeros(self.width, dtype=np.int64)
        chosen = self._draw(_without_nan(log_probabilities[:n_sequences]), parents)
        tokens = ids[parents, chosen].astype(np.int64)
        sums = self._sums[parents] + log_probabilities[parents, chosen]

        unfinished = tokens != self._end_of_text
        if len(self.sequences[0]) + 1 >= self._limit:
            unfinished[:] = False
        for i in np.flatnonzero(~unfinished):
            token = () if tokens[i] == self._end_of_text else (int(tokens[i]),)
            self._finished.append(((*self.sequences[parents[i]], *token), float(sums[i])))
        step = Step(parents[unfinished], tokens[unfinished])
        self.sequences = [
            (*self.sequences[p], int(t)) for p, t in zip(step.parents, step.tokens, strict=True)
        ]
        self._sums = sums[unfinished]
        return step

    def _draw(self, log_probabilities: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw one column for each of `rows`, by its cumulated probability at the temperature."""
        highest = log_probabilities.max(axis=1, keepdims=True)
        weights = np.exp((log_probabilities - highest) / np.float32(self._temperature))
        cumulated = np.cumsum(weights, axis=1, dtype=np.float64)
        points = self._rng.random(len(rows)) * cumulated[rows, -1]
        columns = [np.searchsorted(cumulated[i], x, side="right") for i, x in zip(rows, points, strict=True)]
        return np.array(columns, dtype=np.int64)


def _without_nan(log_probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    if np.isnan(log_probabilities).any() or not np.isfinite(log_probabilities).any(axis=1).all():
        raise EngineFailed("The Whisper decoder computed probabilities that are no numbers.")
    return log_probabilities
