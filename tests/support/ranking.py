"""The most probable ids of a matrix of log probabilities, ranked in the plainest way.

Knows no decoder and no rules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best(log_probabilities: NDArray[np.float32], n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the `n` most probable ids of each row and their log probabilities, both `[n_rows, n]`.

    Best first; of equals, the smaller id.
    """
    ids = np.empty((len(log_probabilities), n), dtype=np.int64)
    for row, best_ids in zip(log_probabilities, ids, strict=True):
        eligible = np.flatnonzero(row >= np.partition(row, -n)[-n])
        best_ids[:] = eligible[np.argsort(-row[eligible], kind="stable")[:n]]
    return np.take_along_axis(log_probabilities, ids, axis=1), ids
