"""Transcription and translation through every client: formats, word times, forms of file, URLs, base URLs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.clients import ALL, Client, Session, only
from tests.compat.conftest import RECORDING, Recorded

STRICT_SEGMENT = {
    "id": int,
    "seek": int,
    "start": float,
    "end": float,
    "text": str,
    "tokens": list,
    "temperature": float,
    "avg_logprob": float,
    "compression_ratio": float,
    "no_speech_prob": float,
}
"""Fields and types of a segment, as the strictest client declares them."""

LONG_CLASS = {"openai-py": "TranscriptionVerbose", "together-py-1": "AudioTranscriptionVerboseResponse"}
"""Clients that have a class of its own for the long answer, and do not name it after a union."""


def transcribe(session: Session, recorded: Recorded, **arguments: Any) -> dict[str, Any]:
    """Transcribe the recording from a path (or what the client takes in its place) and demand success."""
    outcome = session.call("transcribe", file=recorded.path, arguments={"model": "whisper-1"} | arguments)
    assert outcome["ok"], outcome
    return outcome


def verbose(session: Session, recorded: Recorded, granularities: list[str] | str) -> dict[str, Any]:
    """Ask for the long answer."""
    value: dict[str, Any] = transcribe(
        session, recorded, response_format="verbose_json", timestamp_granularities=granularities
    )["value"]
    return value


def words(found: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Take words apart."""
    return [(word["word"], word["start"], word["end"]) for word in found]


def is_a(value: object, kind: type) -> bool:
    """Return whether a JSON value has a type; a whole number is a float too, a boolean is no number."""
    return not isinstance(value, bool) and isinstance(value, (int, float) if kind is float else kind)


def test_json(session: Session, recorded: Recorded) -> None:
    outcome = transcribe(session, recorded)
    assert outcome["value"]["text"] == RECORDING.text


@only(lambda client: client.name != "together-py-1")
def test_json_carries_usage_and_request_id(session: Session, recorded: Recorded) -> None:
    outcome = transcribe(session, recorded)
    assert outcome["value"]["usage"] == {"type": "duration", "seconds": RECORDING.duration}
    request_id = outcome["value"]["x_groq"]["id"]
    assert request_id
    if session.client.vendor == "openai":
        assert outcome["request_id"] == request_id


def test_verbose_json_with_both_granularities(session: Session, recorded: Recorded) -> None:
    value = verbose(session, recorded, ["word", "segment"])
    assert value["text"] == RECORDING.text
    assert value["duration"] == RECORDING.duration
    assert value["language"] == ("en" if session.client.vendor == "together" else "english")
    assert [segment["text"].strip() for segment in value["segments"]] == list(RECORDING.segments)
    assert [segment["id"] for segment in value["segments"]] == [0, 1]
    for segment in value["segments"]:
        wrong = {k: segment.get(k) for k, kind in STRICT_SEGMENT.items() if not is_a(segment.get(k), kind)}
        assert session.client.name == "together-py-1" or wrong == {}
    assert words(value["words"]) == list(RECORDING.words)


def test_word_granularity_alone(session: Session, recorded: Recorded) -> None:
    value = verbose(session, recorded, ["word"])
    assert words(value["words"]) == list(RECORDING.words)
    if session.client.vendor == "together":
        assert len(value["segments"]) == len(RECORDING.segments)
    else:
        assert value.get("segments") is None


def test_segment_granularity_alone(session: Session, recorded: Recorded) -> None:
    value = verbose(session, recorded, ["segment"])
    assert len(value["segments"]) == len(RECORDING.segments)
    assert not value.get("words")


@only(lambda client: client.vendor == "together")
def test_granularity_as_a_bare_string(session: Session, recorded: Recorded) -> None:
    assert words(verbose(session, recorded, "word")["words"]) == list(RECORDING.words)


def test_verbose_json_without_granularities(session: Session, recorded: Recorded) -> None:
    value = transcribe(session, recorded, response_format="verbose_json")["value"]
    assert len(value["segments"]) == len(RECORDING.segments)
    assert not value.get("words")


@pytest.mark.parametrize("response_format", ["json", "verbose_json"])
def test_signs_of_life_in_front_of_the_answer(
    session_to_pulsing: Session, recorded: Recorded, response_format: str
) -> None:
    value = transcribe(session_to_pulsing, recorded, response_format=response_format)["value"]
    assert value["text"] == RECORDING.text


@only(lambda client: client.name in LONG_CLASS)
def test_verbose_answer_has_the_long_class(session: Session, recorded: Recorded) -> None:
    outcome = transcribe(session, recorded, response_format="verbose_json")
    assert outcome["class"] == LONG_CLASS[session.client.name]


@only(lambda client: "text" in client.formats)
def test_text(session: Session, recorded: Recorded) -> None:
    assert transcribe(session, recorded, response_format="text")["value"].strip() == RECORDING.text


@pytest.mark.parametrize("response_format", ["srt", "vtt"])
@only(lambda client: "srt" in client.formats)
def test_subtitles(session: Session, recorded: Recorded, response_format: str) -> None:
    text = transcribe(session, recorded, response_format=response_format)["value"]
    assert text.startswith("WEBVTT\n" if response_format == "vtt" else "1\n00:00:00,000 --> 00:00:01,000\n")
    assert [line.strip() for line in text.splitlines() if "word" in line] == list(RECORDING.segments)


def test_language_prompt_and_temperature_arrive(session: Session, recorded: Recorded) -> None:
    value = transcribe(session, recorded, language="de", prompt="SHOUT", temperature=0.5)["value"]
    assert value["text"] == RECORDING.text.replace("word", "WORT")


