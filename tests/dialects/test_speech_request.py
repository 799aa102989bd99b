"""Every spelling of a request for speech, and what hostile ones come to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.dialects import DIALECTS, choose
from hearsay.dialects.dialect import Dialect
from hearsay.dialects.speech_request import FORMATS, Framing, SpeechRequest, parse_speech
from hearsay.errors import InvalidRequest, UnsupportedOption
from hearsay.media.formats import AudioFormat, Container, Encoding

OPENAI, GROQ, TOGETHER = (DIALECTS[name] for name in ("openai", "groq", "together"))
TOGETHER_1 = choose(aliased=False, user_agent="Together/v1 PythonBindings/1.6.0", named=None)
HELLO = {"model": "tts-1", "input": "Hello.", "voice": "anna"}


def parse(dialect: Dialect = OPENAI, /, **fields: Any) -> SpeechRequest:
    return parse_speech({**HELLO, **fields}, dialect=dialect, max_characters=100)


def refused(dialect: Dialect = OPENAI, /, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(dialect, **fields)
    return caught.value


def sound(container: Container, rate: int, **rest: Any) -> AudioFormat:
    return AudioFormat(container, rate, **rest)


def test_the_least() -> None:
    asked = parse()
    assert asked == SpeechRequest(
        text="Hello.",
        model="tts-1",
        voice="anna",
        vendor_voice=None,
        language=None,
        speed=1.0,
        format=sound(Container.MP3, 24_000),
        media_type="audio/mpeg",
    )


def test_nulls_are_absent() -> None:
    names = ("model", "response_format", "sample_rate", "speed", "stream", "stream_format", "instructions")
    assert parse(**dict.fromkeys((*names, "unheard_of"))) == parse(model="")


@pytest.mark.parametrize(
    ("dialect", "named", "wanted", "media_type"),
    [
        (OPENAI, None, sound(Container.MP3, 24_000), "audio/mpeg"),
        (OPENAI, "mp3", sound(Container.MP3, 24_000), "audio/mpeg"),
        (OPENAI, "Opus", sound(Container.OPUS, 24_000), "audio/ogg"),
        (OPENAI, "aac", sound(Container.AAC, 24_000), "audio/aac"),
        (OPENAI, "flac", sound(Container.FLAC, 24_000), "audio/flac"),
        (OPENAI, " WAV ", sound(Container.WAV, 24_000), "audio/wav"),
        (OPENAI, "pcm", sound(Container.RAW, 24_000), "audio/pcm"),
        (OPENAI, "ogg", sound(Container.OGG, 24_000), "audio/ogg"),
        (OPENAI, "raw", sound(Container.RAW, 24_000), "application/octet-stream"),
        (GROQ, None, sound(Container.MP3, 48_000), "audio/mpeg"),
        (GROQ, "flac", sound(Container.FLAC, 48_000), "audio/flac"),
        (GROQ, "ogg", sound(Container.OGG, 48_000), "audio/ogg"),
        (GROQ, "wav", sound(Container.WAV, 48_000), "audio/wav"),
        (
            GROQ,
            "mulaw",
            sound(Container.RAW, 48_000, encoding=Encoding.MULAW),
            "application/octet-stream",
        ),
        (TOGETHER, None, sound(Container.WAV, 24_000), "audio/wav"),
        (TOGETHER, "mp3", sound(Container.MP3, 24_000), "audio/mpeg"),
        (TOGETHER, "raw", sound(Container.RAW, 24_000), "application/octet-stream"),
        (TOGETHER, "flac", sound(Container.FLAC, 24_000), "application/octet-stream"),
        (TOGETHER, "pcm", sound(Container.RAW, 24_000), "application/octet-stream"),
    ],
)
def test_formats(dialect: Dialect, named: str | None, wanted: AudioFormat, media_type: str) -> None:
    asked = parse(dialect, response_format=named)
    assert (asked.format, asked.media_type, asked.warnings) == (wanted, media_type, ())


def test_mulaw_at_the_rate_of_telephones_has_a_name() -> None:
    asked = parse(GROQ, response_format="mulaw", sample_rate=8000)
    assert asked.format == sound(Container.RAW, 8000, encoding=Encoding.MULAW)
    assert asked.media_type == "audio/basic"


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("named", ["flac", "mp3", "mulaw", "ogg", "wav"])
def test_every_rate_that_the_vendor_lists_is_to_be_had(rate: int, named: str) -> None:
    assert parse(GROQ, response_format=named, sample_rate=rate).format.sample_rate == rate


@pytest.mark.parametrize("rate", [7999, 0, -1, 48_001, 1e308, 10**400, 1.5, "many", True, [], float("inf")])
def test_rates_that_cannot_be(rate: Any) -> None:
    assert refused(response_format="wav", sample_rate=rate).param == "sample_rate"


def test_a_rate_that_a_container_cannot_hold() -> None:
    error = refused(response_format="mp3", sample_rate=10_000)
    assert isinstance(error, UnsupportedOption)
    assert "8000, 11025, 12000" in error.message


@pytest.mark.parametrize("dialect", [OPENAI, TOGETHER])
@pytest.mark.parametrize("named", ["wav", "raw", "pcm"])
@pytest.mark.parametrize("encoding", list(Encoding))
def test_encodings_of_samples(dialect: Dialect, named: str, encoding: Encoding) -> None:
    asked = parse(dialect, response_format=named, response_encoding=encoding.value)
    assert asked.format.encoding is encoding
    assert (asked.media_type == "audio/pcm") == (
        named == "pcm" and encoding is Encoding.PCM_S16LE and dialect is OPENAI
    )
    assert asked.warnings == ()


@pytest.mark.parametrize(
    ("named", "encoding"),
    [("wav", Encoding.PCM_S16LE), ("mp3", Encoding.PCM_S16LE), ("raw", Encoding.PCM_F32LE)],
)
def test_what_a_client_sends_by_itself_says_nothing_but_of_bare_samples(
    named: str, encoding: Encoding
) -> None:
    sent = {"language": "en", "response_encoding": "pcm_f32le", "sample_rate": 24_000, "stream": False}
    asked = parse(TOGETHER_1, response_format=named, **sent)
    assert (asked.format.encoding, asked.language, asked.warnings) == (encoding, None, ())
    assert parse(TOGETHER, **sent).language == "en"
    assert parse(TOGETHER, response_format="wav", **sent).format.encoding is Encoding.PCM_F32LE
    assert (
        parse(TOGETHER_1, response_format="wav", response_encoding="pcm_alaw").format.encoding == "pcm_alaw"
    )
    assert parse(TOGETHER_1, language="de").language == "de"


@pytest.mark.parametrize("named", ["mp3", "mulaw", "flac"])
def test_an_encoding_without_effect_is_told(named: str) -> None:
    [warning] = parse(response_format=named, response_encoding="pcm_f32le").warnings
    assert "response_encoding" in warning


@pytest.mark.parametrize("bit_rate", [32_000, 64_000, 96_000, 128_000, 192_000])
def test_every_bit_rate_that_the_vendor_lists_is_to_be_had(bit_rate: int) -> None:
    asked = parse(TOGETHER, response_format="mp3", bit_rate=bit_rate)
    assert asked.format.bit_rate == bit_rate
    assert asked.format.sample_rate == (24_000 if bit_rate < 192_000 else 32_000)


def test_bit_rates_that_cannot_be() -> None:
    assert refused(bit_rate=192_000, sample_rate=24_000).param == "bit_rate"
    assert refused(bit_rate=1).param == "bit_rate"
    assert refused(bit_rate=1e300).param == "bit_rate"
    [warning] = parse(response_format="wav", bit_rate=64_000).warnings
    assert "bit_rate" in warning


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "empty_string"),
        ({"input": " \n\t"}, "input", "empty_string"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": ["Hello."]}, "input", "invalid_type"),
        ({"input": "a" * 101}, "input", "string_above_max_length"),
        ({"voice": None}, "voice", "missing_required_parameter"),
        ({"voice": "  "}, "voice", "missing_required_parameter"),
        ({"voice": 5}, "voice", "invalid_type"),
        ({"voice": []}, "voice", "invalid_type"),
        ({"voice": {}}, "voice", "invalid_type"),
        ({"voice": {"id": 5}}, "voice", "invalid_type"),
        ({"voice": {"id": None}}, "voice", "invalid_type"),
        ({"voice": "v" * 100_000}, "voice", "invalid_request"),
        ({"model": 5}, "model", "invalid_type"),
        ({"model": "m" * 1000}, "model", "invalid_request"),
        ({"response_format": "mp4"}, "response_format", "invalid_request"),
        ({"response_format": 3}, "response_format", "invalid_type"),
        ({"response_encoding": "pcm_s24le"}, "response_encoding", "invalid_request"),
        ({"speed": 0.2}, "speed", "invalid_request"),
        ({"speed": 5.1}, "speed", "invalid_request"),
        ({"speed": 1e308}, "speed", "invalid_request"),
        ({"speed": 10**400}, "speed", "invalid_request"),
        ({"speed": float("nan")}, "speed", "invalid_request"),
        ({"speed": "fast"}, "speed", "invalid_request"),
        ({"speed": True}, "speed", "invalid_type"),
        ({"speed": {"x": 1}}, "speed", "invalid_type"),
        ({"stream": "maybe"}, "stream", "invalid_request"),
        ({"stream": 2}, "stream", "invalid_request"),
        ({"stream": []}, "stream", "invalid_request"),
        ({"stream_format": "ws"}, "stream_format", "invalid_request"),
        ({"instructions": 1}, "instructions", "invalid_type"),
        ({"language": "elvish of the woods"}, "language", "invalid_language"),
        ({"language": 7}, "language", "invalid_type"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str, code: str) -> None:
    error = refused(**fields)
    assert (error.param, error.code) == (param, code)
    assert len(error.message) < 400


def test_too_long_names_both_numbers() -> None:
    message = refused(input="a" * 101).message
    assert "101" in message and "100" in message
    assert parse(input="ä" * 100).text == "ä" * 100


def test_spellings() -> None:
    assert parse(voice={"id": "voice_1"}).voice == "voice_1"
    assert parse(speed="1.5").speed == 1.5
    assert parse(speed=5).speed == 5.0
    assert parse(sample_rate="16000").format.sample_rate == 16_000
    assert parse(sample_rate=16_000.0).format.sample_rate == 16_000
    assert parse(model=None).model is None
    assert parse(instructions=" Whisper. ").instructions == "Whisper."
    assert parse(instructions="").instructions is None
    assert parse(TOGETHER_1, voice=None).voice is None


@pytest.mark.parametrize("name", ["alloy", "Alloy", "Fritz-PlayAI"])
def test_voices_of_vendors_are_known(name: str) -> None:
    asked = parse(voice=name)
    assert asked.voice == name
    assert asked.vendor_voice is not None
    assert asked.vendor_voice.name.casefold() == name.casefold()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("de", "de"),
        ("EN_gb", "en-gb"),
        ("zh-hk", "zh-hk"),
        ("German", "de"),
        ("auto", None),
        ("", None),
        ("eo", "eo"),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    assert parse(language=text).language == language


@pytest.mark.parametrize(
    ("dialect", "fields", "framing"),
    [
        (OPENAI, {}, Framing.BYTES),
        (OPENAI, {"stream_format": "audio"}, Framing.BYTES),
        (OPENAI, {"stream_format": "SSE"}, Framing.EVENTS),
        (OPENAI, {"stream": True}, Framing.BYTES),
        (GROQ, {"stream": "true"}, Framing.BYTES),
        (TOGETHER, {}, Framing.BYTES),
        (TOGETHER, {"stream": False}, Framing.BYTES),
        (TOGETHER, {"stream": "False"}, Framing.BYTES),
        (TOGETHER, {"stream": True}, Framing.CHUNKS),
        (TOGETHER, {"stream": "True"}, Framing.CHUNKS),
        (TOGETHER, {"stream": True, "stream_format": "sse"}, Framing.CHUNKS),
        (TOGETHER, {"stream_format": "sse"}, Framing.EVENTS),
    ],
)
def test_framings(dialect: Dialect, fields: dict[str, Any], framing: Framing) -> None:
    assert parse(dialect, **fields).framing is framing


def test_unknown_fields_are_told_in_one_sentence() -> None:
    assert parse(extra_params={"a": 1}).warnings == ("extra_params: not supported and ignored.",)
    assert parse(**{"\ud800": 1}).warnings == ("?: not supported and ignored.",)
    many = {f"field{n}": n for n in range(9)} | {"x" * 1000: 1}
    [warning] = parse(**many).warnings
    assert warning.startswith("field0, field1, ")
    assert "and 5 more" in warning
    assert len(warning) < 300


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    "input",
    "voice",
    "model",
    "response_format",
    "sample_rate",
    "speed",
    "instructions",
    "stream_format",
    "stream",
    "response_encoding",
    "bit_rate",
    "language",
    "extra_params",
    "other",
)


@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES),
    st.sampled_from([OPENAI, GROQ, TOGETHER, TOGETHER_1]),
)
def test_any_body_is_read_or_refused(body: dict[str, Any], dialect: Dialect) -> None:
    try:
        asked = parse_speech({**HELLO, **body}, dialect=dialect, max_characters=100)
    except InvalidRequest as error:
        assert error.param in FIELDS
    else:
        assert 0.25 <= asked.speed <= 5
        assert 8000 <= asked.format.sample_rate <= 48_000
        assert asked.text.strip()


@pytest.mark.parametrize("dialect", [OPENAI, GROQ, TOGETHER, TOGETHER_1])
@pytest.mark.parametrize("named", FORMATS)
def test_content_types_have_no_parameters(dialect: Dialect, named: str) -> None:
    media_type = parse(dialect, response_format=named).media_type
    assert ";" not in media_type
    if dialect not in (OPENAI, GROQ):
        assert media_type in ("application/octet-stream", "audio/wav", "audio/mpeg")
