"""Text cleaning and splitting: nothing lost, no utterance too long, no text read ahead."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.text.sentences import MAX_MARKS, clean, split_utterances

NASTY = st.text(
    st.sampled_from(
        "aB 1.,!?…:;'\"()«»\n\r\t\0\x01\x0b\x1c\x7f\x85\u00a0"
        "\u00ad\u200b\u200c\u200d\u2028\u2029\u202e\ufeff\ufe0f"
        "\ufffd\ud83d\ude00\ue000<>/&éß\u0301\u0327क्षि।किเก็ำ한ᄒ\u1161你好。、「」مرحبا؟👩🏽🇩🇪ｱﾞ\U000e0041Ａ１ﬁﱞﷺ𝓗₂ﾡﾬ"
    ),
    max_size=300,
)


def squeezed(text: str) -> str:
    return "".join(text.split())


def without_joiners(text: str) -> str:
    return squeezed(text).replace("\u200c", "").replace("\u200d", "")


def cut(text: str, *, language: str | None = "en", most: int = 400, first: int = 120) -> list[str]:
    return list(split_utterances(text, language=language, max_length=most, first_length=first))


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("plain", "plain"),
        ("caf\ud83d au lait", "caf au lait"),
        ("\ud83d\ude00", " "),
        ("\ufeffbyte order", "byte order"),
        ("a\0b\x01c", "a b c"),
        ("zero\u200bwidth, soft\u00adhyphen", "zerowidth, softhyphen"),
        ("\u202eright to left\u202c", "right to left"),
        ("one\r\ntwo\rthree\u2028four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("one\u2029two\n \n\n three", "one\n\ntwo\n\nthree"),
        ("no\u00a0break\u3000space \t tab", "no break space tab"),
        ("cafe\u0301", "café"),
        ("<speak>Hi <break time='1s'/></speak>", "<speak>Hi <break time='1s'/></speak>"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d\u200d👧", "👩\u200d👧"),
        ("a\u200db", "ab"),
        ("☀\ufe0f", "☀"),
        ("\ufffd\ue000x", " x"),
        ("１２３ Ｈｅｌｌｏ", "123 Hello"),
        ("𝓗𝓮𝓵𝓵𝓸 𝟙𝟚", "Hello 12"),
        ("oﬃce, H₂O, Ⅳ, 5 ℃", "office, H2O, IV, 5 °C"),
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("ﻣﺮﺣﺒﺎ", "مرحبا"),
        ("½ x² 3ª … ™ ！。", "½ x² 3ª … ™ ！。"),
    ],
)
def test_text_becomes_harmless(text: str, harmless: str) -> None:
    assert clean(text) == harmless


def test_a_letter_carries_a_bounded_number_of_marks() -> None:
    assert len(clean("x" + "\u0336" * 1000)) == 1 + MAX_MARKS


@given(NASTY | st.text(st.characters()))
def test_cleaning_never_raises_and_changes_nothing_twice(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    once.encode("utf-8")
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co") for c in once.replace("\n", ""))


@given(NASTY | st.text(st.characters(), max_size=200), st.integers(1, 40), st.integers(1, 40))
def test_nothing_is_lost_and_nothing_too_long(text: str, most: int, first: int) -> None:
    found = cut(text, most=most, first=first)
    assert squeezed("".join(found)) == squeezed(clean(text))
    assert all(0 < len(piece) <= most for piece in found)
    assert all(piece == " ".join(piece.split()) for piece in found)
    assert all(len(piece) <= first for piece in found[:1])


@given(st.lists(NASTY.filter(lambda part: not any("\ud800" <= c <= "\udfff" for c in part)), max_size=12))
def test_a_text_that_comes_in_parts_loses_nothing_either(parts: list[str]) -> None:
    found = list(split_utterances(iter(parts), language="de", max_length=30))
    assert without_joiners("".join(found)) == without_joiners(clean("".join(parts)))


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        (
            "en",
            "Dr. Ho came at 3.30 on Monday. “No?” he said.",
            ["Dr. Ho came at 3.30 on Monday.", "“No?” he said."],
        ),
        ("de", "So z. B. Dr. Ho. Am 3. Mai nicht!", ["So z. B. Dr. Ho.", "Am 3. Mai nicht!"]),
        ("en", "One. Two! Three?", ["One.", "Two! Three?"]),
        ("fr", "M. Dupont arrive. Puis il part.", ["M. Dupont arrive.", "Puis il part."]),
        ("es", "¿Qué tal? ¡Muy bien!", ["¿Qué tal?", "¡Muy bien!"]),
        ("zh", "你好。今天天气很好！是吗？", ["你好。", "今天天气很好！是吗？"]),
        ("ja", "今日は晴れです。明日は雨でしょう。", ["今日は晴れです。", "明日は雨でしょう。"]),
        ("hi", "यह एक वाक्य है। यह दूसरा है।", ["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("ar", "كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("no-such", "One. Two.", ["One.", "Two."]),
        (None, "One. Two.", ["One.", "Two."]),
    ],
)
def test_cuts_are_at_the_ends_of_sentences(language: str | None, text: str, sentences: list[str]) -> None:
    assert cut(text, language=language) == sentences


def test_a_paragraph_ends_a_piece_whatever_stands_at_its_end() -> None:
    assert cut("Chapter One\n\nIt was dark\nand cold. Very.\n\n\nTwo") == [
        "Chapter One",
        "It was dark and cold. Very.",
        "Two",
    ]


def test_short_sentences_are_joined_but_not_the_first() -> None:
    found = cut("So it is. " * 300, most=1000)
    assert found[0] == "So it is."
    assert len(found) == 5
    assert all(700 < len(piece) <= 800 for piece in found[1:-1])


def test_a_long_first_sentence_is_cut_at_a_clause() -> None:
    text = (
        "When the last of the guests had gone, and the lamps were out, "
        + "she sat down and wrote " * 10
        + "it."
    )
    assert cut(text)[0] == "When the last of the guests had gone, and the lamps were out,"


def test_a_clause_of_a_word_is_too_short_to_be_a_piece() -> None:
    assert cut("Oh, " + "and then " * 100)[0] == "Oh, " + " ".join(["and", "then"] * 13)


def test_without_clauses_a_cut_is_between_words() -> None:
    found = cut("word " * 200, most=99)
    assert all(piece == " ".join(["word"] * len(piece.split())) for piece in found)


def test_a_number_is_no_clause() -> None:
    assert cut("about 1,000,000 things " * 3, most=23, first=23) == ["about 1,000,000 things"] * 3


@pytest.mark.parametrize(
    "cluster",
    ["क्षि", "👩\u200d👧\u200d👦", "🇩🇪", "👍🏽", "x\u0336\u0327", "เก", "นำ", "\u1112\u1161\u11ab"],
)
def test_what_a_reader_takes_for_one_character_stays_whole(cluster: str) -> None:
    whole = clean(cluster * 100)
    for most in (10, 11, 12, 13):
        found = cut(cluster * 100, most=most, first=most)
        assert "".join(found) == whole
        assert {piece.replace(clean(cluster), "") for piece in found} == {""}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5000))
def test_the_first_piece_needs_no_more_than_it_takes(n: int) -> None:
    n_read = 0

    def lines() -> Iterator[str]:
        nonlocal n_read
        while True:
            n_read += 1
            yield "A line of a book that never ends, and that nobody has read. "

    reading = split_utterances(lines(), language="en", max_length=400)
    assert next(reading).startswith("A line")
    assert n_read == 2
    for _ in range(min(n, 50)):
        next(reading)
    assert n_read <= 60


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\0\u200b", "\ud800"])
def test_nothing_gives_no_piece(text: str) -> None:
    assert cut(text) == []


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a ",
        "A. ",
        "a\n\n",
        '"',
        "« ",
        "(",
        "。",
        "Dr. ",
        "\u0301",
        "e\u0301\u0327",
        "👩\u200d",
        "क्",
        "🇩",
        "<b>",
    ],
)
def test_hostile_text_passes_quickly(unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    begin = time.process_time()
    found = cut(text)
    assert time.process_time() - begin < 10  # a tenth of it here; anything quadratic takes minutes
    assert all(len(piece) <= 400 for piece in found)
    assert squeezed("".join(found))[-50:] == squeezed(clean(text))[-50:]


def test_memory_does_not_grow_with_the_text() -> None:
    import tracemalloc

    def book() -> Iterator[str]:
        for number in range(5_000):
            yield f"This is line {number} of a long book.\n"

    tracemalloc.start()
    n_pieces = sum(1 for _ in split_utterances(book(), language="en", max_length=400))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_pieces > 500
    assert peak < 100_000


def test_a_text_over_which_the_rules_stumble_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def stumble(language: str, text: str) -> list[str]:
        raise PanicException

    monkeypatch.setattr("sentencex.segment", stumble)
    assert cut("One. Two.") == ["One. Two."]


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(language: str, text: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("sentencex.segment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cut("One. Two.")
