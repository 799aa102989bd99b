"""What espeak-ng says becomes what each family of voices was taught, in utterances of a bearable length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.engines.onnx_tts.phonemes import (
    FEWEST_PHONEMES,
    MOST_PHONEMES,
    Clause,
    Spelling,
    cut,
    mark_of,
    sentences,
    spelled,
)

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz .,;:!?…—ˈɹəɪʤOIAWYQ")
LONG = "la" * FEWEST_PHONEMES


def said(*clauses: tuple[str, str], known: frozenset[str] = LETTERS) -> list[str]:
    return list(sentences([Clause(*clause) for clause in clauses], Spelling.ESPEAK, "de", known))


def test_puts_back_the_marks_that_espeak_swallows() -> None:
    assert said(("həlˈə", "Hello, d"), ("wɪ", "ill you?")) == ["həlˈə, wɪ?"]


def test_says_short_sentences_together_and_long_ones_alone() -> None:
    assert said((LONG, "L. S"), ("no", "hort. S"), ("go", "hort!")) == [f"{LONG}.", "no. go!"]


def test_leaves_out_what_the_voice_was_not_taught() -> None:
    assert said(("aøb", "x, y")) == ["ab,"]
    assert said(("øø", "x.")) == []


def test_gives_nothing_for_what_cannot_be_said() -> None:
    assert said(("", "—")) == []
    assert said(("", "...")) == []
    assert said() == []


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("Hello, D", ","),
        ("t costs $3.14 (really?)", "?"),
        ('; well: "', ":"),
        ("no” — f", "—"),
        ("fine... B", "."),
        ("你好，世", ","),
        ("界。今", "."),
        ("कैसे हो?", "?"),
        ("दुनिया। क", "."),
        ("مرحبا، ك", ","),
        ("half past 3.14", ""),
        ("nothing", ""),
        ("", ""),
    ],
)
def test_finds_the_mark_that_ends_a_clause(text: str, mark: str) -> None:
    assert mark_of(text) == mark


@pytest.mark.parametrize(
    ("phonemes", "language", "letters"),
    [
        ("həlˈo^ʊ", "en-us", "həlˈO"),
        ("həlˈə^ʊ", "en", "həlˈQ"),
        ("d^ʒˈɔ^ɪ", "en-us", "ʤˈY"),
        ("wˈɜːd", "en-us", "wˈɜɹd"),
        ("wˈɜːd", "en", "wˈɜːd"),
        ("hˈe^ə", "en", "hˈɛː"),
        ("hˈi^ə", "en", "hˈɪə"),
        ("bˈʌʔn\u0329", "en-us", "bˈʌtᵊn"),
        ("bˈɑːɾə^l", "en-us", "bˈɑɾᵊl"),
        ("dˈɑːktɚ", "en-us", "dˈɑktəɹ"),
        ("mˈut^ʃo", "es", "mˈuʧo"),
        ("pˈit^sa", "it", "pˈiʦa"),
        ("rˈɔsso", "it", "rˈɔsso"),
    ],
)
def test_writes_the_sounds_of_kokoro(phonemes: str, language: str, letters: str) -> None:
    assert spelled(phonemes, Spelling.KOKORO, language) == letters


def test_writes_for_piper_in_decomposed_letters_without_flags_of_language() -> None:
    assert spelled("ç(en)tˈɛst(de)", Spelling.ESPEAK, "de") == "c\u0327tˈɛst"


def test_writes_for_the_first_kokoro() -> None:
    assert spelled("rˈaxʲ", Spelling.KOKORO_FIRST, "en-us") == "ɹˈakj"


def test_cuts_after_a_mark_or_between_words() -> None:
    assert list(cut("aaaa bbbb, cccc dd", 16)) == ["aaaa bbbb,", "cccc dd"]
    assert list(cut("aa, bbbb cccc dddd", 16)) == ["aa, bbbb cccc", "dddd"]
    assert list(cut("a" * 40, 16)) == ["a" * 16, "a" * 16, "a" * 8]


clauses = st.builds(
    Clause, st.text(alphabet="ab ˈɪ^ø", max_size=500), st.text(alphabet="ab .,?!—", max_size=8)
)


@given(st.lists(clauses, max_size=8), st.sampled_from(Spelling), st.integers(4, MOST_PHONEMES))
def test_utterances_are_short_known_and_not_empty(found: list[Clause], spelling: Spelling, most: int) -> None:
    for utterance in sentences(found, spelling, "en-us", LETTERS, most):
        assert 0 < len(utterance) <= most
        assert set(utterance) <= LETTERS
        assert utterance == utterance.strip()


@given(st.text(alphabet="ab ,;", max_size=400), st.integers(3, 50))
def test_cutting_loses_nothing_but_spaces(phonemes: str, most: int) -> None:
    parts = list(cut(phonemes.strip(), most))
    assert "".join(parts).replace(" ", "") == phonemes.replace(" ", "")
    assert all(0 < len(part) <= most for part in parts)
