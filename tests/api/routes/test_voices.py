"""The list of voices over a real socket."""

from __future__ import annotations

import httpx
import pytest

from hearsay.engines.fake import cards as fake_cards
from tests.support.server import Running

SPEAK = "/v1/audio/speech"
TOGETHER = {"user-agent": "Together/Python 3.1.1"}
TOGETHER_1 = {"user-agent": "Together/v1 PythonBindings/1.6.0"}


def refusal(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/audio/voices", "/openai/v1/audio/voices"])
@pytest.mark.parametrize("headers", [{}, TOGETHER, TOGETHER_1])
def test_voices(server: Running, path: str, headers: dict[str, str]) -> None:
    body = server.http.get(path, headers=headers).json()
    assert body["object"] == "list"
    listed = {entry["model"]: entry["voices"] for entry in body["data"]}
    assert listed[fake_cards.FAKE_VOICE] == [
        {"id": "high", "name": "High", "languages": "en,de,es,fr", "gender": "female"},
        {"id": "low", "name": "Low", "languages": "en,de,es,fr", "gender": "male"},
    ]
    for voices in listed.values():
        assert all(isinstance(value, str) for voice in voices for value in voice.values())


@pytest.mark.parametrize("model", ["fake-voice", "tts-1"])
def test_voices_of_one_model(server: Running, model: str) -> None:
    body = server.http.get("/v1/voices", params={"model": model}).json()
    assert [entry["model"] for entry in body["data"]] == [fake_cards.FAKE_VOICE]


def test_voices_of_what_does_not_speak(server: Running) -> None:
    assert refusal(server.http.get("/v1/voices?model=tts-9"))[:2] == (404, "model_not_found")
    assert refusal(server.http.get("/v1/voices?model=whisper-1"))[:2] == (400, "unsupported_option")


@pytest.mark.parametrize("path", ["/v1/audio/voices", "/v1/audio/voice_consents"])
def test_voices_are_not_made_here(server: Running, path: str) -> None:
    answer = server.http.post(path, files={"audio_sample": ("a.wav", b"x" * 1000)}, data={"name": "me"})
    assert refusal(answer) == (404, "not_found", None)


def test_every_listed_voice_speaks(server: Running) -> None:
    for voice in server.http.get("/v1/voices?model=fake-voice").json()["data"][0]["voices"]:
        assert (
            server.http.post(SPEAK, json={"input": "Hello.", "voice": voice["id"]}).headers["x-hearsay-voice"]
            == voice["id"]
        )
