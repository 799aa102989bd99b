"""How long recordings are cut: every spelling of the wish, and every number that cannot be right."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.dialects.form_fields import FormFields, flatten
from hearsay.dialects.transcription_request import LIMITS, NAME, ChunkingOptions, parse_chunking
from hearsay.domain import Chunking, VadThresholds
from hearsay.errors import InvalidRequest

SENSITIVE = VadThresholds(threshold=0.3, min_silence=0.5, padding=0.1)
WRONG: tuple[object, ...] = ("x", "nan", "inf", True, [])
NUMBERS = {"threshold": 0.3, "silence_duration_ms": 500, "prefix_padding_ms": 100}


def parse(*pairs: tuple[str, str]) -> ChunkingOptions:
    return parse_chunking(FormFields(pairs))


def test_the_usual_numbers_are_the_vendors_but_for_the_threshold() -> None:
    usual = {"threshold": 0.15, "silence_duration_ms": 200, "prefix_padding_ms": 300}
    spelt = parse((NAME, json.dumps({"type": "server_vad"} | usual)))
    assert spelt == parse((NAME, '{"type": "server_vad"}')) == ChunkingOptions(Chunking.VAD, VadThresholds())


@pytest.mark.parametrize("text", ["", " "])
def test_saying_nothing_leaves_it_to_the_operator(text: str) -> None:
    assert parse((NAME, text)) == parse() == ChunkingOptions(None, None)


@pytest.mark.parametrize(
    ("text", "chunking", "vad"),
    [
        ("auto", Chunking.VAD, None),
        (" Auto ", Chunking.VAD, None),
        ("server_vad", Chunking.VAD, VadThresholds()),
        ("sequential", Chunking.SEQUENTIAL, None),
        ('{"type": "auto"}', Chunking.VAD, None),
        ('{"type": "sequential"}', Chunking.SEQUENTIAL, None),
    ],
)
def test_words(text: str, chunking: Chunking, vad: VadThresholds | None) -> None:
    assert parse((NAME, text)) == ChunkingOptions(chunking, vad)


def test_an_object_in_brackets_as_json_or_in_a_json_body() -> None:
    whole = {"type": "server_vad"} | NUMBERS
    wanted = ChunkingOptions(Chunking.VAD, SENSITIVE)
    assert parse((NAME, json.dumps(whole))) == wanted
    assert parse(*((f"{NAME}[{key}]", str(value)) for key, value in whole.items())) == wanted
    assert parse_chunking(FormFields(flatten({NAME: whole}))) == wanted


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_left_out_or_null_is_the_usual_one(key: str) -> None:
    rest = {name: value for name, value in NUMBERS.items() if name != key}
    usual = parse((NAME, json.dumps({"type": "server_vad"} | rest)))
    assert usual == parse((NAME, json.dumps({"type": "server_vad", key: None} | rest)))
    assert usual == parse_chunking(FormFields(flatten({NAME: {"type": "server_vad", key: None} | rest})))
    assert usual.vad != SENSITIVE


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("sometimes", NAME),
        ("[1]", NAME),
        ("{", NAME),
        ("{}", NAME),
        ('{"threshold": 0.5}', f"{NAME}.type"),
        ('{"type": "magic"}', f"{NAME}.type"),
        *(
            (json.dumps({"type": "server_vad", key: value}), f"{NAME}.{key}")
            for key, most in LIMITS.items()
            for value in (*WRONG, -0.001, most * 1.001)
        ),
    ],
)
def test_what_cannot_be_right_is_named(text: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse((NAME, text))
    assert refused.value.param == param
    assert param in refused.value.message or NAME in refused.value.message


def test_parts_that_nobody_knows_are_told() -> None:
    wish = parse((NAME, '{"type": "server_vad", "treshold": 0.3, "create_response": true}'))
    assert wish.vad == VadThresholds()
    assert [warning.split()[0] for warning in wish.warnings] == [
        f"{NAME}.create_response",
        f"{NAME}.treshold",
    ]
    assert parse((NAME, '{"type": "auto", "threshold": 0.3}')).warnings


@given(
    st.fixed_dictionaries(
        {"type": st.just("server_vad")},
        optional={key: st.floats(0, most) for key, most in LIMITS.items()},
    )
)
def test_every_number_in_range_is_taken_over_in_seconds(settings: dict[str, object]) -> None:
    vad = parse((NAME, json.dumps(settings))).vad
    assert vad is not None
    usual = VadThresholds()
    assert vad.threshold == settings.get("threshold", usual.threshold)
    assert vad.min_silence == pytest.approx(settings.get("silence_duration_ms", 200.0) / 1000)  # type: ignore[operator]
    assert vad.padding == pytest.approx(settings.get("prefix_padding_ms", 300.0) / 1000)  # type: ignore[operator]
