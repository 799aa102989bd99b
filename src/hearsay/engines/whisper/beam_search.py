"""The search for a window's tokens: a beam of hypotheses, or the best of some samples.

Knows no model and no rules: it is given what may come next with its log probability, and says which rows go
on with which tokens, so that the decoder can rearrange its cache. Follows openai/whisper `decoding.py`,
release 20250625: BeamSearchDecoder, GreedyDecoder and MaximumLikelihoodRanker without a length penalty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hearsay.errors import EngineFailed

Sampled = tuple[int, ...]
"""Tokens of one row, prompt and `end_of_text` excluded."""

Scored = tuple[Sampled, float]
"""A hypothesis and the sum of the log probabilities of its tokens, `end_of_text` included where it came."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """How the rows of a window go on; there are never more than its `width`, and none when it is done."""

    parents: NDArray[np.int64]
    """`int64[n_rows]`: which row of the window each new row continues."""
    tokens: NDArray[np.int64]
    """`int64[n_rows]`: what it continues with."""


class Search(Protocol):
    """The search of one window, which begins with one row: the prompt."""

    width: int
    """Most rows that it ever has."""
    candidates: int | None
    """How many of the most probable ids `advance` needs for each row; None: all ids."""
    rows: list[Sampled]
    """What each row has sampled so far; none when the search is done."""

    def advance(self, log_probabilities: NDArray[np.float32], ids: NDArray[np.integer]) -> Step:
        """Go on by one token.

        Both arguments are `[at least len(rows), K]`; what stands below the last row is ignored. Ids that are
        forbidden have a log probability of minus infinity. Beams want the best `candidates` ids of each row,
        best first. Raises: `EngineFailed` where a log probability is no number.
        """
        ...

    @property
    def done(self) -> bool:
        """Return whether the search has come to its end."""
        ...

    def best(self) -> Scored:
        """Return the most likely hypothesis found: its tokens and the sum of their log probabilities."""
        ...


def most_sampled(n_text_ctx: int, n_prompt: int) -> int:
    """Return how many tokens may be sampled after a prompt in a decoder of `n_text_ctx` positions."""
    return min(n_text_ctx // 2, n_text_ctx - n_prompt + 1)


class Beam:
    """Beam search; with a width of 1, greedy search.

    A step goes down the sorted candidates of all rows until `width` of them are unfinished; those that end
    on the way are kept, `width` times `patience` of them at most, and then the search is done. Equal scores
    keep the order of rows and candidates. What is forbidden is never taken, not even to fill the beam.
    """

    def __init__(self, width: int, *, end_of_text: int, limit: int, patience: float = 1.0) -> None:
        """Begin a search of `limit` tokens at most."""
        if width < 1 or limit < 1 or round(width * patience) < 1:
            raise ValueError(f"no beam of width {width}, patience {patience}, {limit} tokens")
        self.width = width
        self.candidates: int | None = width + 1
        self.rows: list[Sampled] = [()]
        self._end_of_text = end_of_text
        self._limit = limit
        self._enough = round(width * patience)
        self._sums = np.zeros(1, dtype=np.float32)
        self._finished: list[Scored] = []

    @property
    def done(self) -> bool:
        """Return whether the search has come to its end."""
        return not self.rows

    def advance(self, log_probabilities: NDArray[np.float32], ids: NDArray[np.integer]) -> Step:
        """Go on by one token; see `Search.advance`."""
        n_rows = len(self.rows)
        if ids.shape[1] < self.width + 1:
            raise ValueError(f"a beam of {self.width} needs {self.width + 1} candidates a row")
        scores = _numbers(self._sums[:, np.newaxis] + log_probabilities[:n_rows])
        parents, tokens, sums = self._continue(scores, ids[:n_rows])
        rows = [(*self.rows[parent], token) for parent, token in zip(parents, tokens, strict=True)]
        if len(self._finished) >= self._enough or not rows or len(rows[0]) >= self._limit:
            self._fill(zip(rows, sums, strict=True))
            rows, parents, tokens = [], [], []
        self.rows = rows
        self._sums = np.array(sums, dtype=np.float32)
        return _step(parents, tokens)

    def best(self) -> Scored:
        """Return the hypothesis with the best mean log probability."""
        return _most_likely(self._finished)

    def _continue(
        self, scores: NDArray[np.float32], ids: NDArray[np.integer]
    ) -> tuple[list[int], list[int], list[float]]:
        """Choose parents and tokens of the new rows, with their sums; keep what ends before the last one."""
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
            elif len(self._finished) < self._enough:
                self._finished.append((self.rows[parent], score))
        return parents, tokens, sums

    def _fill(self, unfinished: Iterable[Scored]) -> None:
        """Where fewer than `width` hypotheses came to their end, let the best unfinished ones stand in."""
        for scored in unfinished:
            if len(self._finished) >= self.width:
                break
            self._finished.append(scored)


class Samples:
    """Independent samples at a temperature above 0, of which the most likely one wins.

    A row that has sampled `end_of_text` is finished and leaves. Probabilities are the model's own: the
    temperature shapes what is drawn, not how it is scored.
    """

    candidates: int | None = None

    def __init__(
        self, best_of: int, temperature: float, rng: np.random.Generator, *, end_of_text: int, limit: int
    ) -> None:
        """Begin `best_of` samples of `limit` tokens at most; the same `rng` state gives the same samples."""
        if best_of < 1 or limit < 1 or not temperature > 0:
            raise ValueError(f"no {best_of} samples at temperature {temperature}, {limit} tokens")
        self.width = best_of
        self.rows: list[Sampled] = [()]
        self._temperature = temperature
        self._rng = rng
        self._end_of_text = end_of_text
        self._limit = limit
        self._sums = np.zeros(1, dtype=np.float32)
        self._finished: list[Scored] = []

    @property
    def done(self) -> bool:
        """Return whether the search has come to its end."""
        return not self.rows

    def advance(self, log_probabilities: NDArray[np.float32], ids: NDArray[np.integer]) -> Step:
        """Go on by one token, drawn among the ids given; see `Search.advance`."""
        n_rows = len(self.rows)
        parents = np.arange(n_rows) if self.rows[0] else np.zeros(self.width, dtype=np.int64)
        chosen = self._draw(_numbers(log_probabilities[:n_rows]), parents)
        tokens = ids[parents, chosen].astype(np.int64)
        sums = self._sums[parents] + log_probabilities[parents, chosen]

        goes_on = tokens != self._end_of_text
        if len(self.rows[0]) + 1 >= self._limit:
            goes_on[:] = False
        for row in np.flatnonzero(~goes_on):
            token = () if tokens[row] == self._end_of_text else (int(tokens[row]),)
            self._finished.append(((*self.rows[parents[row]], *token), float(sums[row])))
        step = Step(parents[goes_on], tokens[goes_on])
        self.rows = [(*self.rows[p], int(t)) for p, t in zip(step.parents, step.tokens, strict=True)]
        self._sums = sums[goes_on]
        return step

    def best(self) -> Scored:
        """Return the sample with the best mean log probability."""
        return _most_likely(self._finished)

    def _draw(self, log_probabilities: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw one place for each of `rows`, by its cumulated probability at the temperature."""
        highest = log_probabilities.max(axis=1, keepdims=True)
        weights = np.exp((log_probabilities - highest) / np.float32(self._temperature))
        cumulated = np.cumsum(weights, axis=1, dtype=np.float64)
        points = self._rng.random(len(rows)) * cumulated[rows, -1]
        places = [
            np.searchsorted(cumulated[row], x, side="right") for row, x in zip(rows, points, strict=True)
        ]
        return np.array(places, dtype=np.int64)


def _numbers(log_probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    if np.isnan(log_probabilities).any() or not np.isfinite(log_probabilities).any(axis=1).all():
        raise EngineFailed("The Whisper decoder computed probabilities that are no numbers.")
    return log_probabilities


def _step(parents: Sequence[int], tokens: Sequence[int]) -> Step:
    return Step(np.array(parents, dtype=np.int64), np.array(tokens, dtype=np.int64))


def _most_likely(hypotheses: Sequence[Scored]) -> Scored:
    """Choose by the mean over the tokens, of which `end_of_text` is not counted; of equals, the earlier."""
    if not hypotheses:
        raise ValueError("the search has not come to its end")
    return max(hypotheses, key=lambda scored: scored[1] / max(len(scored[0]), 1))
