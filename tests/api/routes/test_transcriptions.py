"""Transcription and translation over a real socket, with the fake engine."""

from __future__ import annotations

import base64
import errno
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import structlog

from hearsay.api.app import Limits
from hearsay.api.request.multipart_form import FormLimits
from hearsay.api.request.url_fetch import FetchPolicy
from hearsay.domain import Audio
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.scheduling.admission import Admission
from tests.support.server import InlineDecoders, Running, Stage, speech

TRANSCRIBE = "/v1/audio/transcriptions"
TRANSLATE = "/v1/audio/translations"
SPEECH = speech(6.0, silence=(2.0, 3.0))
TEXT = "word0 word1 word2 word3 word6 word7 word8 word9 word10 word11"
TOGETHER = {"user-agent": "Together/Python 3.1.1"}


def test_json(server: Running) -> None:
    answer = server.post(file=SPEECH)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["text"] == TEXT
    assert body["usage"] == {"type": "duration", "seconds": 6.0}
    assert body["x_groq"] == {"id": answer.headers["x-request-id"]}


def test_headers(server: Running) -> None:
    headers = server.post(file=SPEECH).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-hearsay-model"] == "fake"
    timings = [item.split(";dur=") for item in headers["server-timing"].split(", ")]
    assert [name for name, _ in timings] == ["upload", "fetch", "load", "decode", "queue", "recognize"]
    assert all(float(ms) >= 0 for _, ms in timings)
    assert "x-hearsay-warning" not in headers


@pytest.mark.parametrize("model", [None, "", "whisper-1", "fake", "gpt-4o-transcribe", "auto"])
def test_models_that_mean_the_default(server: Running, model: str | None) -> None:
    answer = server.post(file=SPEECH, data={} if model is None else {"model": model})
    assert answer.headers["x-hearsay-model"] == "fake"


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/v1/v1", "/openai/v1/openai/v1"])
def test_prefixes(server: Running, prefix: str) -> None:
    assert server.post(f"{prefix}/audio/transcriptions", file=SPEECH).json()["text"] == TEXT
    assert server.post(f"{prefix}/audio/translations", file=SPEECH).json()["text"] == TEXT


def test_verbose(server: Running) -> None:
    body = server.post(file=SPEECH, data={"response_format": "verbose_json"}).json()
    assert (body["task"], body["language"], body["duration"], body["text"]) == (
        "transcribe",
        "english",
        6.0,
        TEXT,
    )
    assert [(s["id"], s["start"], s["end"]) for s in body["segments"]] == [(0, 0.0, 2.0), (1, 3.0, 6.0)]
    assert "".join(segment["text"] for segment in body["segments"]).strip() == TEXT
    assert "words" not in body


@pytest.mark.parametrize(
    ("headers", "segments"), [({}, False), (TOGETHER, True), ({"x-dialect": "groq"}, False)]
)
def test_words(server: Running, headers: dict[str, str], segments: bool) -> None:
    data = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    body = server.post(file=SPEECH, data=data, headers=headers).json()
    assert [word["word"] for word in body["words"]] == TEXT.split()
    assert all(word["end"] - word["start"] == 0.5 for word in body["words"])
    assert ("segments" in body) == segments


def test_dialect_by_query(server: Running) -> None:
    data = {"response_format": "verbose_json"}
    assert server.post(f"{TRANSCRIBE}?dialect=together", file=SPEECH, data=data).json()["language"] == "en"


