"""From logits to what a search needs: the most probable tokens that the rules allow, and how probable.

Knows no runtime. The same as `rules.log_probabilities` followed by `rules.best`, to the rounding, but it
touches only those of the many logits of text that can matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.whisper.logit_rules import Allowed, Ids
from hearsay.engines.whisper.openvino.decoder_graph import CHUNK, DecoderShape, suppression_mask
from hearsay.errors import EngineFailed

Best = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Log probabilities and ids, both `[n_rows, n]`, best first."""


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """What the head of a decoder computed for some rows; see `decoder_graph.Graphs.head`."""

    text: NDArray[np.float32]
    """`float32[n_rows, n_chunks * CHUNK]`."""
    rest: NDArray[np.float32]
    """`float32[n_rows, n_vocab - end_of_text]`."""
    largest: NDArray[np.float32]
    """`float32[n_rows, n_chunks]`."""
    summed: NDArray[np.float32]
    """`float32[n_rows, 1]`: logarithm of the summed exponentials of the text that may be sampled."""

    def rows(self, first: int, last: int) -> Logits:
        """Cut out neighbouring rows, without a copy."""
        cut = slice(first, last)
        return Logits(self.text[cut], self.rest[cut], self.largest[cut], self.summed[cut])

    def whole(self, end_of_text: int) -> NDArray[np.float32]:
        """Return the logits of all ids in order: `float32[n_rows, n_vocab]`."""
        return np.concatenate([self.text[:, :end_of_text], self.rest], axis=1)


class Candidates:
    """Picks candidates among the logits of one model."""

    def __init__(self, shape: DecoderShape, ids: Ids) -> None:
        """Note which ids can never be sampled."""
        self._ids = ids
        self._n_chunks = shape.n_chunks
        added = np.where(suppression_mask(shape, ids.never) < 0, -np.inf, 0).astype(np.float32)
        self._barred = added.reshape(shape.n_chunks, CHUNK)
        self._never = np.array(
            [i - ids.end_of_text for i in ids.never if i >= ids.end_of_text], dtype=np.intp
        )
        self._others = np.arange(ids.end_of_text, ids.n_vocab)

    def best(self, logits: Logits, rows: Sequence[Allowed], n: int) -> Best:
        """Return the `n` most probable ids of each row. Raises `EngineFailed` where logits are no numbers."""
        rest = self._rest(logits.rest, rows)
        text = np.array([row.text for row in rows])
        times = rest[:, self._ids.timestamp_begin - self._ids.end_of_text :]
        others = rest[:, : self._ids.timestamp_begin - self._ids.end_of_text]
        highest = np.where(text, logits.largest.max(axis=1), -np.inf)
        only_times = _log_sum(times) > np.maximum(others.max(axis=1), highest)
        others[only_times] = -np.inf
        text &= ~only_times
        total = np.logaddexp(_log_sum(rest), np.where(text, logits.summed[:, 0], -np.inf))
        if not np.isfinite(total).all():
            raise EngineFailed("The Whisper decoder computed logits that are no numbers.")
        values, ids = self._text(logits, text, n)
        values = np.concatenate([values, rest], axis=1)
        ids = np.concatenate([ids, np.broadcast_to(self._others, rest.shape)], axis=1)
        values, ids = _largest(values, ids, n)
        return values - total[:, np.newaxis].astype(np.float32), ids

    def _rest(self, rest: NDArray[np.float32], rows: Sequence[Allowed]) -> NDArray[np.float32]:
        """Bar what is no text and may not be sampled."""
        kept = rest.copy()
        kept[:, self._never] = -np.inf
        begin, end = self._ids.timestamp_begin, self._ids.end_of_text
        for row, may in zip(kept, rows, strict=True):
            if not may.end:
                row[: begin - end] = -np.inf
            row[begin - end : may.low - end] = -np.inf
            row[may.high - end :] = -np.inf
        return kept

    def _text(self, logits: Logits, text: NDArray[np.bool_], n: int) -> Best:
        """Return the logits of text in the `n` chunks with the largest ones: the `n` best are among them."""
        n = min(n, self._n_chunks)
        chunks = np.argpartition(logits.largest, -n, axis=1)[:, -n:]
        shaped = logits.text.reshape(len(text), self._n_chunks, CHUNK)
        values = np.take_along_axis(shaped, chunks[:, :, np.newaxis], axis=1) + self._barred[chunks]
        values[~text] = -np.inf
        ids = chunks[:, :, np.newaxis] * CHUNK + np.arange(CHUNK)
        return values.reshape(len(text), -1), ids.reshape(len(text), -1)


def _log_sum(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithm of the summed exponentials of each row; minus infinity where all are."""
    highest = values.max(axis=1, keepdims=True)
    highest = np.where(np.isneginf(highest), np.float32(0), highest)
    with np.errstate(divide="ignore"):
        summed: NDArray[np.float32] = np.log(np.exp(values - highest).sum(axis=1)) + highest[:, 0]
    return summed


def _largest(values: NDArray[np.float32], ids: NDArray[np.int64], n: int) -> Best:
    """Sort out the `n` largest of each row; the smaller id first of equals, any of those at the edge."""
    places = np.argpartition(values, -n, axis=1)[:, -n:]
    values, ids = np.take_along_axis(values, places, axis=1), np.take_along_axis(ids, places, axis=1)
    order = np.lexsort((ids, -values), axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(ids, order, axis=1)
