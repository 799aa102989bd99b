"""Speech and voices over a real socket, with the engine that speaks in tones."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import av
import httpx
import numpy as np
import pytest
import structlog
from starlette.types import Message, Scope

from hearsay.api.app import Limits
from hearsay.dialects.speech_request import FORMATS
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import Faults
from hearsay.engines.fake.synthesizer import WORD_SECONDS, FakeSynthesizer
from hearsay.scheduling.admission import Admission
from tests.support.server import Running, Stage, serving
from tests.system.test_disconnects import connected, opened

SPEAK = "/v1/audio/speech"
TEXT = "One two three. Four five, six! Seven eight."
SECONDS = 8 * WORD_SECONDS
HELLO = {"model": "tts-1", "input": TEXT, "voice": "high"}
TOGETHER = {"user-agent": "Together/Python 3.1.1"}
TOGETHER_1 = {"user-agent": "Together/v1 PythonBindings/1.6.0"}


def speak(
    server: Running, path: str = SPEAK, *, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    return server.http.post(path, json=HELLO | fields, headers=headers)


def refusal(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def heard(sound: bytes, **bare: Any) -> tuple[str, int, float]:
    """Return codec, rate and length of a file."""
    with av.open(io.BytesIO(sound), **bare) as container:
        (stream,) = container.streams.audio
        n_samples = sum(frame.samples for frame in container.decode(stream))
        return stream.codec_context.name, stream.rate, n_samples / stream.rate


def events_of(answer: httpx.Response) -> list[str]:
    """Return what follows `data: `; there must be no other lines."""
    lines = [line for line in answer.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    return [line.removeprefix("data: ") for line in lines]


# What comes back


def test_least(server: Running) -> None:
    answer = speak(server)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    codec, rate, seconds = heard(answer.content)
    assert (codec, rate) == ("mp3float", 24_000)
    assert seconds == pytest.approx(SECONDS, rel=0.1)


def test_headers(server: Running) -> None:
    headers = speak(server).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-hearsay-model"] == fake_cards.FAKE_VOICE
    assert headers["x-hearsay-voice"] == "high"
    timings = [item.split(";dur=") for item in headers["server-timing"].split(", ")]
    assert [name for name, _ in timings] == ["upload", "load", "first"]
    assert all(float(ms) >= 0 for _, ms in timings)
    assert "x-hearsay-warning" not in headers


@pytest.mark.parametrize("model", [None, "", "auto", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "fake-voice"])
def test_models_that_mean_the_default(server: Running, model: str | None) -> None:
    assert speak(server, model=model).headers["x-hearsay-model"] == fake_cards.FAKE_VOICE


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/v1/v1", "/openai/v1/openai/v1"])
def test_prefixes(server: Running, prefix: str) -> None:
    answer = speak(server, f"{prefix}/audio/speech", response_format="wav")
    assert heard(answer.content)[1] == (48_000 if "openai" in prefix else 24_000)


CODECS = {
    "mp3": "mp3float",
    "opus": "opus",
    "aac": "aac",
    "flac": "flac",
    "wav": "pcm_s16le",
    "ogg": "flac",
    "pcm": "s16le",
    "raw": "s16le",
    "mulaw": "mulaw",
}


@pytest.mark.parametrize("rate", [8000, 24_000, 48_000])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_at_its_rate(server: Running, name: str, rate: int) -> None:
    answer = speak(server, response_format=name, sample_rate=rate)
    assert answer.status_code == 200, answer.text
    codec = "opus" if (name, rate) == ("ogg", 48_000) else CODECS[name]
    bare = name in ("pcm", "raw", "mulaw")
    options = {"format": codec, "options": {"sample_rate": str(rate)}} if bare else {}
    found, found_rate, seconds = heard(answer.content, **options)
    assert found == (f"pcm_{codec}" if bare else codec)
    assert found_rate == (48_000 if name == "opus" else rate)
    assert seconds == pytest.approx(SECONDS, rel=0.1)


@pytest.mark.parametrize(("name", "n_bytes"), [("pcm_f32le", 4), ("pcm_mulaw", 1), ("pcm_alaw", 1)])
def test_bare_samples(server: Running, name: str, n_bytes: int) -> None:
    answer = speak(server, response_format="raw", response_encoding=name)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert len(answer.content) == round(SECONDS * 24_000) * n_bytes


def test_mulaw_is_loud_where_the_voice_is(server: Running) -> None:
    sound = speak(server, response_format="mulaw", sample_rate=8000)
    assert sound.headers["content-type"] == "audio/basic"
    codes = np.frombuffer(sound.content, np.uint8)
    silent = codes.reshape(8, -1)[:, -150:]
    assert (silent & 0x7F).min() >= 0x70, "near zero, as G.711 writes it"
    assert (codes & 0x7F).min() < 0x30


@pytest.mark.parametrize(
    ("path", "headers", "content_type", "rate"),
    [
        (SPEAK, {}, "audio/mpeg", 24_000),
        (SPEAK, {"accept": "audio/wav"}, "audio/mpeg", 24_000),
        ("/openai/v1/audio/speech", {"accept": "audio/wav"}, "audio/mpeg", 48_000),
        (SPEAK, TOGETHER, "audio/wav", 24_000),
        (SPEAK, TOGETHER_1, "audio/wav", 24_000),
    ],
)
def test_defaults_by_dialect(
    server: Running, path: str, headers: dict[str, str], content_type: str, rate: int
) -> None:
    answer = speak(server, path, headers=headers)
    assert answer.headers["content-type"] == content_type
    assert heard(answer.content)[1] == rate


def test_what_the_oldest_client_always_sends(server: Running) -> None:
    body = {
        "model": "tts-1",
        "input": TEXT,
        "response_format": "wav",
        "language": "en",
        "response_encoding": "pcm_f32le",
        "sample_rate": 24_000,
        "stream": False,
    }
    answer = server.http.post(SPEAK, json=body, headers=TOGETHER_1)
    assert answer.headers["content-type"] == "audio/wav"
    assert heard(answer.content)[:2] == ("pcm_s16le", 24_000)


@pytest.mark.parametrize(("speed", "seconds"), [(0.25, 4.0), (0.5, 2.0), (2, 0.5), (5, 0.2)])
def test_speed(server: Running, speed: float, seconds: float) -> None:
    answer = speak(server, speed=speed, response_format="wav")
    assert heard(answer.content)[2] == pytest.approx(SECONDS * seconds, rel=0.1)


def test_voice_as_an_object_and_in_any_case(server: Running) -> None:
    assert speak(server, voice={"id": "LOW"}).headers["x-hearsay-voice"] == "low"


def test_a_vendors_voice_has_a_part(server: Running) -> None:
    assert speak(server, voice="alloy").headers["x-hearsay-voice"] == "high"
    assert speak(server, voice="onyx").headers["x-hearsay-voice"] == "low"


def test_what_is_not_heeded_is_told(server: Running) -> None:
    answer = speak(server, extra_params={"a": 1}, colour="blue", bit_rate=64_000, response_format="flac")
    warnings = answer.headers.get_list("x-hearsay-warning")
    assert any("colour, extra_params" in warning for warning in warnings)
    assert any("bit_rate" in warning for warning in warnings)


# Events


def test_events(server: Running) -> None:
    answer = speak(server, stream_format="sse", response_format="pcm")
    assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
    *deltas, done = (json.loads(event) for event in events_of(answer))
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert len(deltas) > 1
    joined = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert joined == speak(server, response_format="pcm").content
    assert done == {
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": len(TEXT),
            "output_tokens": round(SECONDS * 50),
            "total_tokens": len(TEXT) + round(SECONDS * 50),
        },
    }


@pytest.mark.parametrize("name", ["raw", "wav", "mp3"])
@pytest.mark.parametrize("headers", [TOGETHER, TOGETHER_1])
def test_chunks(server: Running, headers: dict[str, str], name: str) -> None:
    answer = speak(server, headers=headers, stream=True, response_format=name)
    assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
    *chunks, done = events_of(answer)
    assert done == "[DONE]"
    joined = b""
    for chunk in map(json.loads, chunks):
        assert chunk["object"] == "audio.tts.chunk"
        assert chunk["type"] == "conversation.item.audio_output.delta"
        assert chunk["model"] == fake_cards.FAKE_VOICE
        assert chunk["b64"] == chunk["delta"]
        joined += base64.b64decode(chunk["b64"])
    assert joined == speak(server, headers=headers, response_format=name).content


# Refusals


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"input": None}, (400, "missing_required_parameter", "input")),
        ({"input": "  "}, (400, "empty_string", "input")),
        ({"input": "…—!"}, (400, "nothing_to_say", "input")),
        ({"input": "🎉🎉"}, (400, "nothing_to_say", "input")),
        ({"input": "\x00\x01\x1b"}, (400, "nothing_to_say", "input")),
        ({"input": "\ud800"}, (400, "nothing_to_say", "input")),
        ({"voice": None}, (400, "missing_required_parameter", "voice")),
        ({"voice": "hihg"}, (400, "voice_not_found", "voice")),
        ({"voice": "\ud800"}, (400, "voice_not_found", "voice")),
        ({"voice": "v" * 100_000}, (400, "invalid_request", "voice")),
        ({"model": "tts-9"}, (404, "model_not_found", "model")),
        ({"model": "\udfff"}, (404, "model_not_found", "model")),
        ({"model": "whisper-1"}, (400, "unsupported_option", "model")),
        ({"model": "fake"}, (400, "unsupported_option", "model")),
        ({"language": "ja"}, (400, "unsupported_option", "language")),
        ({"instructions": "Whisper."}, (400, "unsupported_option", "instructions")),
        ({"response_format": "mp4"}, (400, "invalid_request", "response_format")),
        ({"response_format": "opus", "sample_rate": 44_100}, (400, "unsupported_option", "sample_rate")),
        ({"speed": 9}, (400, "invalid_request", "speed")),
    ],
)
@pytest.mark.parametrize("more", [{}, {"stream_format": "sse"}], ids=["bytes", "events"])
def test_refusals(
    server: Running, fields: dict[str, Any], refused: tuple[int, str, str], more: dict[str, str]
) -> None:
    body = json.dumps(HELLO | fields | more).encode()
    answer = server.http.post(SPEAK, content=body, headers={"content-type": "application/json"})
    assert refusal(answer) == refused
    assert "x-should-retry" not in answer.headers
    assert len(answer.text) < 1000


def test_the_nearest_voice_is_named(server: Running) -> None:
    assert "high" in speak(server, voice="hihg").json()["error"]["message"]


def test_instructions_that_a_model_ignores(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(fake_cards.fake_voice(), ignores=frozenset({"instructions"}))
    monkeypatch.setattr(fake_cards, "fake_voice", lambda: card)
    with stage.open() as server:
        answer = speak(server, instructions="Whisper.")
        assert "x-hearsay-warning" not in speak(server).headers
    assert answer.status_code == 200
    assert "instructions" in answer.headers["x-hearsay-warning"]


BODIES = {
    "empty": b"",
    "blank": b" \n",
    "no json": b"input=Hello",
    "half": b'{"input": "Hello',
    "list": b"[]",
    "text": b'"Hello"',
    "null": b"null",
    "not a number": b'{"input": "Hello.", "voice": "high", "speed": NaN}',
    "infinity": b'{"input": "Hello.", "voice": "high", "speed": -Infinity}',
    "latin-1": '{"input": "ä"}'.encode("latin-1"),
    "utf-16": '{"input": "Hello.", "voice": "high"}'.encode("utf-16"),
    "digits": b'{"input": "Hello.", "voice": "high", "speed": ' + b"1" * 50_000 + b"}",
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "lists within": b'{"input": "Hello.", "voice": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_requests(server: Running, name: str) -> None:
    answer = server.http.post(SPEAK, content=BODIES[name], headers={"content-type": "application/json"})
    assert refusal(answer)[:2] == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b'{"input": "a", "input": "Hello there.", "voice": "nobody", "voice": "high"}',
        b'\xef\xbb\xbf{"input": "Hello.", "voice": "high"}',
        b'{"input": "Hello.", "voice": "high", "speed": 1.5e0, "sample_rate": "16000", "x": 1e999}',
        b'{"input": "Hello \\ud800 there \\u0000.", "voice": "high", "\\ud800": 1}',
        b'{"input": "<speak><break time=\\"9s\\"/>Hello &amp; <b>there</b></speak>", "voice": "high"}',
        '{"input": "Ｈｅｌｌｏ́́́ \u202eʇɥǝɹǝ 你好 שלום", "voice": "high"}'.encode(),
    ],
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json", None]
)
def test_odd_bodies_that_are_answered(server: Running, body: bytes, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = server.http.post(SPEAK, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert heard(answer.content)[2] > 0.2


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("multipart/form-data; boundary=x", None),
        ("application/x-www-form-urlencoded", None),
        ("text/plain", None),
        ("application/json", "gzip"),
    ],
)
def test_bodies_of_another_type(server: Running, content_type: str, encoding: str | None) -> None:
    headers = {"content-type": content_type} | ({"content-encoding": encoding} if encoding else {})
    answer = server.http.post(SPEAK, content=json.dumps(HELLO).encode(), headers=headers)
    assert refusal(answer) == (415, "unsupported_media_type", None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_methods(server: Running, method: str) -> None:
    answer = server.http.request(method, SPEAK)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


# Limits


def test_a_long_text_without_a_space(stage: Stage) -> None:
    text = "x" * 200_000
    with stage.open() as server:
        answer = speak(server, input=text)
        assert refusal(answer) == (400, "string_above_max_length", "input")
        assert "200000" in answer.text
        assert "65536" in answer.text
    stage.limits = Limits(speech_characters=200_000)
    with stage.open() as server:
        assert speak(server, input=text, response_format="mulaw", sample_rate=8000).status_code == 200
        assert speak(server, input=f"{text}x").status_code == 400


def test_a_body_has_room_for_any_way_to_write_the_text(stage: Stage) -> None:
    stage.limits = Limits(speech_characters=20_000)
    text = "\U00020000" * 20_000

    def chunked() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    with stage.open() as server:
        answer = server.http.post(SPEAK, content=json.dumps(HELLO | {"input": text}).encode())
        assert answer.status_code == 200, answer.text
        for content in (b" " * 400_000, chunked()):
            assert refusal(server.http.post(SPEAK, content=content)) == (413, "payload_too_large", None)


class Gate:
    """Where the voice stops before each word, and how many words it began."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.n_words = 0

    def __call__(self) -> None:
        self.n_words += 1
        self.reached.set()
        assert self.opened.wait(30)


