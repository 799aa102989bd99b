"""Uploads: what is sent, which failures are tried again, and when it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from hearsay.client.transport import RetryPolicy, Transport
from hearsay.errors import EngineFailed, HearsayError, InvalidRequest, Overloaded

URL = "http://server.test:99/v1/audio/transcriptions"
POLICY = RetryPolicy(retries=3, max_wait=60.0, timeout=30.0)


class Answers:
    """Gives one answer after the other; notes what it was sent, and how long the client would have slept."""

    def __init__(self, answers: Sequence[httpx.Response | Exception]) -> None:
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.waits: list[float] = []
        self.notes: list[str] = []
        self._answers = list(answers)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(await request.aread())
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def post(
    answers: Answers, content: Path | bytes = b"sound", *, policy: RetryPolicy = POLICY, **form: str
) -> Any:
    async def run() -> Any:
        transport = Transport(
            {"authorization": "Bearer secret"},
            policy,
            transport=httpx.MockTransport(answers),
            sleep=answers.sleep,
            note=answers.notes.append,
        )
        try:
            return await transport.post(URL, form, "talk.wav", content)
        finally:
            await transport.close()

    return asyncio.run(run())


def busy(seconds: float) -> httpx.Response:
    return httpx.Response(
        429, json={"error": {"message": "slow down"}}, headers={"retry-after": str(seconds)}
    )


def test_a_form_and_a_file_are_posted_with_the_headers() -> None:
    answers = Answers([httpx.Response(200, json={"text": "hello"})])
    assert post(answers, b"sound", model="whisper-1") == {"text": "hello"}
    (request,) = answers.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["content-type"].startswith("multipart/form-data")
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in answers.bodies[0]
    assert b'name="file"; filename="talk.wav"' in answers.bodies[0]
    assert b"\r\n\r\nsound\r\n" in answers.bodies[0]


def test_every_attempt_sends_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(b"sound" * 1000)
    answers = Answers([busy(0), httpx.ReadError("reset"), httpx.Response(200, json={})])
    assert post(answers, path) == {}
    assert [body.count(b"sound") for body in answers.bodies] == [1000] * 3


def test_each_wait_is_told_and_taken() -> None:
    answers = Answers([busy(7), busy(2.5), httpx.Response(200, json={})])
    post(answers)
    assert answers.waits == [7.0, 2.5]
    assert [note.rpartition(" Trying")[2] for note in answers.notes] == [" again in 7 s.", " again in 2 s."]
    assert all("slow down" in note for note in answers.notes)


def test_attempts_are_counted() -> None:
    answers = Answers([busy(0)] * 9)
    with pytest.raises(Overloaded, match="slow down"):
        post(answers)
    assert len(answers.requests) == 1 + POLICY.retries
    assert len(answers.waits) == POLICY.retries


def test_waits_together_have_a_limit() -> None:
    answers = Answers([busy(25)] * 9)
    with pytest.raises(Overloaded):
        post(answers)
    assert answers.waits == [25.0, 25.0]


def test_what_no_retry_mends_is_raised_at_once() -> None:
    answers = Answers([httpx.Response(400, json={"error": {"message": "bad file"}})])
    with pytest.raises(InvalidRequest, match="bad file"):
        post(answers)
    assert answers.waits == []


@pytest.mark.parametrize(
    ("failure", "code", "said", "attempts"),
    [
        (httpx.ConnectError("refused"), "unreachable", r"server\.test:99 cannot be reached: refused\.", 2),
        (httpx.ConnectTimeout(""), "unreachable", "cannot be reached: ConnectTimeout", 2),
        (httpx.ReadTimeout("slow"), "timeout", r"server\.test:99 did not answer within 30 s\.", 1),
        (httpx.ReadError("reset"), "connection_broken", "connection to server.*broke: reset", 4),
        (httpx.RemoteProtocolError(""), "connection_broken", "broke: RemoteProtocolError", 4),
    ],
)
def test_failures_of_the_connection(failure: Exception, code: str, said: str, attempts: int) -> None:
    """Nothing there is tried once more, a slow answer never, a broken connection as often as allowed."""
    answers = Answers([failure] * 9)
    with pytest.raises(EngineFailed, match=said) as caught:
        post(answers)
    assert caught.value.code == code
    assert len(answers.requests) == attempts


def test_an_answer_that_is_no_json_is_shown() -> None:
    page = httpx.Response(200, text="<html>Welcome", headers={"content-type": "text/html"})
    with pytest.raises(EngineFailed, match=r"not JSON \(text/html\): <html>Welcome"):
        post(Answers([page]))


def test_a_proxy_of_an_unknown_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")

    async def open_() -> None:
        Transport({}, POLICY, transport=None, sleep=asyncio.sleep, note=print)

    with pytest.raises(HearsayError, match="proxy that the environment names") as caught:
        asyncio.run(open_())
    assert caught.value.code == "unreachable"
