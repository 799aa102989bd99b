"""Raw aligned words become the words of segments; the window loop's tests compare them with the reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.domain import AlignedWord, Segment, Word
from hearsay.engines.whisper.word_timestamps import (
    attach_words,
    last_word_end,
    median_duration,
    merge_punctuation,
    shorten_at_sentence_ends,
)


def word(text: str, start: float = 0.0, end: float = 0.2) -> AlignedWord:
    return AlignedWord(text, 1, start, end, 0.5)


def texts(*pieces: str) -> list[str]:
    return [w.text for w in merge_punctuation([word(piece) for piece in pieces])]


TEXTS = st.lists(
    st.sampled_from([" a", " b", "c", ",", ".", ' "', '"', " (", ")", " -", " ¿", "?", " "]), max_size=12
)


@pytest.mark.parametrize(
    ("pieces", "merged"),
    [
        ([" yes", ",", " no", "."], [" yes,", " no."]),
        ([' "', "Yes", "!", '"'], [' "Yes!"']),
        ([" ¿", "qué", "?"], [" ¿qué?"]),
        ([" (", ' "', "a"], [' ( "a']),
        ([" a", '"'], [' a"']),
        ([".", " a"], [".", " a"]),
        ([" a", " ("], [" a", " ("]),
        ([], []),
    ],
)
def test_punctuation_joins_the_word_that_it_belongs_to(pieces: list[str], merged: list[str]) -> None:
    assert texts(*pieces) == merged


@given(TEXTS)
def test_merging_loses_neither_text_nor_tokens(pieces: list[str]) -> None:
    merged = merge_punctuation([word(piece) for piece in pieces])
    assert "".join(w.text for w in merged) == "".join(pieces)
    assert sum(w.n_tokens for w in merged) == len(pieces)


def test_the_usual_duration_is_the_median_of_words_that_have_one() -> None:
    assert median_duration([word("a", 0, 0.2), word("b", 1, 1), word("c", 1, 1.4)]) == pytest.approx(0.3)
    assert median_duration([word("a", 0, 9)]) == 0.7
    assert median_duration([]) == 0.0


def test_words_after_a_full_stop_do_not_swallow_the_pause() -> None:
    words = [word(" a", 0, 0.2), word(".", 0.2, 3.0), word(" b", 3.0, 6.0)]
    shortened = shorten_at_sentence_ends(words, 0.2)
    edges = [edge for w in shortened for edge in (w.start, w.end)]
    assert edges == pytest.approx([0.0, 0.2, 0.2, 0.6, 5.6, 6.0])


def test_segments_take_their_words_and_follow_their_edges() -> None:
    segments = [Segment(10.0, 11.0, ""), Segment(11.0, 12.0, "")]
    words = [word(" a", 0.1, 0.3), word(" b", 0.3, 0.5), word(" c", 1.1, 1.3)]
    first, second = attach_words(segments, [2, 1], words, offset=10.0, spoken=9.9)
    assert first.words == (Word(10.1, 10.3, " a", 0.5), Word(10.3, 10.5, " b", 0.5))
    assert (first.start, first.end) == (10.1, 10.5)
    assert (second.start, second.end) == (11.1, 11.3)


def test_segments_without_text_have_no_words_and_keep_their_edges() -> None:
    (segment,) = attach_words([Segment(1.0, 2.0, "")], [0], [], offset=0.0, spoken=0.0)
    assert (segment.start, segment.end, segment.words) == (1.0, 2.0, ())


def test_a_first_word_that_swallowed_a_pause_is_shortened() -> None:
    words = [word(" a", 0.0, 5.0), word(" b", 5.0, 5.2), word(" c", 5.2, 5.4)]
    (segment,) = attach_words([Segment(0.0, 5.4, "")], [3], words, offset=0.0, spoken=0.0)
    assert segment.words is not None
    assert segment.words[0].start == pytest.approx(4.6)
    assert segment.start == segment.words[0].start


@given(
    st.lists(st.tuples(st.sampled_from([" a", ",", "."]), st.floats(0, 5)), max_size=12),
    st.integers(0, 12),
)
def test_words_stay_in_order_and_inside_their_segment(pieces: list[tuple[str, float]], split: int) -> None:
    words, now = [], 0.0
    for text, length in pieces:
        words.append(word(text, now, now + length))
        now += length
    n_first = min(split, len(words))
    segments = [Segment(0.0, now / 2, ""), Segment(now / 2, now, "")]
    for segment in attach_words(segments, [n_first, len(words) - n_first], words, offset=0.0, spoken=0.0):
        for timed in segment.words or ():
            assert timed.start <= timed.end
            assert segment.start <= timed.start + 0.71
            assert timed.end <= segment.end + 0.71


def test_the_last_word_ends_where_the_last_segment_with_words_does() -> None:
    spoken = Segment(0.0, 9.0, "", words=(Word(0.0, 1.5, " a"),))
    assert last_word_end([spoken, Segment(9.0, 12.0, "", words=())]) == 1.5
    assert last_word_end([Segment(0.0, 3.0, "", words=())]) == 3.0
    assert last_word_end([]) is None
