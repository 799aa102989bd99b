"""The tree of errors: what each says by itself, and that its place, code and field are as described."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hearsay import errors
from hearsay.errors import AudioTooShort, HearsayError, InvalidAudio, InvalidRequest, Overloaded


def below(kind: type[HearsayError]) -> Iterator[type[HearsayError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from below(child)


ALL = list(below(HearsayError))


@pytest.mark.parametrize("kind", ALL)
def test_a_docstring_is_the_message(kind: type[HearsayError]) -> None:
    error = kind()
    assert error.message == str(error) == kind.__doc__
    assert kind("something else").message == "something else"


def test_codes_are_unique_and_stable_names() -> None:
    codes = [kind.code for kind in ALL]
    assert len(set(codes)) == len(ALL)
    assert all(code and re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_one_raise_may_name_its_own_field_and_code() -> None:
    error = InvalidAudio("odd", param="url", code="odd_audio")
    assert (error.param, error.code) == ("url", "odd_audio")
    assert (InvalidAudio.param, InvalidAudio.code) == ("file", "invalid_audio")
    assert InvalidAudio("odd").param == "file"


def test_a_general_fault_names_no_field() -> None:
    assert (HearsayError().param, HearsayError().code) == (None, None)
    assert InvalidRequest().param is None


def test_a_kind_has_what_it_does_not_change_from_the_kind_above() -> None:
    assert AudioTooShort().param == "file"
    assert isinstance(AudioTooShort(), InvalidRequest)


def test_overload_says_when_to_come_again() -> None:
    assert Overloaded().retry_after == 1.0
    error = Overloaded("later", retry_after=7.5, param="model", code="busy")
    assert (error.retry_after, error.param, error.code) == (7.5, "model", "busy")


def test_the_tree_that_is_drawn_is_the_tree() -> None:
    drawn: list[tuple[str, str]] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+)", line)
        if found and found[2] in vars(errors):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            drawn += [(path[depth - 1], found[2])] if depth else []
    assert sorted(drawn) == sorted((kind.__bases__[0].__name__, kind.__name__) for kind in ALL)
