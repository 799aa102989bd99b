"""Paths through attention, against plain renderings of the same algorithms, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.engines.whisper.dtw import find_path, warp
from hearsay.errors import EngineFailed

SIZES = st.integers(1, 12)


def plain_warp(costs: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Fill the table cell by cell: by both or down where that alone is cheapest, otherwise right."""
    n_rows, n_columns = costs.shape
    total = np.full((n_rows + 1, n_columns + 1), np.inf, dtype=np.float32)
    total[0, 0] = 0
    came = {}
    for row in range(1, n_rows + 1):
        for column in range(1, n_columns + 1):
            both, down, right = (row - 1, column - 1), (row - 1, column), (row, column - 1)
            if total[both] < total[down] and total[both] < total[right]:
                came[row, column] = both
            elif total[down] < total[both] and total[down] < total[right]:
                came[row, column] = down
            else:
                came[row, column] = right
            total[row, column] = costs[row - 1, column - 1] + total[came[row, column]]
    cell, path = (n_rows, n_columns), []
    while cell != (0, 0):
        path.append((cell[0] - 1, cell[1] - 1))
        cell = came[cell]
    return path[::-1]


def cheapest(costs: NDArray[np.float32]) -> float:
    """Return what the cheapest way costs."""
    total = np.full(np.add(costs.shape, 1), np.inf)
    total[0, 0] = 0
    for row, column in np.ndindex(costs.shape):
        before = min(total[row, column], total[row, column + 1], total[row + 1, column])
        total[row + 1, column + 1] = costs[row, column] + before
    return float(total[-1, -1])


def plain_matrix(scores: NDArray[np.float64], n_start: int, n_positions: int) -> NDArray[np.float64]:
    """Weigh attention as the reference does, head by head and row by row."""
    filtered = []
    for head in scores[:, :, :n_positions]:
        weights = np.array([np.exp(row) / np.exp(row).sum() for row in head])
        scaled = (weights - weights.mean(axis=0)) / weights.std(axis=0)
        filtered.append([median_of_seven(row.tolist()) for row in scaled])
    mean: NDArray[np.float64] = np.array(filtered).mean(axis=0)
    return mean[n_start:-1]


def median_of_seven(row: list[float]) -> list[float]:
    if len(row) <= 3:
        return row
    mirrored = [*row[3:0:-1], *row, *row[-2:-5:-1]]
    return [sorted(mirrored[i : i + 7])[3] for i in range(len(row))]


@given(SIZES, SIZES, st.integers(0, 2**32))
def test_the_way_is_the_references_to_the_last_tie(n_rows: int, n_columns: int, seed: int) -> None:
    """Small whole numbers make many ways that cost exactly the same."""
    costs = np.random.default_rng(seed).integers(-2, 3, (n_rows, n_columns)).astype(np.float32)
    assert [tuple(step) for step in warp(costs).tolist()] == plain_warp(costs)


@given(SIZES, SIZES, st.integers(0, 2**32))
def test_without_ties_the_way_is_the_cheapest(n_rows: int, n_columns: int, seed: int) -> None:
    costs = np.random.default_rng(seed).normal(size=(n_rows, n_columns)).astype(np.float32)
    path = [tuple(step) for step in warp(costs).tolist()]
    assert path == plain_warp(costs)
    assert sum(costs[step] for step in path) == pytest.approx(cheapest(costs), abs=1e-4)


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 2**32))
def test_a_way_leads_from_corner_to_corner_step_by_step(n_rows: int, n_columns: int, seed: int) -> None:
    path = warp(np.random.default_rng(seed).normal(size=(n_rows, n_columns)).astype(np.float32))
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [n_rows - 1, n_columns - 1]
    steps = {tuple(step) for step in np.diff(path, axis=0).tolist()}
    assert steps <= {(0, 1), (1, 0), (1, 1)}


@given(
    n_heads=st.integers(1, 3),
    n_text=st.integers(1, 20),
    n_positions=st.integers(2, 60),
    n_start=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_attention_is_weighed_as_the_reference_does(
    n_heads: int, n_text: int, n_positions: int, n_start: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (n_heads, n_start + 1 + n_text + 1, n_positions + 5))
    probabilities = rng.random(n_text).astype(np.float32)
    n_frames = 2 * n_positions + int(rng.integers(2))
    path = find_path(scores.astype(np.float32), probabilities, n_start=n_start, n_frames=n_frames)
    matrix = plain_matrix(scores, n_start, n_positions).astype(np.float32)
    assert matrix.shape == (n_text + 1, n_positions)
    expected = plain_warp(-matrix)
    if [tuple(step) for step in path.alignments.tolist()] != expected:  # A near tie, rounded otherwise.
        found = sum(matrix[cell] for cell in map(tuple, path.alignments.tolist()))
        assert found == pytest.approx(sum(matrix[cell] for cell in expected), abs=1e-3)
    assert path.alignments[-1].tolist() == [n_text, n_positions - 1]
    np.testing.assert_array_equal(path.text_token_probs, probabilities)


def test_tokens_are_found_where_the_heads_look() -> None:
    """Three text tokens, each attended to in its own stretch; other tokens look everywhere."""
    n_start, stretches = 2, [(0, 10), (10, 25), (25, 40), (40, 50)]
    scores = np.zeros((2, n_start + 4 + 1, 60), dtype=np.float32)
    for row, (first, last) in enumerate(stretches, start=n_start):
        scores[:, row, first:last] = 5.0
    path = find_path(scores, np.ones(3, np.float32), n_start=n_start, n_frames=100)
    found = [path.alignments[path.alignments[:, 0] == row, 1] for row in range(4)]
    assert [(int(at[0]), int(at[-1]) + 1) for at in found] == stretches


@pytest.mark.parametrize("n_frames", [0, 1, 2, 3, 6, 8])
def test_a_breath_of_audio_has_a_path_too(n_frames: int) -> None:
    """With one position all tokens attend alike, so the deviation over tokens is nothing to divide by."""
    scores = np.random.default_rng(1).normal(size=(2, 8, 1500)).astype(np.float32)
    path = find_path(scores, np.ones(3, np.float32), n_start=3, n_frames=n_frames)
    assert path.alignments[0].tolist() == [0, 0]
    assert path.alignments[-1].tolist() == [3, max(n_frames // 2, 1) - 1]


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_attention_that_is_no_number_is_an_error(broken: float) -> None:
    scores = np.zeros((1, 6, 50), dtype=np.float32)
    scores[0, 3, 7] = broken
    with pytest.raises(EngineFailed, match="no number"):
        find_path(scores, np.ones(1, np.float32), n_start=3, n_frames=100)
