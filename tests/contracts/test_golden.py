"""Exact bytes on the wire, for each dialect, format and error; `pytest --update-golden` takes new ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx
import pytest

from hearsay.api.app import Limits
from hearsay.api.request.multipart_form import FormLimits
from hearsay.dialects import DIALECTS
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.storage.api_keys import Keyring
from tests.golden import Golden
from tests.support.server import Running, Stage, speech

TRANSCRIBE = "/v1/audio/transcriptions"
TRANSLATE = "/v1/audio/translations"
SPEAK = "/v1/audio/speech"
HELLO = {
    "model": "fake-voice",
    "input": "Hi.",
    "voice": "low",
    "response_format": "mulaw",
    "sample_rate": 24_000,
    "speed": 2,
    "stream_format": "sse",
}
"""A short sound, which the engine itself makes: nothing in it depends on the machine."""

SPEECH = speech(3.0, silence=(1.0, 1.5))
VARYING = frozenset({"date", "server-timing", "x-request-id"})

ANSWERS: dict[str, tuple[str, Mapping[str, object]]] = {
    "json": (TRANSCRIBE, {}),
    "text": (TRANSCRIBE, {"response_format": "text"}),
    "srt": (TRANSCRIBE, {"response_format": "srt"}),
    "vtt": (TRANSCRIBE, {"response_format": "vtt"}),
    "verbose": (TRANSCRIBE, {"response_format": "verbose_json", "language": "de"}),
    "verbose-words": (
        TRANSCRIBE,
        {"response_format": "verbose_json", "timestamp_granularities[]": "word"},
    ),
    "verbose-both": (
        TRANSCRIBE,
        {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]},
    ),
    "stream": (TRANSCRIBE, {"stream": "true", "keywords": "told"}),
    "translation": (TRANSLATE, {}),
    "translation-verbose": (TRANSLATE, {"response_format": "verbose_json", "language": "en"}),
}


def wire(answer: httpx.Response) -> bytes:
    """Write an answer down: status, the headers that are always the same, body."""
    headers = sorted((name, value) for name, value in answer.headers.multi_items() if name not in VARYING)
    head = [f"{answer.status_code} {answer.reason_phrase}", *(f"{name}: {value}" for name, value in headers)]
    return "\n".join(head).encode() + b"\n\n" + answer.content


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ANSWERS)
def test_answers(server: Running, golden: Golden, dialect: str, name: str) -> None:
    path, data = ANSWERS[name]
    answer = server.post(path, file=SPEECH, data=data, headers={"x-dialect": dialect})
    golden.check(f"{dialect}-{name}.http", wire(answer))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_model(server: Running, golden: Golden, dialect: str) -> None:
    answer = server.http.get("/v1/models/fake", headers={"x-dialect": dialect})
    golden.check(f"{dialect}-model.http", wire(answer))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["speech-events", "speech-stream"])
def test_speech(server: Running, golden: Golden, dialect: str, name: str) -> None:
    body = HELLO | {"stream": name == "speech-stream", "extra_params": {}}
    answer = server.http.post(SPEAK, json=body, headers={"x-dialect": dialect})
    golden.check(f"{dialect}-{name}.http", wire(answer))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_voices(server: Running, golden: Golden, dialect: str) -> None:
    answer = server.http.get("/v1/voices?model=fake-voice", headers={"x-dialect": dialect})
    golden.check(f"{dialect}-voices.http", wire(answer))


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve with a key, a small limit and an engine that breaks."""
    stage = Stage(
        tmp_path_factory.mktemp("narrow"),
        make=lambda: FakeWindowRecognizer(mishaps=Faults(fail_after=0)),
        keys=Keyring(fixed=["sk-right"]),
        limits=Limits(form=FormLimits(upload_bytes=200_000)),
    )
    with stage.open() as running:
        yield running


REFUSED: dict[str, tuple[bytes, Mapping[str, object]]] = {
    "400-option": (SPEECH, {"temperature": "7"}),
    "400-audio": (b"\x00\x01\x02", {}),
    "400-empty": (b"", {}),
    "400-unsupported": (SPEECH, {"diarize": "true"}),
    "404-model": (SPEECH, {"model": "whisper-enormous"}),
    "413-upload": (b"\x00" * 2_000_000, {}),
    "500-engine": (SPEECH, {}),
    "503-weights": (SPEECH, {"model": "whisper-large-v3"}),
    "stream-error": (SPEECH, {"stream": "true"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(narrow: Running, golden: Golden, name: str) -> None:
    file, data = REFUSED[name]
    answer = narrow.post(file=file, data=data, headers={"authorization": "Bearer sk-right"})
    golden.check(f"error-{name}.http", wire(answer))


UNSPOKEN: dict[str, dict[str, object]] = {
    "missing": {"input": None},
    "empty": {"input": ""},
    "long": {"input": "a" * 65_537},
    "type": {"input": 1},
    "nothing": {"input": "…"},
    "voice": {"voice": "lwo"},
    "no-voice": {"voice": None},
    "format": {"response_format": "mp4"},
    "rate": {"response_format": "mp3", "sample_rate": 9000},
    "speed": {"speed": 9},
    "instructions": {"instructions": "Whisper."},
}


@pytest.mark.parametrize("name", UNSPOKEN)
def test_refusals_to_speak(server: Running, golden: Golden, name: str) -> None:
    answer = server.http.post(SPEAK, json=HELLO | UNSPOKEN[name])
    golden.check(f"error-400-speech-{name}.http", wire(answer))


def test_other_errors(narrow: Running, golden: Golden) -> None:
    key = {"authorization": "Bearer sk-right"}
    golden.check("error-401-key.http", wire(narrow.post(file=SPEECH)))
    golden.check("error-404-path.http", wire(narrow.http.get("/v1/nowhere", headers=key)))
    golden.check("error-405-method.http", wire(narrow.http.get(TRANSCRIBE, headers=key)))
    answer = narrow.http.post(TRANSCRIBE, content=b"hello", headers=key | {"content-type": "text/plain"})
    golden.check("error-415-type.http", wire(answer))