def test_a_full_house_is_told_before_the_body(stage: Stage) -> None:
    gate = Gate()
    stage.make_voice = lambda: FakeSynthesizer(Faults(pause=gate))
    stage.admission = Admission(max_requests=1)
    first: list[httpx.Response] = []
    with stage.open() as server:
        thread = threading.Thread(target=lambda: first.append(speak(server)))
        thread.start()
        assert gate.reached.wait(30)
        answer = server.answer_to_a_head(SPEAK)
        gate.opened.set()
        thread.join()
    assert answer.startswith("HTTP/1.1 429 ")
    assert '"overloaded"' in answer
    assert first[0].status_code == 200


# What goes wrong underway


def test_a_voice_that_breaks_at_once(stage: Stage) -> None:
    stage.make_voice = lambda: FakeSynthesizer(Faults(fail_after=0))
    with stage.open() as server:
        for stream_format in ("audio", "sse"):
            answer = speak(server, stream_format=stream_format)
            assert refusal(answer) == (500, "engine_failed", None)
            assert answer.headers["x-should-retry"] == "false"


def test_a_voice_that_breaks_underway_cuts_the_connection(stage: Stage) -> None:
    stage.make_voice = lambda: FakeSynthesizer(Faults(fail_after=5))
    with (
        stage.open() as server,
        server.http.stream("POST", SPEAK, json=HELLO | {"response_format": "wav"}) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        assert answer.status_code == 200
        answer.read()


@pytest.mark.parametrize(("more", "headers"), [({"stream_format": "sse"}, {}), ({"stream": True}, TOGETHER)])
def test_a_voice_that_breaks_underway_says_so_in_events(
    stage: Stage, more: dict[str, Any], headers: dict[str, str]
) -> None:
    stage.make_voice = lambda: FakeSynthesizer(Faults(fail_after=5))
    with stage.open() as server:
        *before, last = events_of(speak(server, headers=headers, response_format="pcm", **more))
    assert len(before) == 5
    assert json.loads(last)["error"]["code"] == "engine_failed"


def test_hanging_up_ends_the_work(stage: Stage) -> None:
    gate = Gate()
    stage.make_voice = lambda: FakeSynthesizer(Faults(pause=gate))
    body = json.dumps(HELLO).encode()
    head = f"POST {SPEAK} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with structlog.testing.capture_logs() as logs, opened(stage) as (server, finished):
        with connected(server, head + body):
            assert gate.reached.wait(30)
        assert finished.any.wait(30)
        gate.opened.set()
    assert gate.n_words == 1
    [log] = [log for log in logs if log.get("path") == SPEAK]
    assert (log["status"], log["failure"]) == (499, "hung_up")


# What is sent when


async def spoken_into(stage: Stage, body: dict[str, Any], send: Any) -> None:
    """Call the app without a socket."""
    app = stage.app()
    sent = False
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": SPEAK,
        "raw_path": SPEAK.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
    }

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async with app.router.lifespan_context(app):  # type: ignore[attr-defined]
        await app(scope, receive, send)


