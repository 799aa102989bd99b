"""Callers who hang up, answers that take long, and what is written down about it; over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from hearsay.api.app import Limits
from hearsay.api.request.url_fetch import FetchPolicy
from hearsay.domain import Audio, Segment
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.scheduling.model_pool import Lease
from tests.support.server import InlineDecoders, Running, Stage, serving, speech

TRANSCRIBE = "/v1/audio/transcriptions"
LONG = speech(150.0)
"""Five windows of the fake engine."""

SILENT = speech(150.0, silence=(0.0, 150.0))
"""As long, without a segment between whose recognition the work could end by itself."""


class Gate:
    """Where an engine stops at each step, and how often it came by."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.n_steps = 0

    def __call__(self) -> None:
        self.n_steps += 1
        self.reached.set()
        assert self.opened.wait(30)


class Finished:
    """An app around the app that tells when requests have been dealt with."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.any = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        if scope["type"] == "http":
            self.any.set()


@contextmanager
def opened(stage: Stage) -> Iterator[tuple[Running, Finished]]:
    app = Finished(stage.app())
    with serving(app) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        yield Running(url, http), app


@contextmanager
def connected(server: Running, request: bytes) -> Iterator[socket.socket]:
    """Send bytes and hang up at the end."""
    host, port = server.http.base_url.host, server.http.base_url.port
    assert port is not None
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(request)
        yield connection


def request_of(file: bytes, *, stream: bool = False) -> bytes:
    data = {"stream": "true"} if stream else {}
    request = httpx.Request("POST", f"http://x{TRANSCRIBE}", files={"file": ("a.wav", file)}, data=data)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST {TRANSCRIBE} HTTP/1.1\r\n{head}\r\n".encode() + request.read()


@pytest.fixture
def gate(stage: Stage) -> Gate:
    made = Gate()
    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(pause=made))
    return made


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("recording", [LONG, SILENT], ids=["speech", "silence"])
def test_hanging_up_ends_the_work_within_a_window(
    stage: Stage, gate: Gate, stream: bool, recording: bytes
) -> None:
    with opened(stage) as (server, finished):
        with connected(server, request_of(recording, stream=stream)):
            assert gate.reached.wait(30)
        assert finished.any.wait(30)
        gate.opened.set()
    assert gate.n_steps == 1
    assert stage.spooled() == []


def test_the_work_is_longer_than_a_window_otherwise(stage: Stage, gate: Gate) -> None:
    gate.opened.set()
    with stage.open() as server:
        assert len(server.post(file=LONG).json()["text"].split()) == 300
        assert gate.n_steps >= 5
        server.post(file=SILENT)
        assert gate.n_steps >= 10


def test_silence_is_worked_off_in_turns(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours without a word would otherwise bar the model to everybody else."""
    steps: list[Segment | None] = []
    stream = Lease.stream

    async def noting(lease: Lease, make: Callable[[], Iterable[Segment | None]]) -> AsyncIterator[Any]:
        async with aclosing(stream(lease, make)) as items:
            async for item in items:
                steps.append(item)
                yield item

    monkeypatch.setattr(Lease, "stream", noting)
    with stage.open() as server:
        assert server.post(file=SILENT).json()["text"] == ""
    assert steps == [None] * 5


def test_hanging_up_in_the_queue_costs_nothing(stage: Stage, gate: Gate) -> None:
    first: list[httpx.Response] = []
    short, n_decoded, admitted = speech(1.0), 0, threading.Event()

    class Counting(InlineDecoders):
        async def decode(self, source: Path) -> Audio:
            nonlocal n_decoded
            audio = await super().decode(source)
            n_decoded += 1
            if n_decoded == 2:
                admitted.set()
            return audio

    stage.decoders = Counting()
    with opened(stage) as (server, finished):
        thread = threading.Thread(target=lambda: first.append(server.post(file=short)))
        thread.start()
        assert gate.reached.wait(30)
        with connected(server, request_of(LONG)) as connection:
            assert admitted.wait(30)
            connection.close()
        assert finished.any.wait(30)
        gate.opened.set()
        thread.join()
    assert first[0].json()["text"] == "word0 word1"
    assert gate.n_steps == 1


