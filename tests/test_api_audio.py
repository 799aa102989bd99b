"""Transcription and translation over a real socket, with the fake engine."""

from __future__ import annotations

from tests.server import Running, speech


def test_json(server: Running) -> None:
    answer = server.post(file=speech(2.0))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["text"] == "word0 word1 word2 word3"
    assert answer.json()["usage"] == {"type": "duration", "seconds": 2.0}
    assert answer.headers["x-hearsay-model"] == "fake"
