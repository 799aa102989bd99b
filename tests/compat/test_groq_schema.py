"""Our answers against Groq's OpenAPI document, trimmed to the audio and model schemas in tests/data.

Knows no client: plain HTTP on Groq's path. The document is OpenAPI 3.0, so `nullable` is turned into JSON
Schema. One declared type is put right: the document has `duration` as a string, which the response classes
of the other vendors' clients refuse; on the wire it is a number everywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.compat.conftest import Recorded

DOCUMENT = Path(__file__).resolve().parents[1] / "data" / "groq-openapi.json"
WRONG_TYPES = {("duration", "string"): "number"}


def json_schema(node: Any) -> Any:
    """Turn a schema of OpenAPI 3.0 into one of JSON Schema 2020-12, with the known mistake put right."""
    if isinstance(node, list):
        return [json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: json_schema(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable"):
        plain["type"] = [plain["type"], "null"]
    for (name, declared), real in WRONG_TYPES.items():
        inner = plain.get("properties", {}).get(name)
        if inner is not None and inner.get("type") == declared:
            inner["type"] = real
    return plain


SCHEMAS: dict[str, Any] = json_schema(json.loads(DOCUMENT.read_text("utf-8"))["components"])


def problems(name: str, body: object) -> list[str]:
    """List every way in which a body breaks the schema of that name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": SCHEMAS}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(body)]


@pytest.fixture
def http(address: str) -> Any:
    """A plain client below Groq's path."""
    with httpx.Client(base_url=f"{address}/openai/v1", trust_env=False, timeout=60) as client:
        yield client


def post(http: httpx.Client, path: str, recorded: Recorded, **fields: Any) -> httpx.Response:
    """Send the recording."""
    with recorded.path.open("rb") as file:
        return http.post(path, data={"model": "whisper-large-v3"} | fields, files={"file": file})


@pytest.mark.parametrize("task", ["Transcription", "Translation"])
def test_json(http: httpx.Client, recorded: Recorded, task: str) -> None:
    answer = post(http, f"/audio/{task.lower()}s", recorded)
    assert answer.status_code == 200, answer.text
    assert problems(f"Create{task}ResponseJson", answer.json()) == []


@pytest.mark.parametrize("granularities", [[], ["word"], ["segment"], ["word", "segment"]])
@pytest.mark.parametrize("task", ["Transcription", "Translation"])
def test_verbose_json(http: httpx.Client, recorded: Recorded, task: str, granularities: list[str]) -> None:
    fields = {"response_format": "verbose_json", "timestamp_granularities[]": granularities}
    answer = post(http, f"/audio/{task.lower()}s", recorded, **fields)
    assert answer.status_code == 200, answer.text
    assert problems(f"Create{task}ResponseVerboseJson", answer.json()) == []
    assert ("words" in answer.json()) == ("word" in granularities)
    assert ("segments" in answer.json()) == (granularities != ["word"])


def test_models(http: httpx.Client) -> None:
    assert problems("ListModelsResponse", http.get("/models").json()) == []
    assert problems("Model", http.get("/models/openai/whisper-large-v3").json()) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/models/none-such", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/audio/transcriptions", 405),
        ("POST", "/audio/transcriptions", 400),
    ],
)
def test_errors(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(
        method, path, files={"model": (None, "whisper-large-v3")} if method == "POST" else None
    )
    assert answer.status_code == status
    assert problems("ErrorResponse", answer.json()) == []


@pytest.mark.parametrize("response_format", ["json", "text", "verbose_json"])
def test_every_request_of_the_document_is_served(
    http: httpx.Client, recorded: Recorded, response_format: str
) -> None:
    """Take the values that the document allows for every field, languages but for a few that engines lack."""
    properties = SCHEMAS["schemas"]["CreateTranscriptionRequest"]["properties"]
    assert response_format in properties["response_format"]["enum"]
    fields = {"language": "en", "prompt": "Hello.", "response_format": response_format, "temperature": "0"}
    assert set(fields) | {"model", "file", "url", "timestamp_granularities[]"} == set(properties)
    assert post(http, "/audio/transcriptions", recorded, **fields).status_code == 200


SPEECH: dict[str, Any] = SCHEMAS["schemas"]["CreateSpeechRequest"]
SAID = {"model": "fake-voice", "input": SPEECH["properties"]["input"]["example"], "voice": "Fritz-PlayAI"}


def speak(http: httpx.Client, **fields: Any) -> httpx.Response:
    """Send a request for speech that the document allows."""
    body = SAID | fields
    assert list(Draft202012Validator(SPEECH).iter_errors(body)) == []
    return http.post("/audio/speech", json=body)


@pytest.mark.parametrize("sample_rate", [None, *SPEECH["properties"]["sample_rate"]["enum"]])
@pytest.mark.parametrize("response_format", SPEECH["properties"]["response_format"]["enum"])
def test_every_sound_of_the_document_is_made(
    http: httpx.Client, response_format: str, sample_rate: int | None
) -> None:
    fields = {} if sample_rate is None else {"sample_rate": sample_rate}
    answer = speak(http, response_format=response_format, **fields)
    assert answer.status_code == 200, answer.text
    rate = sample_rate or SPEECH["properties"]["sample_rate"]["default"]
    if response_format == "mulaw":
        assert len(answer.content) == pytest.approx(9 * 0.25 * rate, rel=0.01)


@pytest.mark.parametrize("speed", ["minimum", "maximum", "default"])
def test_every_speed_of_the_document_is_spoken(http: httpx.Client, speed: str) -> None:
    assert speak(http, speed=SPEECH["properties"]["speed"][speed]).status_code == 200


@pytest.mark.parametrize("missing", ["model", "input", "voice"])
def test_speech_without_what_the_document_requires(http: httpx.Client, missing: str) -> None:
    """A model need not be named here; everything else must be."""
    answer = http.post("/audio/speech", json={name: value for name, value in SAID.items() if name != missing})
    assert answer.status_code == (200 if missing == "model" else 400)
    if missing != "model":
        assert problems("ErrorResponse", answer.json()) == []
        assert answer.json()["error"]["param"] == missing


def test_the_checker_finds_faults() -> None:
    assert problems("ErrorResponse", {"error": {"message": 1, "type": "x", "param": None}}) != []
    assert problems("CreateTranscriptionResponseVerboseJson", {"text": "", "language": "english"}) != []
