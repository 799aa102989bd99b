"""A windowed engine that is no Whisper, through the whole server: batched, fair, cancellable, refusing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hearsay.engines.jobs import Job
from hearsay.engines.protocols import WindowRecognizer
from hearsay.scheduling.queue import RequestQueue
from tests.support.eight_second_recognizer import EightSecondRecognizer, Gate
from tests.support.server import Running, Stage, speech

SHORT, LONG = speech(4.0), speech(160.0)


@pytest.fixture
def gate() -> Gate:
    """Return what holds the model back until it is opened."""
    return Gate()


@pytest.fixture
def recognizer(gate: Gate) -> EightSecondRecognizer:
    """Return the model that the server loads."""
    return EightSecondRecognizer(pause=gate)


@pytest.fixture
def server(recognizer: EightSecondRecognizer, gate: Gate, tmp_path: Path) -> Iterator[Running]:
    """Serve it; at the end nothing is held back."""
    with Stage(tmp_path, make=lambda: recognizer).open() as running:
        try:
            yield running
        finally:
            gate.opened.set()


def words(begin: int, end: int) -> str:
    return " ".join(f"t{i}" for i in range(begin, end))


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Return the jobs that are in the queue or beyond; requests add to it."""
    jobs: list[Job] = []
    submit = RequestQueue.submit

    def noted(self: RequestQueue, job: Job) -> Future[Any]:
        future = submit(self, job)
        jobs.append(job)
        return future

    monkeypatch.setattr(RequestQueue, "submit", noted)
    return jobs


def wait_until_submitted(jobs: list[Job], n_jobs: int) -> None:
    deadline = time.monotonic() + 30
    while len(jobs) < n_jobs:
        assert time.monotonic() < deadline, jobs
        time.sleep(0.002)


def test_it_is_what_the_scheduler_asks_for(recognizer: EightSecondRecognizer) -> None:
    assert isinstance(recognizer, WindowRecognizer)


def test_a_recording_of_many_windows_is_transcribed_with_times(server: Running, gate: Gate) -> None:
    gate.opened.set()
    answer = server.post(
        file=speech(20.0, silence=(8.0, 16.0)),
        data={"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]},
    ).json()
    assert answer["text"] == f"{words(0, 16)} {words(32, 40)}"
    assert [(s["start"], s["end"]) for s in answer["segments"]] == [(0.0, 8.0), (16.0, 20.0)]
    assert (answer["words"][-1]["start"], answer["words"][-1]["end"]) == (19.5, 20.0)
    assert answer["language"] == "english"


def test_streams_a_segment_for_each_window(server: Running, gate: Gate) -> None:
    gate.opened.set()
    answer = server.post(file=speech(16.0), data={"stream": "true"}).text
    assert answer.count("transcript.text.delta") == 2 and f'"text":"{words(0, 32)}"' in answer


def test_windows_of_several_requests_share_a_call(
    server: Running, gate: Gate, recognizer: EightSecondRecognizer, submitted: list[Job]
) -> None:
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(server.post, file=SHORT)
        assert gate.reached.wait(30)
        others = [threads.submit(server.post, file=speech(seconds)) for seconds in (1.0, 2.0, 3.0)]
        # None of them is served before the first call ends, and then they are served together.
        wait_until_submitted(submitted, 4)
        gate.opened.set()
        answers = [future.result(30).json()["text"] for future in (first, *others)]
    assert answers == [words(0, n) for n in (8, 2, 4, 6)]
    assert recognizer.calls[0] == ["4 s"] and sorted(recognizer.calls[1]) == ["1 s", "2 s", "3 s"]


def test_a_short_request_does_not_wait_for_a_long_one(
    server: Running, gate: Gate, recognizer: EightSecondRecognizer, submitted: list[Job]
) -> None:
    with ThreadPoolExecutor(2) as threads:
        long = threads.submit(server.post, file=LONG)
        assert gate.reached.wait(30)
        short = threads.submit(server.post, file=SHORT)
        wait_until_submitted(submitted, 2)
        gate.opened.set()
        assert short.result(30).json()["text"] == words(0, 8)
        assert long.result(30).json()["text"] == words(0, 320)
    assert "4 s" in recognizer.calls[1]


def test_a_client_that_hangs_up_ends_the_work(
    server: Running, gate: Gate, recognizer: EightSecondRecognizer
) -> None:
    with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=server.url, timeout=0.5) as client:
        client.post("/v1/audio/transcriptions", files={"file": ("a.wav", LONG)})
    gate.opened.set()
    assert server.post(file=SHORT).json()["text"] == words(0, 8)
    assert len(recognizer.calls) <= 3, "what nobody waits for was computed all the same"


@pytest.mark.parametrize(
    ("options", "param"),
    [({"prompt": "Some names."}, "prompt"), ({"language": "de"}, "language")],
)
def test_what_it_cannot_do_is_refused_by_name(server: Running, options: dict[str, str], param: str) -> None:
    answer = server.post(file=SHORT, data=options)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_it_does_not_translate(server: Running) -> None:
    answer = server.post("/v1/audio/translations", file=SHORT)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
