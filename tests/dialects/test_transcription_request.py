"""Every spelling of a request to transcribe or translate, and what cannot be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.dialects import DIALECTS
from hearsay.dialects.dialect import Dialect
from hearsay.dialects.form_fields import FormFields
from hearsay.dialects.transcription_request import ResponseFormat, TranscriptionRequest, parse_transcription
from hearsay.domain import Chunking, Task, TranscribeOptions, VadThresholds
from hearsay.errors import InvalidRequest, UnsupportedOption

OPENAI, GROQ, TOGETHER = (DIALECTS[name] for name in ("openai", "groq", "together"))


def parse(
    *pairs: tuple[str, str], task: Task = Task.TRANSCRIBE, dialect: Dialect = OPENAI
) -> TranscriptionRequest:
    return parse_transcription(FormFields(pairs), task=task, dialect=dialect)


def test_nothing_but_defaults() -> None:
    assert parse() == TranscriptionRequest(model=None, options=TranscribeOptions())


def test_everything() -> None:
    asked = parse(
        ("model", "whisper-1"),
        ("language", "de"),
        ("prompt", " Grüße, "),
        ("response_format", "verbose_json"),
        ("temperature", "0.5"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("unknown", "ignored"),
        ("nested[a]", "1"),
    )
    assert asked == TranscriptionRequest(
        model="whisper-1",
        options=TranscribeOptions(language="de", prompt=" Grüße, ", temperature=0.5, words=True),
        response_format=ResponseFormat.VERBOSE_JSON,
    )


@pytest.mark.parametrize(
    "pairs",
    [
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word,segment")],
        [("timestamp_granularities[]", " word , segment ")],
        [("timestamp_granularities", '["word", "segment"]')],
        [("timestamp_granularities[]", '["word","segment"]')],
        [("timestamp_granularities", "[word, segment]")],
        [("timestamp_granularities", "['Word', 'Segment']")],
    ],
)
def test_granularities_in_every_spelling(pairs: list[tuple[str, str]]) -> None:
    asked = parse(("response_format", "verbose_json"), *pairs)
    assert (asked.options.words, asked.segments) == (True, True)


@pytest.mark.parametrize(
    ("dialect", "granularities", "words", "segments"),
    [
        (OPENAI, [], False, True),
        (OPENAI, ["segment"], False, True),
        (OPENAI, ["word"], True, False),
        (GROQ, ["word"], True, False),
        (TOGETHER, ["word"], True, True),
        (TOGETHER, [], False, True),
        (OPENAI, ["word", "segment"], True, True),
    ],
)
def test_segments_by_dialect(dialect: Dialect, granularities: list[str], words: bool, segments: bool) -> None:
    pairs = [("timestamp_granularities[]", item) for item in granularities]
    asked = parse(("response_format", "verbose_json"), *pairs, dialect=dialect)
    assert (asked.options.words, asked.segments) == (words, segments)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("response_format", ["json", "text", "srt", "vtt", ""])
def test_word_needs_verbose_json(dialect: Dialect, response_format: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(("response_format", response_format), ("timestamp_granularities[]", "word"), dialect=dialect)
    assert refused.value.param == "timestamp_granularities"


def test_segment_alone_needs_nothing() -> None:
    assert parse(("timestamp_granularities[]", "segment")).response_format is ResponseFormat.JSON


@pytest.mark.parametrize(
    ("pair", "param"),
    [
        (("temperature", "1.01"), "temperature"),
        (("temperature", "-0.1"), "temperature"),
        (("temperature", "nan"), "temperature"),
        (("temperature", "inf"), "temperature"),
        (("temperature", "warm"), "temperature"),
        (("temperature", "1e400"), "temperature"),
        (("response_format", "xml"), "response_format"),
        (("timestamp_granularities[]", "sentence"), "timestamp_granularities"),
        (("timestamp_granularities", '{"a": 1}'), "timestamp_granularities"),
        (("stream", "maybe"), "stream"),
        (("diarize", "maybe"), "diarize"),
        (("language", "klingonese"), "language"),
        (("include[]", "everything"), "include"),
        (("chunking_strategy", "sometimes"), "chunking_strategy"),
        (("chunking_strategy[threshold]", "0.5"), "chunking_strategy.type"),
    ],
)
def test_values_that_cannot_be_right(pair: tuple[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(pair)
    assert refused.value.param == param
    assert not isinstance(refused.value, UnsupportedOption)


@pytest.mark.parametrize(
    ("pair", "param"),
    [
        (("response_format", "diarized_json"), "response_format"),
        (("diarize", "True"), "diarize"),
        (("diarize", "1"), "diarize"),
        (("include[]", "logprobs"), "include"),
        (("include", "logprobs"), "include"),
    ],
)
def test_what_is_not_offered_is_refused(pair: tuple[str, str], param: str) -> None:
    with pytest.raises(UnsupportedOption) as refused:
        parse(pair)
    assert refused.value.param == param


@pytest.mark.parametrize(
    "pair",
    [
        ("diarize", "false"),
        ("diarize", "False"),
        ("stream", "false"),
        ("stream", "0"),
        ("language", ""),
        ("language", "auto"),
        ("response_format", ""),
        ("temperature", ""),
        ("prompt", ""),
        ("chunking_strategy", ""),
        ("timestamp_granularities", ""),
        ("timestamp_granularities", "[]"),
        ("model", ""),
    ],
)
def test_spellings_of_nothing(pair: tuple[str, str]) -> None:
    assert parse(pair) == parse()


@pytest.mark.parametrize("response_format", ["json", "text"])
@pytest.mark.parametrize("true", ["true", "True", "1", "yes"])
def test_stream(response_format: str, true: str) -> None:
    assert parse(("stream", true), ("response_format", response_format)).stream


@pytest.mark.parametrize("response_format", ["srt", "vtt", "verbose_json"])
def test_stream_gives_text_only(response_format: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(("stream", "true"), ("response_format", response_format))
    assert refused.value.param == "stream"


@pytest.mark.parametrize("text", ["de", "DE", "German", " german "])
def test_languages_by_code_and_name(text: str) -> None:
    assert parse(("language", text)).options.language == "de"


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("text", ["en", "auto", ""])
def test_translation_detects_what_is_spoken(dialect: Dialect, text: str) -> None:
    asked = parse(("language", text), task=Task.TRANSLATE, dialect=dialect)
    assert (asked.options.task, asked.options.language) == (Task.TRANSLATE, None)


def test_translation_from_a_language() -> None:
    assert parse(("language", "de"), task=Task.TRANSLATE).options.language == "de"
    for dialect in (GROQ, TOGETHER):
        with pytest.raises(InvalidRequest) as refused:
            parse(("language", "de"), task=Task.TRANSLATE, dialect=dialect)
        assert refused.value.param == "language"


def test_hints_that_change_nothing_are_told() -> None:
    asked = parse(
        ("keywords[]", "Hearsay"),
        ("known_speaker_names[]", "Ann"),
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[patience]", "0.5"),
    )
    assert len(asked.warnings) == 3
    assert "keywords" in asked.warnings[0]
    assert "chunking_strategy.patience" in asked.warnings[2]


def test_how_to_cut_a_long_recording_is_taken_over() -> None:
    options = parse(
        ("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.25")
    ).options
    assert (options.chunking, options.vad) == (Chunking.VAD, VadThresholds(threshold=0.25))
    assert parse(("chunking_strategy", "sequential")).options.chunking is Chunking.SEQUENTIAL
    assert (parse().options.chunking, parse().options.vad) == (None, None)


VALUES = st.text(max_size=30) | st.sampled_from(["[", "{", "[[", '{"a":', '["a"', "true", "1e999", "nan"])
NAMES = st.sampled_from(
    [
        "model",
        "language",
        "response_format",
        "temperature",
        "timestamp_granularities",
        "timestamp_granularities[]",
        "include",
        "stream",
        "chunking_strategy",
        "chunking_strategy[type]",
        "diarize",
        "prompt",
    ]
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_any_text_is_understood_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        asked = parse(*pairs)
    except InvalidRequest as error:
        assert error.param
    else:
        assert 0 <= asked.options.temperature <= 1