def test_hanging_up_while_uploading_leaves_nothing(stage: Stage) -> None:
    with structlog.testing.capture_logs() as logs, opened(stage) as (server, finished):
        with connected(server, request_of(LONG)[:200_000]):
            pass
        assert finished.any.wait(30)
    assert stage.spooled() == []
    told = [(log["status"], log["failure"]) for log in logs if log["event"] == "request"]
    assert told == [(499, "hung_up")]


def test_hanging_up_while_fetching(stage: Stage) -> None:
    stage.limits = Limits(fetch=FetchPolicy(allow_private=True, timeout=60))
    with socket.create_server(("127.0.0.1", 0)) as origin, opened(stage) as (server, finished):
        url = f"http://127.0.0.1:{origin.getsockname()[1]}/"
        body = json.dumps({"url": url}).encode()
        head = f"POST {TRANSCRIBE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        with connected(server, request):
            asked, _ = origin.accept()
        with asked:
            assert finished.any.wait(30)
    assert stage.spooled() == []


# Answers that take long


def test_json_begins_early_when_it_takes_long(stage: Stage, gate: Gate) -> None:
    stage.limits = Limits(keepalive_seconds=0.02)
    with stage.open() as server:
        files = {"file": speech(1.0)}
        with server.http.stream("POST", TRANSCRIBE, files=files) as answer:
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            pieces = answer.iter_bytes()
            assert next(pieces).strip() == b""
            gate.opened.set()
            body = json.loads(b"".join(pieces))
    assert body["text"] == "word0 word1"


def test_a_stream_shows_that_it_is_alive(stage: Stage, gate: Gate) -> None:
    stage.limits = Limits(keepalive_seconds=0.02)
    with stage.open() as server:
        files, data = {"file": speech(1.0)}, {"stream": "true"}
        with server.http.stream("POST", TRANSCRIBE, files=files, data=data) as answer:
            lines = answer.iter_lines()
            assert next(lines) == ": ping"
            gate.opened.set()
            rest = [line for line in lines if line.startswith("data: ")]
    assert json.loads(rest[0].removeprefix("data: "))["delta"] == "word0 word1"
    assert rest[-1] == "data: [DONE]"


def test_plain_text_is_never_begun_early(stage: Stage, gate: Gate) -> None:
    stage.limits = Limits(keepalive_seconds=0.01)
    timer = threading.Timer(0.1, gate.opened.set)
    timer.start()
    with stage.open() as server:
        answer = server.post(file=speech(1.0), data={"response_format": "text"})
    timer.join()
    assert answer.text == "word0 word1\n"


def test_an_error_after_the_beginning_cuts_the_connection(stage: Stage) -> None:
    gate = Gate()
    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(pause=gate, fail_after=0))
    stage.limits = Limits(keepalive_seconds=0.02)
    with (
        structlog.testing.capture_logs() as logs,
        stage.open() as server,
        pytest.raises(httpx.RemoteProtocolError),
        server.http.stream("POST", TRANSCRIBE, files={"file": speech(1.0)}) as answer,
    ):
        assert answer.status_code == 200
        pieces = answer.iter_bytes()
        next(pieces)
        gate.opened.set()
        b"".join(pieces)
    assert [log["failure"] for log in logs if log["event"] == "request"] == ["engine_failed"]


# What is written down


def test_one_line_a_request(stage: Stage) -> None:
    with structlog.testing.capture_logs() as logs, stage.open() as server:
        answer = server.post(file=speech(2.0), data={"prompt": "SECRET"})
        server.http.get("/health")
        server.post(file=b"")
    requests: list[Any] = [log for log in logs if log["event"] == "request"]
    by_status = {(log["path"], log["status"]): log for log in requests}
    assert len(requests) == len(by_status) == 3
    first, health = by_status[TRANSCRIBE, 200], by_status["/health", 200]
    assert (first["log_level"], health["log_level"]) == ("info", "debug")
    assert first["id"] == answer.headers["x-request-id"]
    assert (first["model"], first["dialect"]) == ("fake", "openai")
    assert first["audio_seconds"] == 2.0
    assert first["wall_ms"] > 0
    assert first["rtfx"] == pytest.approx(2000 / first["wall_ms"], rel=0.05)
    assert by_status[TRANSCRIBE, 400]["failure"] == "empty_file"
    assert "secret" not in str(logs).lower()
    assert "word0" not in str(logs).lower()
