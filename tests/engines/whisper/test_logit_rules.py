"""What may be sampled next, against a plain rendering of the reference's filters that masks id by id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.logit_rules import TokenIds, allowed, log_probabilities
from hearsay.errors import EngineFailed
from tests.support import toy_whisper
from tests.support.ranking import best

IDS = TokenIds(n_vocab=31, end_of_text=8, timestamp_begin=14, suppressed=(2, 5, 9, 13))
"""Eight text tokens, six special ones, seventeen timestamps; id 1 is the blank."""
BLANK = 1
FINAL = IDS.n_vocab - 1
LAST_INITIAL = 3

SAMPLED = st.lists(st.integers(0, FINAL), max_size=8)


def masked(logits: NDArray[np.float64], sampled: Sequence[int], last_initial: int | None) -> set[int]:
    """Return the ids that survive SuppressBlank, SuppressTokens and ApplyTimestampRules, rule by rule."""
    begin, end = IDS.timestamp_begin, IDS.end_of_text
    left = set(range(IDS.n_vocab)) - set(IDS.suppressed)
    if not sampled:
        left -= {BLANK, end}
    closed = bool(sampled) and sampled[-1] >= begin
    before = len(sampled) < 2 or sampled[-2] >= begin
    if closed and before:
        left -= set(range(begin, IDS.n_vocab))
    if closed and not before:
        left -= set(range(end))
    times = [token for token in sampled if token >= begin]
    if times:
        earliest = times[-1] if closed and not before else times[-1] + 1
        left -= set(range(begin, earliest))
    if not sampled:
        left -= set(range(begin))
        if last_initial is not None:
            left -= set(range(begin + last_initial + 1, IDS.n_vocab))
    mass = sum(np.exp(logits[i]) for i in left if i >= begin)
    if mass > max((np.exp(logits[i]) for i in left if i < begin), default=0.0):
        left -= set(range(begin))
    return left


def random_logits(seed: int, n_rows: int, lean: float) -> NDArray[np.float32]:
    """Draw logits; `lean` lifts the timestamps, so that their joint probability is now more, now less."""
    logits = np.random.default_rng(seed).normal(0, 3, (n_rows, IDS.n_vocab))
    logits[:, IDS.timestamp_begin :] += lean
    return logits.astype(np.float32)


@given(st.lists(SAMPLED, min_size=1, max_size=5), st.integers(0, 2**32), st.floats(-6, 3))
def test_what_remains_is_what_the_references_filters_leave(
    rows: list[list[int]], seed: int, lean: float
) -> None:
    logits = random_logits(seed, len(rows), lean)
    limits = [allowed(row, IDS, max_initial_timestamp=LAST_INITIAL) for row in rows]
    result = log_probabilities(logits, limits, IDS)
    for row, given_logits, found in zip(rows, logits.astype(np.float64), result, strict=True):
        left = sorted(masked(given_logits, row, LAST_INITIAL))
        assert np.flatnonzero(np.isfinite(found)).tolist() == left
        total = np.log(np.exp(given_logits[left]).sum())
        np.testing.assert_allclose(found[left], given_logits[left] - total, atol=1e-5)


@given(SAMPLED)
def test_bounds_alone_are_the_filters_before_the_mass_rule(sampled: list[int]) -> None:
    """Timestamps without any probability never outweigh, so only the bounds act."""
    logits = np.zeros(IDS.n_vocab)
    logits[IDS.timestamp_begin :] = -50.0
    bounds = allowed(sampled, IDS, max_initial_timestamp=None)
    ids = [i for i in range(IDS.end_of_text) if bounds.text]
    ids += [i for i in range(IDS.end_of_text, IDS.timestamp_begin) if bounds.end]
    ids += list(range(bounds.low, bounds.high))
    assert sorted(set(ids) - set(IDS.suppressed)) == sorted(masked(logits, sampled, None))
    assert IDS.timestamp_begin <= bounds.low <= bounds.high <= IDS.n_vocab


@given(st.data())
def test_a_row_that_keeps_the_rules_always_has_a_way_on(data: st.DataObject) -> None:
    sampled: list[int] = []
    for _ in range(12):
        logits = random_logits(data.draw(st.integers(0, 2**32)), 1, data.draw(st.floats(-6, 3)))
        (found,) = log_probabilities(logits, [allowed(sampled, IDS)], IDS)
        ways = np.flatnonzero(np.isfinite(found))
        assert ways.size
        sampled.append(int(data.draw(st.sampled_from(ways.tolist()))))
        times = [token for token in sampled if token >= IDS.timestamp_begin]
        assert times == sorted(times)
        if sampled[-1] == IDS.end_of_text:
            break
    assert sampled[0] >= IDS.timestamp_begin


def test_a_segment_lasts_and_the_next_may_begin_where_it_ends() -> None:
    start, text, end = IDS.timestamp_begin + 4, 0, IDS.timestamp_begin + 7
    assert allowed([start], IDS).text and allowed([start], IDS).low == IDS.n_vocab
    assert allowed([start, text], IDS).low == start + 1
    closed = allowed([start, text, end], IDS)
    assert (closed.text, closed.end, closed.low) == (False, True, end)
    assert allowed([start, text, end, end], IDS).low == IDS.n_vocab


def test_the_first_timestamp_has_a_limit_unless_none_is_wanted() -> None:
    assert allowed([], IDS, max_initial_timestamp=3).high == IDS.timestamp_begin + 4
    assert allowed([], IDS).high == IDS.n_vocab == allowed([], IDS, max_initial_timestamp=None).high


def test_logits_are_left_as_they_were() -> None:
    logits = random_logits(1, 2, 0.0)
    before = logits.copy()
    log_probabilities(logits, [allowed([], IDS)] * 2, IDS)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_an_error(broken: float) -> None:
    logits = random_logits(1, 2, 0.0)
    logits[1, 3] = broken
    with pytest.raises(EngineFailed, match="no numbers"):
        log_probabilities(logits, [allowed([20], IDS)] * 2, IDS)


@given(st.lists(st.lists(st.sampled_from([-np.inf, -3.0, -2.0, -1.0]), min_size=9, max_size=9), max_size=3))
def test_the_best_ids_come_in_order_and_of_equals_the_smaller_first(rows: list[list[float]]) -> None:
    matrix = np.array(rows, dtype=np.float32).reshape(-1, 9)
    values, ids = best(matrix, 4)
    expected = [[-i for _, i in sorted(zip(row, range(0, -9, -1), strict=True))[:-5:-1]] for row in rows]
    assert ids.tolist() == expected
    np.testing.assert_array_equal(values, np.take_along_axis(matrix, ids, axis=1))


def test_the_layout_comes_from_the_vocabulary(tmp_path: Path) -> None:
    vocabulary = tokenizer.read(toy_whisper.write(tmp_path / "toy").folder)
    ids = TokenIds.of(vocabulary, 2000)
    assert (ids.n_vocab, ids.end_of_text) == (2000, vocabulary.end_of_text)
    assert ids.timestamp_begin == vocabulary.timestamp_begin
    assert set(ids.suppressed) == {*vocabulary.suppressed, vocabulary.special["<|notimestamps|>"]}
