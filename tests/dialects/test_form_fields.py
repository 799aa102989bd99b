"""Text fields in every spelling of lists, objects, flags and numbers."""

from __future__ import annotations

import pytest

from hearsay.dialects.form_fields import FormFields, flatten
from hearsay.errors import InvalidRequest


def test_flatten() -> None:
    assert flatten({"a": 1, "b": [1, "x", None], "c": {"d": True, "g": None}, "e": None, "f": 0.5}) == [
        ("a", "1"),
        ("b[]", "1"),
        ("b[]", "x"),
        ("b[]", "null"),
        ("c[d]", "true"),
        ("f", "0.5"),
    ]


def test_the_last_of_several_values_counts() -> None:
    assert FormFields([("a", "1"), ("a", "2"), ("a", " ")]).one("a") == "2"


@pytest.mark.parametrize(
    ("pairs", "items"),
    [
        ([("a", "1"), ("a[]", " 2 ")], ["1", "2"]),
        ([("a", "1, ,2")], ["1", "2"]),
        ([("a", '["x, y", 2, null]')], ["x, y", "2", "null"]),
        ([("a", "['x', y]")], ["x", "y"]),
        ([("a", "[]")], []),
        ([("b", "1")], []),
    ],
)
def test_lists(pairs: list[tuple[str, str]], items: list[str]) -> None:
    assert FormFields(pairs).many("a") == items


def test_objects_in_brackets_and_as_json() -> None:
    fields = FormFields([("a[x]", "1"), ("a", '{"y": 2, "z": null, "x": "3"}'), ("a[]", "4"), ("ab[x]", "5")])
    assert fields.mapping("a") == {"x": "1"}, "the last value of the name is no object"
    assert FormFields(fields.pairs[:2]).mapping("a") == {"x": "3", "y": "2"}
    for text in ("{", '{"a"}'):
        with pytest.raises(InvalidRequest) as refused:
            FormFields([("a", text)]).mapping("a")
        assert refused.value.param == "a"


@pytest.mark.parametrize(
    ("text", "flag"), [("TRUE", True), ("1", True), ("on", True), ("no", False), (" ", False)]
)
def test_flags(text: str, flag: bool) -> None:
    assert FormFields([("a", text)]).flag("a") is flag
    assert FormFields().flag("a") is False


def test_numbers() -> None:
    assert FormFields([("a", " 1e-3 ")]).number("a") == 0.001
    assert FormFields().number("a") is None


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "x" * 100, "0x1"])
def test_what_is_neither_a_flag_nor_a_number(text: str) -> None:
    fields = FormFields([("a", text)])
    for read in (fields.flag, fields.number):
        with pytest.raises(InvalidRequest) as refused:
            read("a")
        assert refused.value.param == "a"
        assert len(refused.value.message) < 100
