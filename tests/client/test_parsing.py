"""Servers' JSON: words find their segments and spaces, fields may be absent, anything else is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hearsay.client.parsing import parse_response
from hearsay.errors import (
    EngineFailed,
)

if TYPE_CHECKING:
    pass


def test_parse_answer_gives_words_their_segments_and_spaces() -> None:
    body = {
        "text": "Well, it's twenty. Good!",
        "language": "English",
        "duration": "3.5",
        "segments": [
            {"start": 0, "end": 2, "text": "Well, it's twenty.", "no_speech_prob": 0.1},
            {"start": 2, "end": 3, "text": " Good!"},
        ],
        "words": [
            {"word": "Well", "start": 0, "end": 0.5},
            {"word": "it", "start": 0.5, "end": 0.8},
            {"word": "'s", "start": 0.8, "end": 1.0},
            {"word": "20", "start": 1.0, "end": 1.9},
            {"word": "Good", "start": 2.2, "end": 2.9},
        ],
    }
    parsed = parse_response(body)
    assert [s.text for s in parsed.segments] == [" Well, it's twenty.", " Good!"]
    assert [w.text for w in parsed.segments[0].words or ()] == [" Well", " it", "'s", " 20"]
    assert [w.text for w in parsed.segments[1].words or ()] == [" Good"]
    assert parsed.language == "en" and parsed.duration == 3.5 and parsed.timed
    assert parsed.segments[0].no_speech_prob == 0.1 and parsed.segments[1].no_speech_prob is None


def test_parse_answer_believes_another_hearsay() -> None:
    segment = {"start": 0, "end": 1, "text": " a", "avg_logprob": 0.0, "temperature": 0.0}
    ours = {"model": "whisper-small", "language": None, "unknown": ["avg_logprob"], "warnings": ["cut short"]}
    parsed = parse_response({"text": "a", "language": "unknown", "segments": [segment], "x_hearsay": ours})
    assert parsed.language is None and parsed.model == "whisper-small" and parsed.warnings == ("cut short",)
    assert parsed.segments[0].avg_logprob is None and parsed.segments[0].temperature == 0.0


@pytest.mark.parametrize("body", [[], "text", {"text": None}, {"text": "a", "words": [{"word": "a"}]}])
def test_parse_answer_refuses_what_is_no_transcript(body: Any) -> None:
    with pytest.raises(EngineFailed, match="not a transcript"):
        parse_response(body)


@pytest.mark.parametrize("language", ["unknown", "elvish", "", None, 7])
def test_a_language_that_nobody_knows_is_none(language: object) -> None:
    assert parse_response({"text": "a", "language": language}).language is None


def test_words_alone_make_a_segment() -> None:
    words = [{"word": "hello", "start": 0.5, "end": 0.9}, {"word": "you", "start": 1, "end": 1.2}]
    parsed = parse_response({"text": "Hello, you.", "words": words})
    assert [(s.start, s.end, s.text) for s in parsed.segments] == [(0.5, 1.2, " Hello, you.")]
