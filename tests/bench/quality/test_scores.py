"""Scores of transcripts: errors are counted, loops found, and words that only another system has."""

from __future__ import annotations

import pytest
from bench.quality.scores import Score, count_loops, right_words, score, total
from hypothesis import given
from hypothesis import strategies as st

SAID = "the child almost hurt the small dog"
texts = st.lists(st.sampled_from("abcde"), max_size=30).map(" ".join)


def test_errors_are_counted_by_kind() -> None:
    found = score(SAID, "a child almost hurt the very small", seconds=2.0)
    assert (found.substitutions, found.deletions, found.insertions, found.n_words) == (1, 1, 1, 7)
    assert found.word_errors == pytest.approx(100 * 3 / 7)
    assert (found.loops, found.without_speech, found.seconds) == (0, 0, 2.0)


def test_nothing_heard_lacks_every_word() -> None:
    found = score(SAID, "", reference=SAID)
    assert (found.deletions, found.n_right, found.missing) == (7, 7, 7)


def test_where_nothing_is_said_every_word_is_one_too_many() -> None:
    assert score("", "thank you") == Score(without_speech=2)
    assert score("", "") == Score()


def test_words_that_only_the_reference_has_are_missing() -> None:
    found = score(SAID, "the child almost hurt", reference="the chill almost hurt the small dog")
    assert (found.n_right, found.missing) == (6, 3)
    assert found.missing_share == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("heard", "said", "n_loops"),
    [
        ("and so " * 3, "and so", 1),
        ("and so " * 2, "and so", 0),
        ("ha " * 5, "", 0),
        ("ha " * 6, "", 1),
        ("a b c d e f g h i j k " * 3, "a b", 1),
        ("no no no no no no", "no no no no no no", 0),  # said so
        ("well " + "i see " * 4 + "then " + "you know " * 5, "i see", 2),
        (SAID, SAID, 0),
    ],
)
def test_loops_are_found(heard: str, said: str, n_loops: int) -> None:
    assert count_loops(heard.strip(), said) == n_loops


@given(texts, texts)
def test_what_is_right_of_a_text_is_what_is_neither_replaced_nor_left_out(said: str, heard: str) -> None:
    if said:
        found = score(said, heard)
        n_right = found.n_words - found.substitutions - found.deletions
        assert len(right_words(said, heard)) == n_right


@given(st.lists(st.tuples(texts, texts, texts), max_size=5))
def test_scores_add_up(rows: list[tuple[str, str, str]]) -> None:
    scores = [score(said, heard, reference, 1.0) for said, heard, reference in rows]
    added = total(scores)
    assert added.n_words == sum(len(said.split()) for said, _, _ in rows)
    assert added.seconds == len(rows)
    assert added.missing == sum(each.missing for each in scores) <= added.n_right
