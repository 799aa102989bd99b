"""Thresholds: each, together, and switched off."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.domain import DecodeSettings, Hypothesis, Segment
from hearsay.transcripts.quality import compression_ratio, flags, is_silence, needs_fallback

OFF = {"compression_ratio_threshold": None, "logprob_threshold": None, "no_speech_threshold": None}


def heard(avg_logprob: float = -0.2, no_speech_prob: float = 0.0, ratio: float = 1.0) -> Hypothesis:
    return Hypothesis((), "", avg_logprob, no_speech_prob, 0.0, ratio)


@pytest.mark.parametrize(
    ("hypothesis", "changes", "expected"),
    [
        (heard(), {}, False),
        (heard(ratio=2.4), {}, False),
        (heard(ratio=2.41), {}, True),
        (heard(ratio=9.0), {"compression_ratio_threshold": None}, False),
        (heard(-1.0), {}, False),
        (heard(-1.01), {}, True),
        (heard(-1.01), {"logprob_threshold": None}, False),
        (heard(-1.01, 0.61), {}, False),
        (heard(-1.01, 0.6), {}, True),
        (heard(-1.01, 0.61), {"no_speech_threshold": None}, True),
        (heard(-1.01, 0.61, ratio=9.0), {}, False),
        (heard(-0.2, 0.99, ratio=9.0), {}, True),
        (heard(-9.0, 0.99, ratio=9.0), OFF, False),
    ],
)
def test_what_deserves_a_higher_temperature(
    hypothesis: Hypothesis, changes: dict[str, Any], expected: bool
) -> None:
    assert needs_fallback(hypothesis, DecodeSettings(**changes)) is expected


@pytest.mark.parametrize(
    ("hypothesis", "changes", "expected"),
    [
        (heard(-1.2, 0.61), {}, True),
        (heard(-1.2, 0.6), {}, False),
        (heard(-1.0, 0.61), {}, True),
        (heard(-0.9, 0.99), {}, False),
        (heard(-0.1, 0.99), {"logprob_threshold": None}, True),
        (heard(-9.0, 0.99), {"no_speech_threshold": None}, False),
    ],
)
def test_what_is_silence(hypothesis: Hypothesis, changes: dict[str, Any], expected: bool) -> None:
    assert is_silence(hypothesis, DecodeSettings(**changes)) is expected


def test_repetition_compresses_and_prose_does_not() -> None:
    assert compression_ratio("thank you " * 40) > 2.4
    assert compression_ratio("The king buys the green boat in September.") < 1.2


def test_no_text_has_no_ratio() -> None:
    assert compression_ratio("") == 0.0


@given(st.text(min_size=1))
def test_the_ratio_counts_bytes(text: str) -> None:
    packed = len(zlib.compress(text.encode()))
    assert compression_ratio(text) * packed == pytest.approx(len(text.encode()))


def segment(text: str = " Where is the clock?", **metadata: float | None) -> Segment:
    fine = {"avg_logprob": -0.097569615, "compression_ratio": 1.6637554, "no_speech_prob": 0.012814695}
    return Segment(0.0, 4.0, text, **(fine | metadata))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, ()),
        ({"avg_logprob": -0.49}, ()),
        ({"avg_logprob": -0.5}, ("low_confidence",)),
        ({"no_speech_prob": 0.6}, ()),
        ({"no_speech_prob": 0.61}, ("likely_no_speech",)),
        ({"compression_ratio": 2.4}, ()),
        ({"compression_ratio": 2.41}, ("repetitive",)),
        ({"compression_ratio": 0.5}, ()),
        ({"compression_ratio": 0.89, "text": "x" * 100}, ("incompressible",)),
        ({"compression_ratio": 0.9, "text": "x" * 100}, ()),
        (
            {"avg_logprob": -2.0, "no_speech_prob": 0.9, "compression_ratio": 9.0},
            ("low_confidence", "likely_no_speech", "repetitive"),
        ),
        ({"avg_logprob": None, "no_speech_prob": None, "compression_ratio": None}, ()),
    ],
)
def test_what_segments_are_flagged_for(metadata: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert flags(segment(**metadata)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Where is the clock? The quick brown fox jumps over the lazy dog, and nobody saw it last Thursday.",
        "今天的天气非常好，我们决定去公园散步，然后在湖边的小餐馆吃午饭，下午再回家休息。",
        "Вчера весь день шёл дождь, поэтому я сидел дома и читал старые газеты при свете лампы.",
        "Call 5551 739 2046, extension 88 17, reference Q7ZP 4KX9 and room B612 at 09:45 on 31/12/2027 OK?",
    ],
)
def test_no_language_is_flagged_for_being_one(text: str) -> None:
    assert flags(segment(text, compression_ratio=compression_ratio(text))) == ()
