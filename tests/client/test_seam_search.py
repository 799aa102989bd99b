"""Where two hypotheses of one overlap are joined: by times and words, by text alone, by time alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.client.seam_search import find_seam, is_unspaced, tokenize
from hearsay.domain import Segment, Word


def timed(text: str, start: float, *, step: float = 0.5) -> Segment:
    """Make a segment in which every word takes half a second."""
    words = tuple(
        Word(start + i * step, start + (i + 1) * step, f" {word}") for i, word in enumerate(text.split())
    )
    return Segment(start, words[-1].end, f" {text}", words=words)


def joined(left: list[Segment], right: list[Segment], overlap: tuple[float, float]) -> str:
    """Return the text on either side of the seam, a bar between them."""
    ours, theirs = tokenize(left), tokenize(right)
    keep, skip = find_seam(left, ours, right, theirs, overlap)
    return "".join([*(t.text for t in ours[:keep]), " |", *(t.text for t in theirs[skip:])])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("語", True),
        ("かな", True),
        ("ไทย", True),
        ("word", False),
        ("да", False),
        (" 語", False),
        ("", False),
    ],
)
def test_scripts_without_spaces(text: str, expected: bool) -> None:
    assert is_unspaced(text) is expected


def test_tokens_have_the_times_of_their_words() -> None:
    tokens = tokenize([timed("Well, it is", 2.0)])
    assert [(token.text, token.key) for token in tokens] == [(" Well,", "well"), (" it", "it"), (" is", "is")]
    assert [(token.start, token.end, token.slack) for token in tokens] == [
        (2.0, 2.5, 0.0),
        (2.5, 3.0, 0.0),
        (3.0, 3.5, 0.0),
    ]
    assert [len(token.words) for token in tokens] == [1, 1, 1]


def test_without_word_times_they_are_estimated_and_least_certain_in_the_middle() -> None:
    tokens = tokenize([Segment(0.0, 10.0, "one two six ten")])
    assert "".join(token.text for token in tokens) == "one two six ten"
    assert tokens[0].start == 0.0
    assert tokens[-1].end == pytest.approx(10.0)
    assert tokens[0].slack < tokens[1].slack
    assert tokens[-1].slack < tokens[2].slack


def test_a_script_without_spaces_is_taken_letter_by_letter() -> None:
    assert [token.text for token in tokenize([Segment(0.0, 3.0, "日本語。")])] == ["日", "本", "語。"]


def test_words_that_are_not_in_the_text_are_not_believed() -> None:
    segment = Segment(0.0, 2.0, " twenty one", words=(Word(0.0, 1.0, " 20"), Word(1.0, 2.0, " one")))
    assert [token.text for token in tokenize([segment])] == [" twenty", " one"]
    assert all(token.slack > 0 for token in tokenize([segment]))


@given(st.lists(st.tuples(st.text(" ab,.語かไé\n", max_size=12), st.booleans()), max_size=4))
def test_tokens_together_are_the_text(parts: list[tuple[str, bool]]) -> None:
    segments = [
        timed(text, 10.0 * i) if is_timed and text.split() else Segment(10.0 * i, 10.0 * i + 5, text)
        for i, (text, is_timed) in enumerate(parts)
    ]
    assert "".join(token.text for token in tokenize(segments)) == "".join(s.text for s in segments)


def test_the_seam_lies_in_words_that_both_heard() -> None:
    left, right = [timed("a b c d e f", 0.0)], [timed("c d e f g h", 1.0)]
    assert joined(left, right, (1.0, 3.0)).replace(" |", "") == " a b c d e f g h"


def test_a_word_that_only_one_side_garbled_is_taken_from_the_other() -> None:
    left, right = [timed("a b c d e uh", 0.0)], [timed("uh d e f g h", 1.0)]
    assert joined(left, right, (1.0, 3.0)).replace(" |", "") == " a b c d e f g h"


def test_case_and_marks_make_no_other_word() -> None:
    left, right = [timed("so we go. And Then", 0.0)], [timed("go and then home", 1.0)]
    assert joined(left, right, (1.0, 2.5)).replace(" |", "").casefold().replace(".", "") == (
        " so we go and then home"
    )


def test_equal_words_at_other_times_are_other_words() -> None:
    left, right = [timed("no no no no no no", 0.0)], [timed("no no no no no no", 2.0)]
    assert joined(left, right, (2.0, 3.0)).count("no") == 10


def test_text_alone_is_joined_where_it_is_equal() -> None:
    left = [Segment(0.0, 20.0, "one two three four five six seven")]
    right = [Segment(15.0, 40.0, "five six seven eight nine ten")]
    whole = "one two three four five six seven eight nine ten"
    assert joined(left, right, (15.0, 20.0)).replace(" |", "") == whole


def test_text_alone_without_anything_equal_is_kept_whole() -> None:
    left, right = [Segment(0.0, 20.0, "one two three")], [Segment(15.0, 40.0, " four five six")]
    assert joined(left, right, (15.0, 20.0)) == "one two three | four five six"


def test_times_alone_cut_between_words() -> None:
    left, right = [timed("a b c d", 0.0)], [timed("w x y z", 1.0)]
    text = joined(left, right, (1.0, 2.0))
    assert text.startswith(" a b") and text.endswith("y z")
    assert len(text.replace("|", "").split()) == 6


@pytest.mark.parametrize(("left", "right"), [([], [timed("a b", 0.0)]), ([timed("a b", 0.0)], []), ([], [])])
def test_where_one_side_heard_nothing_all_of_the_other_is_kept(
    left: list[Segment], right: list[Segment]
) -> None:
    assert joined(left, right, (0.0, 1.0)).replace(" |", "") == "".join(s.text for s in (*left, *right))