def test_text(server: Running) -> None:
    answer = server.post(file=SPEECH, data={"response_format": "text"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == f"{TEXT}\n"


@pytest.mark.parametrize(
    ("response_format", "begins"), [("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n\n")]
)
def test_subtitles(server: Running, response_format: str, begins: str) -> None:
    answer = server.post(file=SPEECH, data={"response_format": response_format})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(begins)
    assert answer.text.count(" --> ") == 2


def test_options_arrive(server: Running) -> None:
    answer = server.post(file=speech(1), data={"language": "German", "prompt": "LOUD"})
    assert answer.json()["text"] == "WORT0 WORT1"


def test_translation(server: Running) -> None:
    data = {"response_format": "verbose_json", "language": "de"}
    body = server.post(TRANSLATE, file=speech(1), data=data).json()
    assert (body["task"], body["language"], body["text"]) == ("translate", "english", "word0 word1")


def test_silence_is_an_empty_text(server: Running) -> None:
    silent = speech(2.0, silence=(0.0, 2.0))
    assert server.post(file=silent).json()["text"] == ""
    assert server.post(file=silent, data={"response_format": "text"}).text == "\n"
    body = server.post(file=silent, data={"response_format": "verbose_json"}).json()
    assert body["segments"] == []


def test_ignored_hints_are_told(server: Running) -> None:
    answer = server.post(file=SPEECH, data={"keywords[]": ["a", "b"], "response_format": "verbose_json"})
    assert "keywords" in answer.headers["x-hearsay-warning"]
    assert "keywords" in answer.json()["x_hearsay"]["warnings"][0]


def events(answer: httpx.Response) -> list[dict[str, object]]:
    """Read server-sent events; there are no other lines than data."""
    assert answer.headers["content-type"] == "text/event-stream"
    frames = answer.text.split("\n\n")
    assert frames.pop() == ""
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    assert frames.pop() == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


@pytest.mark.parametrize("path", [TRANSCRIBE, TRANSLATE])
@pytest.mark.parametrize("response_format", ["json", "text"])
def test_stream(server: Running, path: str, response_format: str) -> None:
    answer = server.post(path, file=SPEECH, data={"stream": "true", "response_format": response_format})
    *deltas, done = events(answer)
    assert [event["type"] for event in deltas] == ["transcript.text.delta"] * 2
    assert "".join(str(event["delta"]) for event in deltas) == TEXT
    assert (done["type"], done["text"]) == ("transcript.text.done", TEXT)
    assert done["usage"] == {"type": "duration", "seconds": 6.0}
    assert answer.headers["x-hearsay-model"] == "fake"


def test_a_stream_of_silence(server: Running) -> None:
    (done,) = events(server.post(file=speech(1, silence=(0, 1)), data={"stream": "true"}))
    assert done["text"] == ""


def test_deltas_come_as_they_are_recognised(stage: Stage) -> None:
    """The engine stands still before its second step; the first delta is there all the same."""
    may_go_on = threading.Event()
    steps: list[int] = []

    def pause() -> None:
        steps.append(len(steps))
        if len(steps) > 1:
            assert may_go_on.wait(30)

    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(pause=pause))
    recording = speech(120.0, silence=(2.0, 3.0))
    with (
        stage.open() as server,
        server.http.stream("POST", TRANSCRIBE, files={"file": recording}, data={"stream": "true"}) as answer,
    ):
        lines = answer.iter_lines()
        first = next(lines)
        assert json.loads(first.removeprefix("data: "))["delta"] == "word0 word1 word2 word3"
        may_go_on.set()
        assert list(lines)[-2] == "data: [DONE]"


def test_an_error_in_mid_stream(stage: Stage) -> None:
    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(fail_after=1))
    with stage.open() as server:
        answer = server.post(file=speech(40.0, silence=(2.0, 35.0)), data={"stream": "true"})
    assert answer.status_code == 200
    first, second, rest = answer.text.split("\n\n")
    assert json.loads(first.removeprefix("data: "))["delta"] == "word0 word1 word2 word3"
    error = json.loads(second.removeprefix("data: "))["error"]
    assert (error["code"], error["type"], rest) == ("engine_failed", "server_error", "")


def test_an_error_before_the_stream_has_a_status(server: Running) -> None:
    answer = server.post(file=b"RIFF not really", data={"stream": "true"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_audio"


@pytest.mark.parametrize(
    ("data", "param"),
    [
        ({"temperature": "2"}, "temperature"),
        ({"response_format": "xml"}, "response_format"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"diarize": "True"}, "diarize"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"stream": "true", "response_format": "srt"}, "stream"),
        ({"language": "xx"}, "language"),
        ({"language": "ja"}, "language"),
        ({"include[]": "logprobs"}, "include"),
    ],
)
def test_wrong_options(server: Running, data: dict[str, str], param: str) -> None:
    answer = server.post(file=SPEECH, data=data)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert "x-should-retry" not in answer.headers


def test_unknown_model(server: Running) -> None:
    answer = server.post(file=SPEECH, data={"model": "wisper-large-v3"})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "whisper-large-v3" in error["message"]