def test_language_auto_is_detected(session: Session, recorded: Recorded) -> None:
    assert transcribe(session, recorded, language="auto")["value"]["text"] == RECORDING.text


def test_unknown_fields_do_no_harm(session: Session, recorded: Recorded) -> None:
    extra: dict[str, Any] = {"some_new_option": "yes"}
    passes_on = session.client.language == "js" or session.client.name == "together-py-1"
    arguments = extra if passes_on else {"extra_body": extra}
    assert transcribe(session, recorded, **arguments)["value"]["text"] == RECORDING.text


@pytest.mark.parametrize(
    ("strategy", "chunking"),
    [
        ("auto", "vad"),
        (
            {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300, "prefix_padding_ms": 99},
            "vad",
        ),
        ("sequential", "sequential"),
    ],
    ids=["auto", "server_vad", "sequential"],
)
@only(lambda client: client.vendor == "openai")
def test_chunking_strategy_is_heeded_and_reported(
    session: Session, recorded: Recorded, strategy: Any, chunking: str
) -> None:
    outcome = transcribe(session, recorded, response_format="verbose_json", chunking_strategy=strategy)
    served = outcome["value"]["x_hearsay"]
    assert served["report"]["chunking"] == chunking
    assert (served["warnings"], served["quality"]) == ([], [])


@only(lambda client: client.vendor == "openai")
def test_a_chunking_strategy_that_cannot_be_right(session: Session, recorded: Recorded) -> None:
    strategy = {"type": "server_vad", "threshold": 1.5}
    arguments = {"model": "whisper-1", "chunking_strategy": strategy}
    outcome = session.call("transcribe", file=recorded.path, arguments=arguments)
    assert not outcome["ok"]
    assert "BadRequestError" in outcome["error"]["classes"]
    assert outcome["error"]["param"] == "chunking_strategy.threshold"


@only(lambda client: client.vendor == "together")
def test_model_may_be_absent(session: Session, recorded: Recorded) -> None:
    outcome = session.call("transcribe", file=recorded.path)
    assert outcome["ok"], outcome
    assert outcome["value"]["text"] == RECORDING.text


@pytest.mark.parametrize(
    ("client", "form"), [pytest.param(c, form, id=f"{c}-{form}") for c in ALL for form in c.files]
)
def test_every_form_of_file(
    client: Client, form: str, open_session: Any, address: str, recorded: Recorded
) -> None:
    for is_async in (False, True) if client.is_async_capable else (False,):
        session: Session = open_session(client, address, is_async=is_async)
        outcome = session.call("transcribe", file=recorded.path, how=form, arguments={"model": "whisper-1"})
        assert outcome["ok"], outcome
        assert outcome["value"]["text"] == RECORDING.text


@pytest.mark.parametrize("call", ["transcribe", "translate"])
@only(lambda client: client.url != "")
def test_url(session: Session, recorded: Recorded, call: str) -> None:
    arguments: dict[str, Any] = {"model": "whisper-1"}
    if session.client.url == "url":
        outcome = session.call(call, arguments=arguments | {"url": recorded.url})
    else:
        outcome = session.call(call, file=recorded.url, how=session.client.url, arguments=arguments)
    assert outcome["ok"], outcome
    assert outcome["value"]["text"] == RECORDING.text


@only(lambda client: client.name in ("together-py-2", "together-py-3"))
def test_url_beside_an_empty_file(session: Session, recorded: Recorded) -> None:
    arguments = {"model": "whisper-1", "extra_body": {"file": recorded.url}}
    outcome = session.call("transcribe", file=recorded.empty, how="bytes", arguments=arguments)
    assert outcome["ok"], outcome
    assert outcome["value"]["text"] == RECORDING.text


@only(lambda client: client.name == "together-js")
def test_path_text_is_never_opened(session: Session, recorded: Recorded) -> None:
    outcome = session.call("transcribe", file=str(recorded.path), how="str", arguments={"model": "whisper-1"})
    assert not outcome["ok"]
    assert outcome["error"]["status"] == 400


def test_translation(session: Session, recorded: Recorded) -> None:
    arguments = {"model": "whisper-1", "prompt": "QUIET"}
    outcome = session.call("translate", file=recorded.path, arguments=arguments)
    assert outcome["ok"], outcome
    assert outcome["value"]["text"] == RECORDING.text.upper()


def test_verbose_translation(session: Session, recorded: Recorded) -> None:
    arguments = {"model": "whisper-1", "response_format": "verbose_json"}
    outcome = session.call("translate", file=recorded.path, arguments=arguments)
    assert outcome["ok"], outcome
    value = outcome["value"]
    assert (value["text"], value["duration"]) == (RECORDING.text, RECORDING.duration)
    assert value["language"] == ("en" if session.client.vendor == "together" else "english")
    assert [segment["text"].strip() for segment in value["segments"]] == list(RECORDING.segments)


@only(lambda client: "text" in client.formats)
def test_text_translation(session: Session, recorded: Recorded) -> None:
    arguments = {"model": "whisper-1", "response_format": "text"}
    outcome = session.call("translate", file=recorded.path, arguments=arguments)
    assert outcome["ok"], outcome
    assert outcome["value"].strip() == RECORDING.text


@pytest.mark.parametrize(
    ("client", "prefix"),
    [pytest.param(c, prefix, id=f"{c}-{prefix}") for c in ALL for prefix in c.wrong_prefixes],
)
def test_base_url_mistakes(
    client: Client, prefix: str, open_session: Any, address: str, recorded: Recorded
) -> None:
    session: Session = open_session(client, address)
    outcome = session.call("transcribe", file=recorded.path, prefix=prefix, arguments={"model": "whisper-1"})
    assert outcome["ok"], outcome
    assert outcome["value"]["text"] == RECORDING.text
