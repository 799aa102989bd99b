"""`stream=true`, which only OpenAI's clients have: pieces as they come, and an error in the middle."""

from __future__ import annotations

import pytest

from tests.compat.clients import Client, Session, only
from tests.compat.conftest import RECORDING, Recorded


def streams(client: Client) -> bool:
    """Return whether a client has streaming transcription."""
    return client.streams


@pytest.mark.parametrize("response_format", ["json", "text"])
@only(streams)
def test_stream(session: Session, recorded: Recorded, response_format: str) -> None:
    arguments = {"model": "whisper-1", "stream": True, "response_format": response_format}
    outcome = session.call("transcribe", file=recorded.path, arguments=arguments)
    assert outcome["ok"] and "stream_error" not in outcome, outcome
    events = [event.get("value", event) for event in outcome["events"]]
    deltas = [event["delta"] for event in events if event["type"] == "transcript.text.delta"]
    assert len(deltas) >= len(RECORDING.segments)
    assert "".join(deltas) == RECORDING.text
    assert events[-1]["type"] == "transcript.text.done"
    assert events[-1]["text"] == RECORDING.text


@only(streams)
def test_comments_between_events(session_to_pulsing: Session, recorded: Recorded) -> None:
    arguments = {"model": "whisper-1", "stream": True}
    outcome = session_to_pulsing.call("transcribe", file=recorded.path, arguments=arguments)
    assert outcome["ok"] and "stream_error" not in outcome, outcome
    assert outcome["events"][-1].get("value", outcome["events"][-1])["text"] == RECORDING.text


@only(lambda client: client.streams and client.language == "python")
def test_stream_classes(session: Session, recorded: Recorded) -> None:
    arguments = {"model": "whisper-1", "stream": True}
    outcome = session.call("transcribe", file=recorded.path, arguments=arguments)
    classes = [event["class"] for event in outcome["events"]]
    assert set(classes[:-1]) == {"TranscriptionTextDeltaEvent"}
    assert classes[-1] == "TranscriptionTextDoneEvent"


@only(streams)
def test_error_before_the_stream_has_its_status(session: Session, recorded: Recorded) -> None:
    arguments = {"model": "whisper-enormous", "stream": True}
    outcome = session.call("transcribe", file=recorded.path, arguments=arguments)
    assert not outcome["ok"]
    assert "NotFoundError" in outcome["error"]["classes"]


@only(streams)
def test_error_in_mid_stream(session_to_breaking: Session, recorded: Recorded) -> None:
    arguments = {"model": "breaks-later", "stream": True}
    outcome = session_to_breaking.call("transcribe", file=recorded.path, arguments=arguments)
    assert outcome["ok"], outcome
    events = [event.get("value", event) for event in outcome["events"]]
    assert [event["delta"].strip() for event in events] == list(RECORDING.segments)
    error = outcome["stream_error"]
    assert error["classes"][0] == "APIError"
    assert "fail" in error["message"].lower()
    assert error["code"] == "engine_failed"
