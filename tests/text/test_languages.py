"""Languages: every spelling of a code or name, and help for those that are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.errors import InvalidRequest
from hearsay.text import languages


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        (" English ", "en"),
        ("en-US", "en"),
        ("pt_br", "pt"),
        ("zh-Hant-TW", "zh"),
        ("castilian", "es"),
        ("Mandarin", "zh"),
        ("Haitian Creole", "ht"),
        ("yue", "yue"),
        ("nb-NO", "no"),
        ("iw", "he"),
        ("jv", "jw"),
        ("auto", None),
        ("", None),
        ("  ", None),
        ("AUTO", None),
    ],
)
def test_every_spelling_is_understood(text: str, code: str | None) -> None:
    assert languages.parse(text) == code


@given(st.sampled_from(sorted(languages.NAMES)))
def test_codes_and_names_lead_to_each_other(code: str) -> None:
    assert languages.parse(code) == code
    assert languages.parse(languages.name(code)) == code
    assert languages.parse(languages.name(code).title()) == code


def test_aliases_lead_to_known_codes_and_hide_none() -> None:
    assert set(languages.ALIASES.values()) <= set(languages.NAMES)
    assert not set(languages.ALIASES) & (set(languages.NAMES) | set(languages.NAMES.values()))


@pytest.mark.parametrize(
    ("text", "near"), [("englsh", "'english'"), ("germn", "'german'"), ("xx", "ISO 639-1")]
)
def test_unknown_languages_come_with_the_nearest(text: str, near: str) -> None:
    with pytest.raises(InvalidRequest, match=near) as caught:
        languages.parse(text)
    assert caught.value.param == "language"
    assert text in caught.value.message


@given(st.text())
def test_any_text_is_a_language_or_an_invalid_request(text: str) -> None:
    try:
        code = languages.parse(text)
    except InvalidRequest:
        return
    assert code is None or code in languages.NAMES


def test_long_texts_are_refused_without_being_searched() -> None:
    begin = time.process_time()
    with pytest.raises(InvalidRequest, match="no language '----") as caught:
        languages.parse("-" * 1_000_000 + "!")
    assert time.process_time() - begin < 1.0
    assert len(caught.value.message) < 200


def test_a_code_without_a_name_is_its_own() -> None:
    assert languages.name("tlh") == "tlh"
    assert languages.name("de") == "german"
