"""Errors through every client: the right exception with its fields; what is tried again and what not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat import neighbours
from tests.compat.clients import Session, always, only
from tests.compat.conftest import RECORDING, Recorded
from tests.compat.failures import Failure, expected_class, failure


def refused(session: Session, status: int, file: Any, *, how: str | None = None, **arguments: Any) -> Failure:
    """Transcribe, demand the failure that belongs to `status`, and give it as the user sees it."""
    arguments = {"model": "whisper-1"} | arguments
    outcome = session.call("transcribe", file=file, how=how, arguments=arguments)
    return demand(session, status, outcome)


def demand(session: Session, status: int, outcome: dict[str, Any]) -> Failure:
    """Check class, status and the parts of the error body that every answer of ours has."""
    told = failure(session.client, outcome)
    assert told.classes[0] == expected_class(session.client, status), told
    assert told.status == status
    assert told.message and told.type
    if session.client.vendor == "openai":
        assert told.request_id
    return told


def persistent(session: Session, recorded: Recorded, model: str) -> dict[str, Any]:
    """Transcribe with one more try allowed, giving the file in a form that the client can send twice."""
    if session.client.name == "together-py-1":  # it would send an open file from where the first try left it
        return session.call("transcribe", file=recorded.url, how="str", retries=1, arguments={"model": model})
    how = "file" if session.client.language == "js" else "bytes"
    return session.call("transcribe", file=recorded.path, how=how, retries=1, arguments={"model": model})


def test_bad_audio(session: Session, recorded: Recorded) -> None:
    told = refused(session, 400, recorded.garbage)
    assert (told.code, told.param) == ("invalid_audio", "file")


def test_bad_option(session: Session, recorded: Recorded) -> None:
    told = refused(session, 400, recorded.path, temperature=7)
    assert told.param == "temperature"
    assert "between 0 and 1" in told.message


def test_word_times_need_verbose_json(session: Session, recorded: Recorded) -> None:
    told = refused(session, 400, recorded.path, timestamp_granularities=["word"])
    assert told.param == "timestamp_granularities"


def test_wrong_key(session_to_locked: Session, recorded: Recorded) -> None:
    told = refused(session_to_locked, 401, recorded.path)
    assert told.code == "invalid_api_key"


def test_unknown_model(session: Session, recorded: Recorded) -> None:
    told = refused(session, 404, recorded.path, model="whisper-enormous")
    assert (told.code, told.param) == ("model_not_found", "model")


def test_known_model_without_weights(session: Session, recorded: Recorded) -> None:
    outcome = session.call("transcribe", file=recorded.path, arguments={"model": "medium.en"})
    if session.client.name == "together-py-1":
        assert outcome["error"]["classes"][0] == "ServiceUnavailableError"  # its text is fixed
        return
    told = demand(session, 503, outcome)
    assert told.code == "model_not_installed"
    assert "hearsay models pull" in told.message


def test_unknown_path(session: Session) -> None:
    demand(session, 404, session.call("request", method="GET", path=bare(session, "nowhere")))


def test_wrong_method(session: Session) -> None:
    path = bare(session, "audio/transcriptions")
    demand(session, 405, session.call("request", method="GET", path=path))


@pytest.mark.slow
def test_too_large(session: Session, recorded: Recorded) -> None:
    told = refused(session, 413, recorded.huge)
    assert "25" in told.message


@pytest.mark.slow
@only(lambda client: client.name == "openai-js")
def test_too_large_in_pieces(session: Session, recorded: Recorded) -> None:
    refused(session, 413, recorded.huge, how="stream")


def test_overloaded(session_to_busy: Session, recorded: Recorded) -> None:
    told = refused(session_to_busy, 429, recorded.path)
    assert told.code == "overloaded"


def test_engine_failure(session_to_breaking: Session, recorded: Recorded) -> None:
    outcome = session_to_breaking.call("transcribe", file=recorded.path, arguments={"model": "breaks"})
    told = demand(session_to_breaking, 500, outcome)
    assert told.code == "engine_failed"


def test_permanent_failure_is_not_tried_again(
    breaking_address: str, session_to_breaking: Session, recorded: Recorded, open_session: Any
) -> None:
    client = session_to_breaking.client
    with neighbours.recorder(breaking_address) as recording:
        session = open_session(client, recording.address, is_async=session_to_breaking.is_async)
        outcome = persistent(session, recorded, model="breaks")
    demand(session, 500, outcome)
    heeds = client.retries or session.is_async
    assert len(recording.exchanges) == (1 if heeds else 2)


@only(always, if_async=lambda client: client.retries)
def test_overload_is_tried_again_after_the_time_that_we_name(
    busy: Any, session_to_busy: Session, recorded: Recorded, open_session: Any
) -> None:
    client = session_to_busy.client
    with neighbours.recorder(busy.address, then={1: busy.let_go()}) as recording:
        session = open_session(client, recording.address, is_async=session_to_busy.is_async)
        outcome = persistent(session, recorded, model="whisper-1")
    assert outcome["ok"], outcome
    assert outcome["value"]["text"] == RECORDING.text
    first, second = recording.exchanges
    assert (first.status, second.status) == (429, 200)
    assert second.at - first.at >= busy.retry_after


def bare(session: Session, path: str) -> str:
    """Write the path of a bare request as the client's own methods would."""
    prefixes = {"groq": "/openai/v1/", "together-py-3": "/v1/", "together-py-1": ""}
    client = session.client
    return prefixes.get(client.name, prefixes.get(client.vendor, "/")) + path