def test_sound_is_sent_as_it_is_made(stage: Stage) -> None:
    """Words are held back one by one; each is heard before the next may be made."""
    words = threading.Semaphore(1)
    stage.make_voice = lambda: FakeSynthesizer(Faults(pause=lambda: assert_acquired(words)))
    n_sent = 0

    async def send(message: Message) -> None:
        nonlocal n_sent
        if message["type"] == "http.response.body" and message["more_body"]:
            n_sent += 1
            words.release()

    asyncio.run(spoken_into(stage, HELLO | {"response_format": "pcm"}, send))
    assert n_sent == 8


def assert_acquired(words: threading.Semaphore) -> None:
    assert words.acquire(timeout=30)


def test_a_slow_reader_is_waited_for(stage: Stage) -> None:
    """No more than one word is made ahead of the one that is being sent."""
    mishaps = Faults()
    stage.make_voice = lambda: FakeSynthesizer(mishaps)
    n_sent, most_ahead = 0, 0

    async def send(message: Message) -> None:
        nonlocal n_sent, most_ahead
        if message["type"] == "http.response.body" and message["more_body"]:
            n_sent += 1
            for _ in range(20):
                await asyncio.to_thread(lambda: None)  # time for the voice to run ahead
            most_ahead = max(most_ahead, mishaps.done - n_sent)

    asyncio.run(spoken_into(stage, HELLO | {"response_format": "pcm"}, send))
    assert n_sent == mishaps.done == 8
    assert most_ahead == 1


def test_what_is_written_down(stage: Stage) -> None:
    with structlog.testing.capture_logs() as logs, stage.open() as server:
        speak(server, input="A secret of the house.", speed=5, response_format="wav")
    [log] = [log for log in logs if log["event"] == "request"]
    assert (log["model"], log["voice"], log["dialect"], log["status"]) == (
        "fake-voice",
        "high",
        "openai",
        200,
    )
    assert log["audio_seconds"] == pytest.approx(5 * WORD_SECONDS / 5, rel=0.01)
    assert log["rtfx"] > 0
    assert list(log["stages_ms"]) == ["upload", "load", "first", "synthesize"]
    assert "secret" not in str(logs)


# Voices


def test_the_app_is_one_that_can_be_served_again(stage: Stage) -> None:
    """A model that spoke is given back with the server."""
    made: list[FakeSynthesizer] = []

    def make() -> FakeSynthesizer:
        made.append(FakeSynthesizer())
        return made[-1]

    stage.make_voice = make
    with serving(stage.app()) as url:
        httpx.post(f"{url}{SPEAK}", json=HELLO, trust_env=False)
    assert [voice.is_closed for voice in made] == [True]
