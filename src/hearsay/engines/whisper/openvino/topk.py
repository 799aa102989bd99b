"""The most probable tokens that the logit rules allow, with their log probabilities, for a search.

Knows no runtime. The same as the best of `logit_rules.log_probabilities`, to the rounding, but it touches
only those of the many logits of text that can matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.whisper.openvino.decoder_network import CHUNK, DecoderShape, suppression_mask
from hearsay.errors import EngineFailed

if TYPE_CHECKING:
    from hearsay.engines.whisper.logit_rules import Allowed, TokenIds

RankedIds = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Log probabilities and ids, both `[n_rows, n]`, best first."""


@dataclass(frozen=True, slots=True, eq=False)
class SplitLogits:
    """Logits of text and of the other ids, one row per token; see `decoder_graph.DecoderGraphs.lm_head`."""

    text: NDArray[np.float32]
    """`float32[n_rows, n_chunks * CHUNK]`."""
    special: NDArray[np.float32]
    """`float32[n_rows, n_vocab - end_of_text]`: special tokens and timestamps."""
    chunk_max: NDArray[np.float32]
    """`float32[n_rows, n_chunks]`: largest logit of each chunk of the text that may be sampled."""
    text_logsumexp: NDArray[np.float32]
    """`float32[n_rows, 1]`: logarithm of the summed exponentials of the text that may be sampled."""

    def rows(self, first: int, last: int) -> SplitLogits:
        """Return neighbouring rows, without a copy."""
        cut = slice(first, last)
        return SplitLogits(self.text[cut], self.special[cut], self.chunk_max[cut], self.text_logsumexp[cut])

    def full(self, end_of_text: int) -> NDArray[np.float32]:
        """Return the logits of all ids in order: `float32[n_rows, n_vocab]`."""
        return np.concatenate([self.text[:, :end_of_text], self.special], axis=1)


class TopK:
    """Selects the most probable ids by the logits of one model."""

    def __init__(self, shape: DecoderShape, ids: TokenIds) -> None:
        """Prepare masks of the ids that are never sampled."""
        self._ids = ids
        self._n_chunks = shape.n_chunks
        mask = np.where(suppression_mask(shape, ids.suppressed) < 0, -np.inf, 0).astype(np.float32)
        self._text_mask = mask.reshape(shape.n_chunks, CHUNK)
        self._suppressed_special = np.array(
            [i - ids.end_of_text for i in ids.suppressed if i >= ids.end_of_text], dtype=np.intp
        )
        self._special_ids = np.arange(ids.end_of_text, ids.n_vocab)

    def select(self, logits: SplitLogits, rows: Sequence[Allowed], n: int) -> RankedIds:
        """Return the `n` most probable ids of each row. Raises: `EngineFailed` where a logit is NaN."""
        special = self._masked_special(logits.special, rows)
        allows_text = np.array([row.text for row in rows])
        n_special = self._ids.timestamp_begin - self._ids.end_of_text
        others, timestamps = special[:, :n_special], special[:, n_special:]
        highest = np.where(allows_text, logits.chunk_max.max(axis=1), -np.inf)
        only_timestamps = _logsumexp(timestamps) > np.maximum(others.max(axis=1), highest)
        others[only_timestamps] = -np.inf
        allows_text &= ~only_timestamps
        total = np.logaddexp(_logsumexp(special), np.where(allows_text, logits.text_logsumexp[:, 0], -np.inf))
        if not np.isfinite(total).all():
            raise EngineFailed("The Whisper decoder computed logits that are no numbers.")
        values, ids = self._text_candidates(logits, allows_text, n)
        values = np.concatenate([values, special], axis=1)
        ids = np.concatenate([ids, np.broadcast_to(self._special_ids, special.shape)], axis=1)
        values, ids = _largest(values, ids, n)
        return values - total[:, np.newaxis].astype(np.float32), ids

    def _masked_special(self, special: NDArray[np.float32], rows: Sequence[Allowed]) -> NDArray[np.float32]:
        """Return logits of special tokens and timestamps, minus infinity where forbidden."""
        masked = special.copy()
        masked[:, self._suppressed_special] = -np.inf
        begin, end = self._ids.timestamp_begin, self._ids.end_of_text
        for row, allowed in zip(masked, rows, strict=True):
            if not allowed.end:
                row[: begin - end] = -np.inf
            row[begin - end : allowed.low - end] = -np.inf
            row[allowed.high - end :] = -np.inf
        return masked

    def _text_candidates(self, logits: SplitLogits, allows_text: NDArray[np.bool_], n: int) -> RankedIds:
        """Return logits of text, unordered, in the `n` chunks of the largest: they hold the `n` best."""
        n = min(n, self._n_chunks)
        chunks = np.argpartition(logits.chunk_max, -n, axis=1)[:, -n:]
        by_chunk = logits.text.reshape(len(allows_text), self._n_chunks, CHUNK)
        values = np.take_along_axis(by_chunk, chunks[:, :, np.newaxis], axis=1) + self._text_mask[chunks]
        values[~allows_text] = -np.inf
        ids = chunks[:, :, np.newaxis] * CHUNK + np.arange(CHUNK)
        return values.reshape(len(allows_text), -1), ids.reshape(len(allows_text), -1)


def _logsumexp(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logarithm of the summed exponentials of each row; minus infinity where all are."""
    highest = values.max(axis=1, keepdims=True)
    highest = np.where(np.isneginf(highest), np.float32(0), highest)
    with np.errstate(divide="ignore"):
        summed: NDArray[np.float32] = np.log(np.exp(values - highest).sum(axis=1)) + highest[:, 0]
    return summed


def _largest(values: NDArray[np.float32], ids: NDArray[np.int64], n: int) -> RankedIds:
    """Return the `n` largest of each row; the smaller id first of equals, any of those at the edge."""
    top = np.argpartition(values, -n, axis=1)[:, -n:]
    values, ids = np.take_along_axis(values, top, axis=1), np.take_along_axis(ids, top, axis=1)
    order = np.lexsort((ids, -values), axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(ids, order, axis=1)
