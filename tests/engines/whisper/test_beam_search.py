"""Searches over small random language models, against oracles that look at every continuation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.engines.whisper.beam_search import (
    BeamSearch,
    Sampled,
    Sampling,
    Scored,
    Search,
    max_sample_length,
)
from hearsay.errors import EngineFailed
from tests.support.ranking import best as top

N_VOCAB = 9
END = 4
"""`end_of_text`, in the middle, so that ids on both sides of it are ordinary."""

Language = Callable[[Sampled], NDArray[np.float32]]


def language(seed: int, *, ends: float = 0.0, forbids: float = 0.0) -> Language:
    """Make a model whose next token depends on all tokens before: `float32[N_VOCAB]` log probabilities."""

    def after(sampled: Sampled) -> NDArray[np.float32]:
        rng = np.random.default_rng([seed, *sampled])
        logits = rng.normal(0, 1.5, N_VOCAB)
        logits[END] += ends
        forbidden = rng.random(N_VOCAB) < forbids
        forbidden[int(rng.integers(N_VOCAB - 1)) + 1] = False
        logits[forbidden] = -np.inf
        return np.asarray(logits - np.log(np.exp(logits).sum()), dtype=np.float32)

    return after


def run(search: Search, after: Language) -> Scored:
    """Drive a search as a decoder does, with a cache that is rearranged by its steps."""
    cache: list[Sampled] = [()]
    for _ in range(1000):
        distributions = np.stack([after(row) for row in cache])
        if search.n_candidates is None:
            values, ids = distributions, np.broadcast_to(np.arange(N_VOCAB), distributions.shape)
        else:
            values, ids = top(distributions, search.n_candidates)
        step = search.advance(values, ids)
        cache = [(*cache[p], int(t)) for p, t in zip(step.parents, step.tokens, strict=True)]
        assert cache == search.sequences
        assert len(cache) <= search.width
        if search.done:
            assert not cache
            return search.best()
    raise AssertionError("the search does not end")


def beam_oracle(after: Language, width: int, limit: int, patience: float = 1.0) -> list[Scored]:
    """Search over all continuations: give the hypotheses that ended, then unfinished ones that stand in."""
    enough = round(width * patience)
    beams: list[Scored] = [((), 0.0)]
    finished: list[Scored] = []
    for _ in range(limit):
        continuations = [
            ((*tokens, token), float(np.float32(total) + after(tokens)[token]))
            for tokens, total in beams
            for token in range(N_VOCAB)
        ]
        continuations.sort(key=lambda scored: scored[1], reverse=True)
        beams = []
        ended: list[Scored] = []
        for tokens, total in continuations:
            if len(beams) == width or total == -np.inf:
                break
            (ended if tokens[-1] == END else beams).append((tokens, total))
        finished += [(tokens[:-1], total) for tokens, total in ended][: enough - len(finished)]
        if len(finished) >= enough or not beams:
            break
    return finished + beams[: max(width - len(finished), 0)]


def most_likely(hypotheses: list[Scored]) -> Scored:
    means = [total / max(len(tokens), 1) for tokens, total in hypotheses]
    return hypotheses[int(np.argmax(means))]


@given(
    seed=st.integers(0, 2**32),
    width=st.integers(1, N_VOCAB - 1),
    limit=st.integers(1, 10),
    ends=st.floats(-3, 2),
    patience=st.sampled_from([0.5, 1.0, 1.0, 2.0]),
)
def test_a_beam_finds_what_the_reference_finds(
    seed: int, width: int, limit: int, ends: float, patience: float
) -> None:
    after = language(seed, ends=ends)
    patience = max(patience, 1.0) if width == 1 else patience
    beam = BeamSearch(width, end_of_text=END, limit=limit, patience=patience)
    assert run(beam, after) == most_likely(beam_oracle(after, width, limit, patience))


@given(st.integers(0, 2**32), st.integers(1, N_VOCAB - 1), st.integers(1, 8), st.floats(0.2, 0.95))
def test_a_beam_never_takes_what_is_forbidden(seed: int, width: int, limit: int, forbids: float) -> None:
    after = language(seed, forbids=forbids)
    tokens, total = run(BeamSearch(width, end_of_text=END, limit=limit), after)
    assert (tokens, total) == most_likely(beam_oracle(after, width, limit))
    assert np.isfinite(total)


@given(st.integers(0, 2**32), st.integers(1, 12), st.floats(-3, 2))
def test_a_beam_of_one_is_greedy(seed: int, limit: int, ends: float) -> None:
    after = language(seed, ends=ends)
    sampled: Sampled = ()
    total = np.float32(0)
    while len(sampled) < limit:
        token = int(np.argmax(after(sampled)))
        total += after(sampled)[token]
        if token == END:
            break
        sampled = (*sampled, token)
    assert run(BeamSearch(1, end_of_text=END, limit=limit), after) == (sampled, float(total))


def test_a_wide_beam_finds_the_best_of_all_hypotheses() -> None:
    """No hypothesis of two tokens and an end can be missed where all pairs of tokens fit into the beam."""
    after = language(11, ends=-1.0)
    width = 4096
    pairs = [(a, b) for a in range(N_VOCAB) for b in range(N_VOCAB) if END not in (a, b)]

    def total(tokens: Sequence[int]) -> float:
        return float(sum(after(tuple(tokens[:n]))[token] for n, token in enumerate(tokens)))

    candidates: list[Scored] = [((), total([END]))]
    candidates += [((a,), total([a, END])) for a in range(N_VOCAB) if a != END]
    candidates += [(pair, total(pair)) for pair in pairs]
    beam = BeamSearch(width, end_of_text=END, limit=2)
    found = drive_with_padding(beam, after)
    expected = most_likely(candidates)
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1], abs=1e-5)


def drive_with_padding(beam: BeamSearch, after: Language) -> Scored:
    """Return candidates beyond the vocabulary, which are forbidden, as a decoder does with a wide beam."""
    while not beam.done:
        values = np.full((len(beam.sequences), beam.width + 1), -np.inf, dtype=np.float32)
        values[:, :N_VOCAB] = [after(row) for row in beam.sequences]
        beam.advance(values, np.broadcast_to(np.arange(beam.width + 1), values.shape))
    return beam.best()


def test_rows_below_those_of_the_search_are_ignored() -> None:
    after = language(3)
    lone, padded = (BeamSearch(3, end_of_text=END, limit=6) for _ in range(2))
    while not lone.done:
        values, ids = top(np.stack([after(row) for row in lone.sequences]), 4)
        below = np.full((7 - len(values), 4), 5)
        first = lone.advance(values, ids)
        second = padded.advance(
            np.concatenate([values, below.astype(np.float32)]), np.concatenate([ids, below])
        )
        np.testing.assert_array_equal(first.parents, second.parents)
        np.testing.assert_array_equal(first.tokens, second.tokens)
    assert lone.best() == padded.best()


def test_of_equals_the_first_candidate_of_the_first_row_wins() -> None:
    beam = BeamSearch(2, end_of_text=END, limit=3)
    even = np.full((2, 3), -1.0, dtype=np.float32)
    beam.advance(even, np.array([[0, 1, 2], [0, 1, 2]]))
    step = beam.advance(even, np.array([[5, 6, 7], [5, 6, 7]]))
    assert (step.parents.tolist(), step.tokens.tolist()) == ([0, 0], [5, 6])
    beam.advance(even, np.array([[1, 2, 3], [1, 2, 3]]))
    assert beam.best() == ((0, 5, 1), -3.0)


@pytest.mark.parametrize("search", ["beam", "samples"])
@pytest.mark.parametrize("values", [[np.nan, -1.0, -2.0], [-np.inf, -np.inf, -np.inf]])
def test_what_is_no_number_is_an_error(search: str, values: list[float]) -> None:
    row = np.array([values], dtype=np.float32)
    made: Search = BeamSearch(2, end_of_text=END, limit=3)
    if search == "samples":
        made = Sampling(2, 0.5, np.random.default_rng(0), end_of_text=END, limit=3)
    with pytest.raises(EngineFailed, match="no numbers"):
        made.advance(row, np.array([[0, 1, 2]]))


def test_too_few_candidates_and_odd_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="6 candidates"):
        BeamSearch(5, end_of_text=END, limit=3).advance(
            np.zeros((1, 5), np.float32), np.zeros((1, 5), np.int64)
        )
    for width, patience in ((0, 1.0), (1, 0.1)):
        with pytest.raises(ValueError, match="no beam"):
            BeamSearch(width, end_of_text=END, limit=3, patience=patience)
    with pytest.raises(ValueError, match="temperature 0"):
        Sampling(1, 0.0, np.random.default_rng(0), end_of_text=END, limit=3)
    with pytest.raises(ValueError, match="not come to its end"):
        BeamSearch(1, end_of_text=END, limit=3).best()


def samples_oracle(after: Language, samples: Sampling, rng: np.random.Generator, limit: int) -> list[Scored]:
    """Draw samples that are still open row by row, walking down the probabilities."""
    going: list[Scored] = [((), 0.0)] * samples.width
    finished: list[Scored] = []
    while going:
        points = rng.random(len(going)).tolist()
        drawn = [walk(after(tokens), point) for (tokens, _), point in zip(going, points, strict=True)]
        extended = [
            ((*tokens, token), float(np.float32(total) + after(tokens)[token]))
            for (tokens, total), token in zip(going, drawn, strict=True)
        ]
        finished += [(tokens[:-1], total) for tokens, total in extended if tokens[-1] == END]
        going = [(tokens, total) for tokens, total in extended if tokens[-1] != END]
        if going and len(going[0][0]) == limit:
            return finished + going
    return finished


TEMPERATURE = 0.6


def walk(log_probabilities: NDArray[np.float32], point: float) -> int:
    """Return the token at which the cumulated probability at the temperature passes a point."""
    weights = np.exp(log_probabilities.astype(np.float64) / TEMPERATURE)
    shares = (weights / weights.sum()).tolist()
    for token, share in enumerate(shares):
        point -= share
        if point < 0:
            return token
    raise AssertionError("the probabilities do not sum to one")


@given(seed=st.integers(0, 2**32), best_of=st.integers(1, 6), limit=st.integers(1, 10), ends=st.floats(-3, 2))
def test_the_most_likely_sample_wins(seed: int, best_of: int, limit: int, ends: float) -> None:
    after = language(seed, ends=ends, forbids=0.3)
    samples = Sampling(best_of, TEMPERATURE, np.random.default_rng(seed), end_of_text=END, limit=limit)
    drawn = samples_oracle(after, samples, np.random.default_rng(seed), limit)
    assert run(samples, after) == most_likely(drawn)


@pytest.mark.parametrize("temperature", [0.4, 1.0])
def test_samples_follow_the_distribution_at_the_temperature(temperature: float) -> None:
    """The first tokens of many samples, and the second ones of those that went on with the same token."""
    after = language(5, forbids=0.2)
    many = 40_000
    samples = Sampling(many, temperature, np.random.default_rng(9), end_of_text=END, limit=9)
    for _ in range(2):
        prefix, n = Counter(samples.sequences).most_common(1)[0]
        n = n if prefix else many
        values = np.stack([after(row) for row in samples.sequences])
        step = samples.advance(values, np.broadcast_to(np.arange(N_VOCAB), values.shape))
        counts = Counter(row[-1] for row in samples.sequences if row[:-1] == prefix)
        weights = np.exp(after(prefix).astype(np.float64) / temperature)
        shares = weights / weights.sum()
        for token in set(range(N_VOCAB)) - {END}:
            deviation = np.sqrt(shares[token] * (1 - shares[token]) / n)
            assert abs(counts[token] / n - shares[token]) <= 4 * deviation
        assert len(step.tokens) == len(samples.sequences) < many


@pytest.mark.parametrize(
    ("n_text_ctx", "n_prompt", "limit"), [(448, 3, 224), (448, 225, 224), (448, 227, 222), (64, 4, 32)]
)
def test_the_decoder_has_room_for_all_that_is_sampled(n_text_ctx: int, n_prompt: int, limit: int) -> None:
    """The last token sampled takes no position: nothing is asked after it."""
    assert max_sample_length(n_text_ctx, n_prompt) == limit
    assert n_prompt + limit - 1 <= n_text_ctx