def test_known_model_without_weights(server: Running) -> None:
    answer = server.post(file=SPEECH, data={"model": "whisper-large-v3"})
    assert answer.status_code == 503
    assert answer.headers["x-should-retry"] == "false"
    assert "hearsay models pull" in answer.json()["error"]["message"]


def test_a_task_that_the_model_lacks(server: Running) -> None:
    answer = server.post(TRANSLATE, file=SPEECH, data={"model": "whisper-large-v3-turbo"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_a_model_that_breaks(stage: Stage) -> None:
    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(fail_after=0))
    with stage.open() as server:
        answer = server.post(file=SPEECH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_failed")
    assert answer.headers["x-should-retry"] == "false"
    assert stage.spooled() == []


def test_a_full_disk_passes(stage: Stage) -> None:
    class Full(InlineDecoders):
        async def decode(self, source: Path) -> Audio:
            raise OSError(errno.ENOSPC, "No space left on device", "/secret/place")

    stage.decoders = Full()
    with stage.open() as server, structlog.testing.capture_logs() as logs:
        answer = server.post(file=SPEECH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
    assert answer.headers["retry-after"] == "10"
    assert "secret" not in answer.text
    assert [log["reason"] for log in logs if log["event"] == "no room"]


def test_a_defect_of_ours_tells_nothing(stage: Stage) -> None:
    def broken() -> FakeWindowRecognizer:
        raise ZeroDivisionError("a secret of the house")

    stage.make = broken
    with stage.open() as server:
        answer = server.post(file=SPEECH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


# Where the recording is


def test_file_without_a_name_is_an_upload(server: Running) -> None:
    answer = server.http.post(TRANSCRIBE, files={"file": (None, SPEECH)})
    assert answer.json()["text"] == TEXT


def test_a_path_of_the_callers_own_machine(server: Running) -> None:
    answer = server.http.post(TRANSCRIBE, files={"file": (None, "/home/me/speech.wav")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    assert "path on your own machine" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "parts", [[], [("model", (None, "fake"))], [("file", (None, ""))], [("url", (None, " "))]]
)
def test_no_recording(server: Running, parts: list[tuple[str, tuple[None, str]]]) -> None:
    answer = server.http.post(TRANSCRIBE, files=[*parts, ("x", (None, "1"))])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")


def test_empty_file(server: Running) -> None:
    answer = server.post(file=b"")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "empty_file")


def test_two_recordings(server: Running) -> None:
    answer = server.http.post(TRANSCRIBE, files=[("file", ("a", SPEECH)), ("file", ("b", SPEECH))])
    assert answer.status_code == 400


@pytest.mark.parametrize("name", ["url", "file"])
def test_data_url(server: Running, name: str) -> None:
    text = "data:audio/wav;base64," + base64.b64encode(SPEECH).decode()
    assert server.http.post(TRANSCRIBE, files={name: (None, text)}).json()["text"] == TEXT
    if name == "url":
        assert server.http.post(TRANSCRIBE, json={name: text}).json()["text"] == TEXT


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_bare_base64(server: Running, encode: type[bytes]) -> None:
    text = encode(SPEECH).decode()
    assert server.http.post(TRANSCRIBE, files={"url": (None, text)}).json()["text"] == TEXT
    assert server.http.post(TRANSCRIBE, data={"url": text.rstrip("=\n")}).json()["text"] == TEXT


@pytest.mark.parametrize(
    "text", ["data:audio/wav,abc", "data:;base64,ä", "data:;base64,a", "hello there", "ftp://x/y"]
)
def test_urls_that_are_none(server: Running, text: str) -> None:
    answer = server.http.post(TRANSCRIBE, data={"url": text})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "url")


def test_private_addresses_are_refused(server: Running) -> None:
    answer = server.http.post(TRANSCRIBE, data={"url": f"{server.url}/health"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "url_not_allowed")


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve the recording on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SPEECH)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/a.wav"
        httpd.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    limits = Limits(fetch=FetchPolicy(allow_private=True))
    with Stage(tmp_path_factory.mktemp("fetching"), limits=limits).open() as running:
        yield running


def test_addresses_wherever_clients_put_them(fetching: Running, origin: str) -> None:
    http = fetching.http
    asked = [
        http.post(TRANSCRIBE, files={"url": (None, origin)}),
        http.post(TRANSCRIBE, files={"file": (None, origin)}),
        http.post(TRANSCRIBE, files=[("file", (None, origin)), ("file", ("upload", b""))]),
        http.post(TRANSCRIBE, files=[("file", ("upload", b"")), ("file", (None, origin))]),
        http.post(TRANSCRIBE, data={"url": origin}),
        http.post(TRANSCRIBE, json={"url": origin, "model": "whisper-large-v3-none"} | {"model": None}),
    ]
    assert [answer.json().get("text") for answer in asked] == [TEXT] * len(asked)


def test_json_bodies_mean_the_same(fetching: Running, origin: str) -> None:
    body = {"url": origin, "response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
    answer = fetching.http.post(TRANSCRIBE, json=body | {"temperature": 0, "stream": False}).json()
    assert len(answer["words"]) == 10
    assert len(answer["segments"]) == 2


# Limits


@pytest.fixture
def small(stage: Stage) -> Stage:
    stage.limits = Limits(form=FormLimits(upload_bytes=300_000, text_bytes=1000))
    return stage


def test_too_large(small: Stage) -> None:
    def chunked() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    with small.open() as server:
        assert server.post(file=speech(8)).status_code == 200
        answers = [
            server.post(file=speech(12)),
            server.post(file=b"x" * (40 << 20)),
            server.http.post(TRANSCRIBE, content=chunked(), headers=headers),
            server.http.post(TRANSCRIBE, data={"url": base64.b64encode(speech(12)).decode()}),
            server.http.post(TRANSCRIBE, files={"file": (None, speech(12))}),
            server.post(file=speech(1), data={"prompt": "x" * 2000}),
        ]
    for answer in answers:
        assert answer.status_code == 413, answer.text
        assert answer.json()["error"]["code"] == "payload_too_large"
    assert small.spooled() == []


def test_no_file_stays_behind(small: Stage) -> None:
    with small.open() as server:
        server.post(file=SPEECH)
        server.post(file=b"garbage")
        server.post(file=SPEECH, data={"temperature": "7"})
        server.post(file=SPEECH, data={"stream": "true"})
        server.http.post(TRANSCRIBE, data={"url": base64.b64encode(SPEECH).decode()})
    assert small.spooled() == []


def test_a_full_house_is_told_before_the_body(stage: Stage) -> None:
    """One recording is in hand and no more may be: the head of the next request is enough to be told."""
    working, may_go_on = threading.Event(), threading.Event()

    def pause() -> None:
        working.set()
        assert may_go_on.wait(30)

    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(pause=pause))
    stage.admission = Admission(max_requests=1)
    first: list[httpx.Response] = []
    with stage.open() as server:
        thread = threading.Thread(target=lambda: first.append(server.post(file=SPEECH)))
        thread.start()
        assert working.wait(30)
        answer = server.answer_to_a_head()
        may_go_on.set()
        thread.join()
        # The caller has the whole answer a moment before the server has put its request away.
        while (later := server.post(file=SPEECH)).status_code == 429:
            pass
    assert later.status_code == 200
    assert answer.startswith("HTTP/1.1 429 ")
    assert "retry-after:" in answer
    assert '"overloaded"' in answer
    assert first[0].status_code == 200


def test_too_many_waiting(stage: Stage) -> None:
    """One request works, none may wait: the next is told at once to come back."""
    working, may_go_on = threading.Event(), threading.Event()

    def pause() -> None:
        working.set()
        assert may_go_on.wait(30)

    stage.make = lambda: FakeWindowRecognizer(mishaps=Faults(pause=pause))
    stage.admission = Admission(max_waiting=0)
    first: list[httpx.Response] = []
    with stage.open() as server:
        thread = threading.Thread(target=lambda: first.append(server.post(file=SPEECH)))
        thread.start()
        assert working.wait(30)
        answer = server.post(file=SPEECH)
        may_go_on.set()
        thread.join()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert int(answer.headers["retry-after-ms"]) >= 1
    assert first[0].status_code == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("", 415),
        ("multipart/form-data", 400),
        ("application/json", 400),
        ("application/x-www-form-urlencoded", 400),
    ],
)
def test_bodies_that_are_no_forms(server: Running, content_type: str, status: int) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = server.http.post("/v1/audio/transcriptions", content=b"hello", headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"
