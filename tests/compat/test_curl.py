"""The same server through curl: brackets, lists in one field, bodies without a length, wrong methods."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from tests.compat.conftest import RECORDING, Recorded

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")


@dataclass(frozen=True)
class Answer:
    """What curl got."""

    status: int
    content_type: str
    body: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def curl(address: str, path: str, *arguments: str) -> Answer:
    """Run curl with the user's own options switched off."""
    assert CURL is not None
    write = "\n%{http_code} %{content_type}"
    command = [CURL, "-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "-w", write]
    done = subprocess.run(
        [*command, *arguments, f"{address}{path}"], capture_output=True, text=True, check=True
    )
    body, _, last = done.stdout.rpartition("\n")
    status, _, content_type = last.partition(" ")
    return Answer(int(status), content_type, body)


def form(recorded: Recorded, *fields: str) -> list[str]:
    """Make `-F` options for the recording and further fields."""
    parts = [f"file=@{recorded.path}", "model=whisper-1", *fields]
    return [item for part in parts for item in ("-F", part)]


def test_json(address: str, recorded: Recorded) -> None:
    answer = curl(address, "/v1/audio/transcriptions", *form(recorded))
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.json["text"] == RECORDING.text


@pytest.mark.parametrize(
    "fields",
    [
        ("timestamp_granularities[]=word", "timestamp_granularities[]=segment"),
        ("timestamp_granularities=word", "timestamp_granularities=segment"),
        ("timestamp_granularities=word,segment",),
        ('timestamp_granularities=["word", "segment"]',),
        ('timestamp_granularities[]=["word","segment"]',),
    ],
)
def test_lists_in_every_spelling(address: str, recorded: Recorded, fields: tuple[str, ...]) -> None:
    options = form(recorded, "response_format=verbose_json", *fields)
    answer = curl(address, "/v1/audio/transcriptions", *options)
    assert answer.status == 200, answer.body
    assert len(answer.json["words"]) == len(RECORDING.words)
    assert len(answer.json["segments"]) == len(RECORDING.segments)


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
def test_plain_text(address: str, recorded: Recorded, response_format: str) -> None:
    answer = curl(address, "/v1/audio/transcriptions", *form(recorded, f"response_format={response_format}"))
    assert (answer.status, answer.content_type) == (200, "text/plain; charset=utf-8")
    assert all(segment in answer.body for segment in RECORDING.segments)


def test_stream(address: str, recorded: Recorded) -> None:
    answer = curl(address, "/v1/audio/transcriptions", "-N", *form(recorded, "stream=true"))
    assert (answer.status, answer.content_type.split(";")[0]) == (200, "text/event-stream")
    data = [line.removeprefix("data: ") for line in answer.body.splitlines() if line.startswith("data: ")]
    assert data.pop() == "[DONE]"
    events = [json.loads(line) for line in data]
    assert "".join(event.get("delta", "") for event in events) == RECORDING.text
    assert "event:" not in answer.body


def test_signs_of_life_are_white_space(pulsing_address: str, recorded: Recorded) -> None:
    answer = curl(pulsing_address, "/v1/audio/transcriptions", *form(recorded))
    assert answer.body.startswith("\n")
    assert answer.json["text"] == RECORDING.text


def test_signs_of_life_are_comments(pulsing_address: str, recorded: Recorded) -> None:
    answer = curl(pulsing_address, "/v1/audio/transcriptions", "-N", *form(recorded, "stream=true"))
    assert ": ping\n" in answer.body


def test_url(address: str, recorded: Recorded) -> None:
    answer = curl(address, "/v1/audio/transcriptions", "-F", f"url={recorded.url}", "-F", "model=whisper-1")
    assert answer.status == 200, answer.body
    assert answer.json["text"] == RECORDING.text


def test_body_without_a_length(address: str, recorded: Recorded) -> None:
    options = ["-H", "Transfer-Encoding: chunked", *form(recorded)]
    assert curl(address, "/v1/audio/transcriptions", *options).json["text"] == RECORDING.text


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_too_large(address: str, recorded: Recorded, chunked: bool) -> None:
    options = ["-F", f"file=@{recorded.huge}", *(["-H", "Transfer-Encoding: chunked"] if chunked else [])]
    answer = curl(address, "/v1/audio/transcriptions", *options)
    assert answer.status == 413
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}


def test_translation(address: str, recorded: Recorded) -> None:
    answer = curl(address, "/openai/v1/audio/translations", *form(recorded, "language=en"))
    assert answer.json["text"] == RECORDING.text


def test_models(address: str) -> None:
    assert curl(address, "/v1/models").json["object"] == "list"
    assert curl(address, "/v1/models/openai/whisper-large-v3").status == 200
    assert curl(address, "/v1/models/openai%2Fwhisper-large-v3").status == 200


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/v1/nowhere", [], 404),
        ("/v1/audio/transcriptions", [], 405),
        ("/v1/audio/transcriptions", ["-d", "model=whisper-1"], 400),
        ("/v1/audio/transcriptions", ["-H", "Content-Type: text/plain", "-d", "hello"], 415),
        ("/v1/audio/transcriptions", ["-F", "model=whisper-1"], 400),
        ("/v1/audio/transcriptions", ["-F", "file=@/dev/null", "-F", "model=whisper-1"], 400),
    ],
)
def test_errors(address: str, path: str, options: list[str], status: int) -> None:
    answer = curl(address, path, *options)
    assert (answer.status, answer.content_type) == (status, "application/json"), answer.body
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}


def test_wrong_key(locked_address: str, recorded: Recorded) -> None:
    options = ["-H", "Authorization: Bearer nonsense", *form(recorded)]
    answer = curl(locked_address, "/v1/audio/transcriptions", *options)
    assert answer.status == 401
    assert answer.json["error"]["code"] == "invalid_api_key"


def test_right_key(locked_address: str, right_key: str, recorded: Recorded) -> None:
    options = ["-H", f"Authorization: Bearer {right_key}", *form(recorded)]
    assert curl(locked_address, "/v1/audio/transcriptions", *options).status == 200
