"""Candidates picked from few logits are those that the rules give when applied to all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.engines.whisper import logit_rules
from hearsay.engines.whisper.logit_rules import Allowed, TokenIds
from hearsay.engines.whisper.openvino.decoder_network import CHUNK, LEAST, DecoderShape, suppression_mask
from hearsay.engines.whisper.openvino.topk import SplitLogits, TopK
from hearsay.errors import EngineFailed
from tests.support.ranking import best

IDS = TokenIds(n_vocab=420, end_of_text=300, timestamp_begin=320, suppressed=(3, 17, 129, 301, 305, 319))
SHAPE = DecoderShape(n_layers=1, n_heads=1, width=8, n_vocab=IDS.n_vocab, end_of_text=IDS.end_of_text)


def logits(full: NDArray[np.float32]) -> SplitLogits:
    """Cut logits of all ids as the head of a decoder gives them."""
    text = np.zeros((len(full), SHAPE.n_chunks * CHUNK), np.float32)
    text[:, : IDS.end_of_text] = full[:, : IDS.end_of_text]
    kept = text + suppression_mask(SHAPE, IDS.suppressed)
    largest = kept.reshape(len(full), SHAPE.n_chunks, CHUNK).max(axis=2)
    highest = largest.max(axis=1, keepdims=True)
    summed = highest + np.log(np.exp(kept - highest).sum(axis=1, keepdims=True))
    return SplitLogits(text, full[:, IDS.end_of_text :], largest, summed)


@st.composite
def bounds(draw: st.DrawFn) -> Allowed:
    low = draw(st.integers(IDS.timestamp_begin, IDS.n_vocab))
    high = draw(st.integers(low, IDS.n_vocab))
    is_empty = low == high
    return Allowed(text=is_empty or draw(st.booleans()), end=draw(st.booleans()), low=low, high=high)


@given(
    rows=st.lists(bounds(), min_size=1, max_size=6),
    n=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    louder=st.sampled_from([0.0, 3.0, 8.0]),
)
def test_they_are_what_the_rules_give(rows: list[Allowed], n: int, seed: int, louder: float) -> None:
    rng = np.random.default_rng(seed)
    full = rng.normal(scale=4.0, size=(len(rows), IDS.n_vocab)).astype(np.float32)
    full[:, IDS.timestamp_begin :] += np.float32(louder)
    expected, ids = best(logit_rules.log_probabilities(full, rows, IDS), n)
    found, found_ids = TopK(SHAPE, IDS).select(logits(full), rows, n)
    possible = expected > -np.inf
    np.testing.assert_allclose(found[possible], expected[possible], atol=1e-4)
    np.testing.assert_array_equal(found_ids[possible], ids[possible])
    assert np.isneginf(found[~possible]).all()


def test_both_branches_of_the_rule_of_mass_are_met() -> None:
    """Times that are together more probable than any text forbid it, though no single one is."""
    full = np.full((2, IDS.n_vocab), -20.0, np.float32)
    full[:, 5] = 1.0
    full[0, IDS.timestamp_begin :] = -0.001 * np.arange(IDS.n_vocab - IDS.timestamp_begin)
    full[1, IDS.timestamp_begin : IDS.timestamp_begin + 2] = 0.0
    both = [Allowed(text=True, end=True, low=IDS.timestamp_begin, high=IDS.n_vocab)] * 2
    _, ids = TopK(SHAPE, IDS).select(logits(full), both, 2)
    assert ids[0].tolist() == [IDS.timestamp_begin, IDS.timestamp_begin + 1]
    assert ids[1, 0] == 5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    full = np.zeros((1, IDS.n_vocab), np.float32)
    full[0, IDS.timestamp_begin] = value
    may = [Allowed(text=True, end=True, low=IDS.timestamp_begin, high=IDS.n_vocab)]
    with pytest.raises(EngineFailed, match="no numbers"), np.errstate(invalid="ignore"):
        TopK(SHAPE, IDS).select(logits(full), may, 3)


def test_filling_and_forbidden_text_are_barred() -> None:
    added = suppression_mask(SHAPE, IDS.suppressed)
    assert added.shape == (384,)
    assert np.flatnonzero(added).tolist() == [3, 17, 129, *range(300, 384)]
    assert (added[added != 0] == LEAST).all()


def test_rows_and_the_full_can_be_had() -> None:
    full = np.random.default_rng(0).normal(size=(4, IDS.n_vocab)).astype(np.float32)
    np.testing.assert_array_equal(logits(full).rows(1, 3).full(IDS.end_of_text), full[1:3])
