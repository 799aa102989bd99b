"""Dynamic time warping of tokens along a window: which token is said where, by the decoder's attention.

Knows no model, no vocabulary and no words: cross-attention scores of a teacher-forced pass in, pairs of
token and position out. Follows openai/whisper `timing.py` (`find_alignment`), release 20250625; dynamic time
warping as by Giorgino, doi:10.18637/jss.v031.i07, with the symmetric step pattern without weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearsay.errors import EngineFailed

_FILTER_WIDTH = 7
"""Positions of the median filter: 0.14 s."""

_MEDIAN_OF_SEVEN = (
    *((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6)),
    *((2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)),
)
"""A sorting network: pairs to order, one after the other, until index 3 holds the median of seven."""

_TILE = 16
"""Rows of attention filtered at once, so that they stay in a core's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """How the text of a window lies along its positions."""

    alignments: NDArray[np.int64]
    """`int64[n_steps, 2]`: text token and position (0.02 s), both from 0 and never falling by a step.

    Token `n_text_tokens`, the last one, stands for what comes after the text.
    """
    text_token_probs: NDArray[np.float32]
    """`float32[n_text_tokens]`, each in [0, 1]."""


def find_path(
    scores: NDArray[np.float32], text_token_probs: NDArray[np.float32], *, n_start: int, n_frames: int
) -> Path:
    """Return the path of a window's text tokens through its real audio.

    `scores` are the scaled products of queries and keys, before softmax, of the alignment heads:
    `float32[n_heads, n_tokens, n_positions]`. The tokens are `n_start` of the start sequence,
    `<|notimestamps|>`, the text, and `end_of_text`; nothing else, so cut padding off. `n_frames` are frames
    of real audio (10 ms each). Raises: `EngineFailed` for scores that are no numbers.
    """
    scores = scores[:, :, : max(n_frames // 2, 1)]
    if not np.isfinite(scores).all():
        raise EngineFailed("The Whisper decoder computed attention that is no number.")
    matrix = _smooth(_standardise(_softmax(scores))).mean(axis=0)
    return Path(warp(-matrix[n_start:-1]), text_token_probs)


def warp(costs: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the path through `costs`, `[n_rows, n_columns]`, from first to last cell: `int64[n_steps, 2]`.

    A step goes down, right, or both. A cell is entered from the cheapest of three; by going right where that
    is not dearer than the others, and, as in the reference, also where the other two are equal (filtered
    attention has plateaus, so they often are).

    Cells on one diagonal do not depend on each other, so all are solved at once, in float32 as there: paths
    are the reference's to the last tie.
    """
    n_rows, n_columns = costs.shape
    slanted = np.full((n_rows, n_columns + n_rows), np.inf, dtype=np.float32)
    slanted[:, :n_columns] = costs
    n_diagonals = n_columns + n_rows - 1
    diagonals = slanted.ravel()[: n_rows * n_diagonals].reshape(n_rows, n_diagonals).T.copy()

    totals = np.full((n_diagonals + 2, n_rows + 1), np.inf, dtype=np.float32)
    totals[0, 0] = 0
    upper, here = list(totals[:, :-1]), list(totals[:, 1:])
    entry, equal = np.empty(n_rows, dtype=np.float32), np.empty(n_rows, dtype=np.bool_)
    steps = zip(upper, upper[1:], here[1:], here[2:], diagonals, strict=False)
    for corner, above, left, total, cost in steps:
        np.minimum(corner, above, out=entry)
        np.equal(corner, above, out=equal)
        entry[equal] = np.inf
        np.minimum(entry, left, out=total)
        np.add(total, cost, out=total)
    return _trace(totals, n_columns)


def _trace(totals: NDArray[np.float32], n_columns: int) -> NDArray[np.int64]:
    """Trace the path back from the last cell, a row at a time; return it forwards."""
    corner, above, left = totals[:-2, :-1], totals[1:-1, :-1], totals[1:-1, 1:]
    enters = ((np.minimum(corner, above) < left) & (corner != above)).T.copy()
    by_both = (corner < above).T
    steps = []
    column = n_columns - 1
    for row in range(len(enters) - 1, -1, -1):
        entered = int(np.flatnonzero(enters[row, row : row + column + 1])[-1])
        columns = np.arange(entered, column + 1)
        steps.append(np.column_stack([np.full_like(columns, row), columns]))
        column = entered - int(by_both[row, row + entered])
    return np.concatenate(steps[::-1])


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    weights: NDArray[np.float32] = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def _standardise(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract the mean over tokens, and divide by the standard deviation; 0 where all are equal."""
    centred = weights - weights.mean(axis=-2, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-2, keepdims=True))
    scaled: NDArray[np.float32] = np.zeros_like(centred)
    np.divide(centred, deviation, out=scaled, where=deviation > 0)
    return scaled


def _smooth(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter each row by the median of seven neighbours, mirrored at the ends; shorter rows stay."""
    margin = _FILTER_WIDTH // 2
    n_columns = weights.shape[-1]
    if n_columns <= margin:
        return weights
    rows = weights.reshape(-1, n_columns)
    padded = np.pad(rows, ((0, 0), (margin, margin)), mode="reflect")
    filtered = np.empty_like(rows)
    for first in range(0, len(rows), _TILE):
        tile = padded[first : first + _TILE]
        shifted = [tile[:, shift : shift + n_columns].copy() for shift in range(_FILTER_WIDTH)]
        for low, high in _MEDIAN_OF_SEVEN:
            smaller = np.minimum(shifted[low], shifted[high])
            np.maximum(shifted[low], shifted[high], out=shifted[high])
            shifted[low] = smaller
        filtered[first : first + _TILE] = shifted[margin]
    return filtered.reshape(weights.shape)
