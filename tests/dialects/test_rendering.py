"""Bodies, errors and events as vendors' clients read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hearsay.dialects import DIALECTS
from hearsay.dialects.rendering import NEUTRAL, render_json, render_model, render_models, render_verbose
from hearsay.dialects.schemas import (
    DoneEvent,
    ModelBody,
    ModelList,
    TranscriptBody,
    VerboseBody,
)
from hearsay.dialects.sse import render_done
from hearsay.dialects.transcription_request import TranscriptionRequest
from hearsay.domain import (
    RECOGNITION,
    Chunking,
    DroppedText,
    DropReason,
    Fallback,
    FallbackReason,
    ModelCard,
    SpeechSpan,
    Task,
    TranscribeOptions,
    TranscriptionReport,
)
from hearsay.transcripts import quality
from tests.support.bodies import BARE, KNOWN, fits, transcript

OPENAI, GROQ, TOGETHER = (DIALECTS[name] for name in ("openai", "groq", "together"))


def asked(*, words: bool = False, segments: bool = True) -> TranscriptionRequest:
    return TranscriptionRequest(model=None, options=TranscribeOptions(words=words), segments=segments)


def test_json() -> None:
    body = render_json(transcript(), "req_1")
    assert body == {
        "text": "Hello world. Again.",
        "usage": {"type": "duration", "seconds": 2.0},
        "x_groq": {"id": "req_1"},
    }
    assert fits(TranscriptBody, body)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("segments", [False, True])
def test_verbose(dialect: Any, words: bool, segments: bool) -> None:
    body = render_verbose(transcript(), asked(words=words, segments=segments), dialect, "req_1")
    assert fits(VerboseBody, body)
    assert ("words" in body, "segments" in body) == (words, segments)
    assert (body["task"], body["duration"]) == ("transcribe", 2.0)


def test_times_are_rounded_to_milliseconds() -> None:
    body = render_verbose(transcript(), asked(words=True), OPENAI, "req_1")
    assert body["segments"][0]["start"] == 0.123
    assert body["words"] == [
        {"word": "Hello", "start": 0.123, "end": 0.5},
        {"word": "world.", "start": 0.5, "end": 1.0},
    ]


def test_what_the_model_cannot_know_is_neutral_and_said() -> None:
    body = render_verbose(transcript(), asked(), OPENAI, "req_1")
    known, bare = body["segments"]
    assert (known["temperature"], known["avg_logprob"]) == (0.2, -0.25)
    assert {name: bare[name] for name in NEUTRAL} == NEUTRAL  # type: ignore[literal-required]
    assert body["x_hearsay"]["unknown"] == list(NEUTRAL)
    infinite = render_verbose(
        transcript(segments=(replace(KNOWN, avg_logprob=float("-inf")),)), asked(), OPENAI, "req_1"
    )
    assert infinite["segments"][0]["avg_logprob"] == 0.0
    assert infinite["x_hearsay"]["unknown"] == ["avg_logprob"]
    all_known = render_verbose(transcript(segments=(KNOWN,)), asked(), OPENAI, "req_1")
    assert all_known["x_hearsay"]["unknown"] == []


@pytest.mark.parametrize(
    ("dialect", "language", "task", "said"),
    [
        (OPENAI, "en", Task.TRANSCRIBE, "english"),
        (GROQ, "de", Task.TRANSCRIBE, "german"),
        (TOGETHER, "de", Task.TRANSCRIBE, "de"),
        (OPENAI, "de", Task.TRANSLATE, "english"),
        (TOGETHER, "de", Task.TRANSLATE, "en"),
        (OPENAI, None, Task.TRANSCRIBE, "unknown"),
        (TOGETHER, None, Task.TRANSCRIBE, "unknown"),
        (OPENAI, None, Task.TRANSLATE, "english"),
    ],
)
def test_language(dialect: Any, language: str | None, task: Task, said: str) -> None:
    body = render_verbose(transcript(language=language, task=task), asked(), dialect, "req_1")
    assert body["language"] == said
    assert body["x_hearsay"]["language"] == language


REPORT = TranscriptionReport(
    chunking=Chunking.VAD,
    n_windows=3,
    speech=(SpeechSpan(0.1, 0.90041), SpeechSpan(1.2, 1.5)),
    dropped=(DroppedText(1.00049, 2.0, " Thanks.", DropReason.SILENCE),),
    fallbacks=(Fallback(0.0, 30.0, 0.2, FallbackReason.LOW_PROBABILITY),),
)


def test_how_a_recording_was_worked_through() -> None:
    body = render_verbose(transcript(report=REPORT), asked(), OPENAI, "req_1")
    assert fits(VerboseBody, body)
    assert body["x_hearsay"]["report"] == {
        "chunking": "vad",
        "windows": 3,
        "speech_seconds": 1.1,
        "dropped": [{"start": 1.0, "end": 2.0, "text": " Thanks.", "reason": "silence"}],
        "fallbacks": [{"start": 0.0, "end": 30.0, "temperature": 0.2, "reason": "low_probability"}],
    }
    done = render_done(transcript(report=REPORT), "Hi.", "req_1")
    assert fits(DoneEvent, done)
    assert done["x_hearsay"]["report"] == body["x_hearsay"]["report"]


def test_segments_worth_a_second_look_are_listed() -> None:
    doubtful = replace(KNOWN, start=2.00049, end=3.0, avg_logprob=-0.9, no_speech_prob=0.8)
    body = render_verbose(transcript(segments=(KNOWN, BARE, doubtful)), asked(), OPENAI, "req_1")
    assert fits(VerboseBody, body)
    flags = list(quality.flags(doubtful))
    assert len(flags) == 2
    assert body["x_hearsay"]["quality"] == [{"segment": 2, "start": 2.0, "end": 3.0, "flags": flags}]
    assert body["segments"][2]["id"] == 2
    done = render_done(transcript(segments=(doubtful,)), "Hi.", "req_1")
    assert [flagged["segment"] for flagged in done["x_hearsay"]["quality"]] == [0]


def test_what_nobody_reported_is_null() -> None:
    assert render_verbose(transcript(), asked(), OPENAI, "req_1")["x_hearsay"]["report"] is None
    bare = render_verbose(
        transcript(report=TranscriptionReport(Chunking.SEQUENTIAL)), asked(), OPENAI, "req_1"
    )
    assert bare["x_hearsay"]["report"] == {
        "chunking": "sequential",
        "windows": 0,
        "speech_seconds": None,
        "dropped": [],
        "fallbacks": [],
    }


@pytest.mark.parametrize("reason", [*DropReason, *FallbackReason])
def test_every_reason_has_a_place_in_the_shapes(reason: DropReason | FallbackReason) -> None:
    report = (
        replace(REPORT, dropped=(DroppedText(0.0, 1.0, " a", reason),))
        if isinstance(reason, DropReason)
        else replace(REPORT, fallbacks=(Fallback(0.0, 1.0, 0.0, reason),))
    )
    assert fits(VerboseBody, render_verbose(transcript(report=report), asked(), OPENAI, "req_1"))


CARD = ModelCard(
    id="fake",
    engine="fake",
    owner="hearsay",
    created=1,
    tasks=RECOGNITION,
    languages=("en",),
    context_window=448,
    aliases=("whisper-1",),
)


def test_models() -> None:
    model = render_model(CARD, installed=False, default=True)
    assert fits(ModelBody, model)
    assert (model["active"], model["installed"], model["context_window"]) == (False, False, 448)
    listed = render_models([model], OPENAI)
    assert fits(ModelList, listed)
    assert render_models([model], GROQ) == listed
    assert render_models([model], TOGETHER) == [model]
