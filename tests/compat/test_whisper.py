"""One real pass for every client: our own small Whisper hears real words behind the vendors' clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import jiwer
import pytest

from hearsay.text import languages
from tests.compat.clients import Client, Process, Session
from tests.compat.conftest import KINDS, OpenSession
from tests.compat.serving import Scene
from tests.support.server import serving

DATA = Path(__file__).resolve().parents[1] / "data"
WEIGHTS = DATA / "fixture-whisper"
CLIPS = DATA / "clips"
NAME = "fixture"
MOST_ERRORS = 0.05
"""Word error rate over the sentences of one client; the model's own bound on held-out speech."""


def sentences() -> list[dict[str, Any]]:
    """Return a clip of one sentence in every language."""
    if not CLIPS.is_dir():
        return []
    manifest = json.loads((CLIPS / "manifest.json").read_text("utf-8"))
    by_language = {clip["language"]: clip for clip in reversed(manifest) if len(clip["segments"]) == 1}
    return list(by_language.values())


@pytest.fixture(scope="module")
def whisper_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the small Whisper as its default model."""
    folder = tmp_path_factory.mktemp("whisper")
    with serving(Scene(folder, default=NAME, local={NAME: WEIGHTS}).app()) as found:
        yield found


@pytest.fixture
def session_to_whisper(kind: tuple[Client, bool], open_session: OpenSession, whisper_address: str) -> Session:
    return open_session(kind[0], whisper_address, is_async=kind[1])


def ask(session: Session, call: str, clip: dict[str, Any]) -> dict[str, Any]:
    """Send one clip and demand the long answer."""
    arguments: dict[str, Any] = {"model": NAME, "response_format": "verbose_json"}
    if call == "transcribe":
        arguments["timestamp_granularities"] = ["word", "segment"]
    outcome = session.call(call, file=CLIPS / clip["file"], arguments=arguments)
    assert outcome["ok"], outcome
    value: dict[str, Any] = outcome["value"]
    return value


@pytest.mark.slow
def test_transcription(session_to_whisper: Session) -> None:
    clips = sentences()
    assert {clip["language"] for clip in clips} == {"en", "de", "es"}
    answers = [ask(session_to_whisper, "transcribe", clip) for clip in clips]
    assert jiwer.wer([clip["text"] for clip in clips], [answer["text"] for answer in answers]) <= MOST_ERRORS
    for clip, answer in zip(clips, answers, strict=True):
        assert answer["language"] in (clip["language"], languages.name(clip["language"]))
        spoken = " ".join(word["word"] for word in answer["words"])
        assert spoken.split() == answer["text"].split()
        assert answer["words"][-1]["end"] <= answer["duration"] == pytest.approx(clip["seconds"], abs=0.01)


@pytest.mark.slow
def test_translation(session_to_whisper: Session) -> None:
    clips = [clip for clip in sentences() if clip["language"] == "de"]
    answers = [ask(session_to_whisper, "translate", clip) for clip in clips]
    wanted, got = [clip["translation"] for clip in clips], [answer["text"] for answer in answers]
    assert jiwer.wer(wanted, got) <= MOST_ERRORS


@pytest.mark.slow
def test_streams_side_by_side(whisper_address: str) -> None:
    """Every client that streams, the async classes too, on one model at once: nobody gets another's text."""
    kinds = [kind for kind in KINDS if kind[0].streams and kind[0].absent() is None]
    assert kinds, "the project's own environment has a client that streams"
    clips = sentences()

    def hear(kind: tuple[Client, bool]) -> list[list[dict[str, Any]]]:
        client, is_async = kind
        with closing(Process(client)) as process:
            session = Session(process, whisper_address, is_async=is_async)
            arguments = {"model": NAME, "stream": True}
            outcomes = [
                session.call("transcribe", file=CLIPS / clip["file"], arguments=arguments) for clip in clips
            ]
        assert all(outcome["ok"] and "stream_error" not in outcome for outcome in outcomes), outcomes
        return [[event.get("value", event) for event in outcome["events"]] for outcome in outcomes]

    with ThreadPoolExecutor(len(kinds)) as callers:
        heard = list(callers.map(hear, kinds))
    for streams in heard:
        for (*deltas, done), clip in zip(streams, clips, strict=True):
            assert "".join(event["delta"] for event in deltas) == done["text"]
            assert done["type"] == "transcript.text.done"
            assert done["x_hearsay"]["language"] == clip["language"]
        texts = [done["text"] for *_, done in streams]
        assert jiwer.wer([clip["text"] for clip in clips], texts) <= MOST_ERRORS
        assert texts == [done["text"] for *_, done in heard[0]]
