"""Whisper's logit rules: which tokens may follow, by rules about blanks, special tokens and timestamps.

Knows no model and no search: tokens in, bounds out, and the same bounds applied to a matrix of logits.
Follows the logit filters of openai/whisper `decoding.py`, release 20250625: SuppressBlank, SuppressTokens
and ApplyTimestampRules, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hearsay.errors import EngineFailed

if TYPE_CHECKING:
    from hearsay.engines.whisper.tokenizer import Vocabulary

MAX_INITIAL_TIMESTAMP = 50
"""Latest first timestamp of a window: 1.00 s in steps of 0.02 s."""


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The layout of a vocabulary: text, then `end_of_text` and other special tokens, then timestamps."""

    n_vocab: int
    """Number of ids; timestamps are the last ones."""
    end_of_text: int
    """Smaller ids are text."""
    timestamp_begin: int
    """The id of time 0.00; ids from here up are times."""
    suppressed: tuple[int, ...]
    """Ids that are never sampled, in order: signs for sounds, and special tokens."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, n_vocab: int) -> TokenIds:
        """Return the layout of a vocabulary; `<|notimestamps|>` belongs to prompts and is never sampled."""
        no_timestamps = vocabulary.timestamp_begin - 1
        suppressed = tuple(sorted({*vocabulary.suppressed, no_timestamps}))
        return cls(n_vocab, vocabulary.end_of_text, vocabulary.timestamp_begin, suppressed)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a sequence may sample next, apart from the ids that are never sampled."""

    text: bool
    """Text: ids below `end_of_text`."""
    end: bool
    """`end_of_text` and the special tokens after it: `end_of_text` <= id < `timestamp_begin`."""
    low: int
    """The first timestamp allowed."""
    high: int
    """The id after the last timestamp allowed; `low` where there is none."""


def allowed(
    sampled: Sequence[int], ids: TokenIds, *, max_initial_timestamp: int | None = MAX_INITIAL_TIMESTAMP
) -> Allowed:
    """Return what may follow the tokens sampled so far, prompt excluded.

    The first token is a timestamp, so neither a blank nor `end_of_text` can come first. Timestamps come in
    pairs, an end and the next start, but before `end_of_text`; they do not decrease, and no segment is empty.
    Whether the timestamps' joint probability forbids text needs logits: see `log_probabilities`.
    """
    begin, high = ids.timestamp_begin, ids.n_vocab
    if not sampled:
        if max_initial_timestamp is not None:
            high = min(high, begin + max_initial_timestamp + 1)
        return Allowed(text=False, end=False, low=begin, high=high)
    if sampled[-1] < begin:
        latest = next((token for token in reversed(sampled) if token >= begin), begin - 1)
        return Allowed(text=True, end=True, low=latest + 1, high=high)
    if len(sampled) < 2 or sampled[-2] >= begin:
        return Allowed(text=True, end=True, low=high, high=high)
    return Allowed(text=False, end=True, low=sampled[-1], high=high)


def log_probabilities(
    logits: NDArray[np.float32], rows: Sequence[Allowed], ids: TokenIds
) -> NDArray[np.float32]:
    """Return normalised log probabilities, `float32[n_rows, n_vocab]`, minus infinity where forbidden.

    Where the timestamps allowed are together more probable than the most probable other token, only they
    remain. Raises: `EngineFailed` for logits that are no numbers.
    """
    masked = np.array(logits, dtype=np.float32)
    masked[:, ids.suppressed] = -np.inf
    for row, bounds in zip(masked, rows, strict=True):
        if not bounds.text:
            row[: ids.end_of_text] = -np.inf
        if not bounds.end:
            row[ids.end_of_text : ids.timestamp_begin] = -np.inf
        row[ids.timestamp_begin : bounds.low] = -np.inf
        row[bounds.high :] = -np.inf
    highest = masked.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():
        raise EngineFailed("The Whisper decoder computed logits that are no numbers.")
    masked -= highest
    others = masked[:, : ids.timestamp_begin]
    timestamp_mass = np.exp(masked[:, ids.timestamp_begin :]).sum(axis=1)
    others[timestamp_mass > np.exp(others.max(axis=1))] = -np.inf
    masked -= np.log(np.exp(masked).sum(axis=1, keepdims=True))
    return masked
