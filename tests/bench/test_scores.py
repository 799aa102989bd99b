"""Figures of a measurement follow from what was noted."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.recordings import Recording
from bench.scores import Score, plain, table

A, B = Path("a.wav"), Path("b.wav")
SAID = [Recording(A, 3.0, "en", "One two three four."), Recording(B, 4.0, "es", "¿Dónde está él?")]


def noted(*answers: tuple[Path, float, str]) -> Score:
    score = Score("somebody")
    for path, seconds, text in answers:
        score.add(path, seconds, text)
    return score


def test_word_errors_are_counted_over_all_answers_without_case_and_punctuation() -> None:
    perfect = noted((A, 1.0, "one, two three FOUR"), (B, 1.0, "dónde está él"))
    assert perfect.word_errors(SAID) == 0.0
    # One word of four wrong in the second answer to A: 1 of 4 + 4 + 3 words.
    worse = noted((A, 1.0, "One two three four."), (A, 1.0, "one two tree four"), (B, 1.0, "Dónde está él"))
    assert worse.word_errors(SAID) == pytest.approx(100 / 11)


def test_agreement_is_letter_by_letter() -> None:
    score = noted((A, 1.0, "One."), (A, 1.0, "one."), (B, 1.0, "Two."), (B, 1.0, "Two."))
    assert score.agreement({A: "One.", B: "Two."}) == 75.0


def test_medians_and_percentiles() -> None:
    score = noted(*((A, seconds, "") for seconds in (1.0, 2.0, 3.0, 4.0, 10.0)))
    score.rounds = [3.0, 1.0, 2.0]
    assert score.median == 2.0
    assert score.latency(50) == 3.0
    assert score.latency(100) == 10.0


def test_plain_keeps_letters_of_any_language() -> None:
    assert plain("¿Dónde está? Übung, 3!") == "dónde está übung 3"


def test_a_table_has_columns_and_remarks_across() -> None:
    text = table(("", "s"), [["us", "1.0"], ["them", "12.0"], ["  a remark that is long"]])
    assert text.splitlines() == [
        "         s",
        "----  ----",
        "us     1.0",
        "them  12.0",
        "  a remark that is long",
    ]
