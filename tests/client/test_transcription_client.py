"""The client of transcription servers: addresses, keys, limits, cutting, merging, retries, errors."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from hearsay.client.transcription_client import Limits, TranscriptionClient, endpoint, find_key, vendor_of
from hearsay.dialects.form_fields import FormFields
from hearsay.dialects.transcription_request import parse_chunking
from hearsay.domain import SAMPLE_RATE, Chunking, Task, TranscribeOptions, Transcript, VadThresholds
from hearsay.errors import (
    EngineFailed,
    InvalidAudio,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    Unauthorized,
)
from hearsay.media import decoding
from tests.support.tone_recognizer import SENTENCES, ToneRecognizer, hear, normal, speak

if TYPE_CHECKING:
    from tests.support.server import Stage

SPEECH = speak(SENTENCES)
TEXT = " ".join(SENTENCES)
PLAIN, DEFAULT = TranscribeOptions(), Limits()


@dataclass
class Vendor:
    """A scripted server that recognises tones; error responses come first."""

    refusals: list[httpx.Response | Exception] = field(default_factory=list)
    max_bytes: int | None = None
    max_seconds: float | None = None
    verbose: bool = True
    words: bool = True
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[httpx.Headers] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    at_once: int = 0
    peak: int = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        body = await request.aread()
        self.paths.append(request.url.path)
        self.headers.append(request.headers)
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, Exception):
                raise refusal
            return refusal
        if self.max_bytes is not None and len(body) > self.max_bytes:
            text = f"Maximum content size limit ({self.max_bytes}) exceeded ({len(body)} bytes read)"
            return refused(413, text)
        return self._heard(*fields(request.headers["content-type"], body))

    def _heard(self, form: dict[str, Any], content: bytes) -> httpx.Response:
        self.requests.append(form)
        verbose = form["response_format"] == "verbose_json"
        if verbose and not self.verbose:
            return refused(400, "response_format 'verbose_json' is not compatible with this model")
        wants_words = "timestamp_granularities[]" in form
        if wants_words and not self.words:
            return refused(400, "unknown field", param="timestamp_granularities")
        samples = decoded(content)
        seconds = len(samples) / SAMPLE_RATE
        if self.max_seconds is not None and seconds > self.max_seconds:
            longest = f"{self.max_seconds} seconds which is the maximum for this model"
            return refused(400, f"audio duration {seconds} seconds is longer than {longest}")
        self.lengths.append(seconds)
        return httpx.Response(200, json=answer(samples, verbose=verbose, words=wants_words))


def refused(
    status: int, text: str, *, param: str | None = None, code: str | None = None, **headers: str
) -> httpx.Response:
    body = {"error": {"message": text, "type": "x", "param": param, "code": code}}
    return httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def fields(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Read a multipart body with another parser than the one under test."""
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    form: dict[str, Any] = {}
    content = b""
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        if name == "file":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            content = payload
            form["filename"] = part.get_filename()
        elif name in form:
            form[name] = [
                *([form[name]] if isinstance(form[name], str) else form[name]),
                part.get_content().strip(),
            ]
        else:
            form[name] = part.get_content().strip()
    return form, content


def decoded(content: bytes) -> np.ndarray[Any, Any]:
    path = Path(_folder) / "received"
    path.write_bytes(content)
    return decoding.load(path).samples()


_folder = ""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    """Set the folder in which the scripted vendor decodes."""
    global _folder
    _folder = str(tmp_path)


def answer(samples: np.ndarray[Any, Any], *, verbose: bool, words: bool) -> dict[str, Any]:
    heard = list(hear(samples))
    text = "".join(word.text for word in heard).strip()
    if not verbose:
        return {"text": text}
    groups: list[list[Any]] = []
    for word in heard:
        if groups and word.start - groups[-1][-1].end < 0.3:
            groups[-1].append(word)
        else:
            groups.append([word])
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": "english",
        "duration": len(samples) / SAMPLE_RATE,
        "text": text,
        "segments": [
            {"id": i, "seek": 0, "start": g[0].start, "end": g[-1].end, "text": "".join(w.text for w in g)}
            for i, g in enumerate(groups)
        ],
    }
    if words:
        body["words"] = [{"word": w.text.strip(), "start": w.start, "end": w.end} for w in heard]
    return body


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(decoding.encode(SPEECH, "wav"))
    return path


def ask(
    vendor: Vendor,
    path: Path,
    options: TranscribeOptions = PLAIN,
    *,
    url: str = "http://server.test",
    limits: Limits = DEFAULT,
    model: str | None = None,
    progress: Callable[[float, float], None] = lambda done, total: None,
    waits: list[float] | None = None,
    notes: list[str] | None = None,
) -> Transcript:
    async def sleep(seconds: float) -> None:
        if waits is not None:
            waits.append(seconds)

    async def run() -> Transcript:
        async with TranscriptionClient(
            url,
            api_key="secret",
            model=model,
            limits=limits,
            transport=httpx.MockTransport(vendor),
            sleep=sleep,
            note=(notes if notes is not None else []).append,
        ) as server:
            return await server.transcribe(path, options, progress=progress)

    return asyncio.run(run())


SMALL = Limits(part_bytes=300_000, overlap=3.0)
"""Parts of about nine seconds."""


@pytest.mark.parametrize(
    ("base", "joined"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/audio/transcriptions"),
        ("http://localhost:8000/", "http://localhost:8000/v1/audio/transcriptions"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1/audio/transcriptions"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/audio/transcriptions"),
        ("http://localhost:8000/openai/v1", "http://localhost:8000/openai/v1/audio/transcriptions"),
        ("http://h/proxy", "http://h/proxy/v1/audio/transcriptions"),
        ("http://h/v1/audio/transcriptions", "http://h/v1/audio/transcriptions"),
        ("https://api.openai.com", "https://api.openai.com/v1/audio/transcriptions"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1/audio/transcriptions"),
        ("https://api.groq.com", "https://api.groq.com/openai/v1/audio/transcriptions"),
        ("https://api.groq.com/v1", "https://api.groq.com/openai/v1/audio/transcriptions"),
        ("https://api.groq.com/openai", "https://api.groq.com/openai/v1/audio/transcriptions"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/audio/transcriptions"),
        ("https://api.together.xyz/v1", "https://api.together.xyz/v1/audio/transcriptions"),
        ("https://api.together.ai", "https://api.together.ai/v1/audio/transcriptions"),
    ],
)
def test_endpoint_joins_as_the_vendors_clients_do(base: str, joined: str) -> None:
    assert endpoint(base, Task.TRANSCRIBE) == joined
    assert endpoint(base, Task.TRANSLATE) == joined.replace("transcriptions", "translations")


@pytest.mark.parametrize("base", ["localhost:8000", "ftp://h", "", "http://"])
def test_endpoint_refuses_what_is_no_address(base: str) -> None:
    with pytest.raises(InvalidRequest, match="no http"):
        endpoint(base, Task.TRANSCRIBE)


def test_keys_go_to_nobody_else() -> None:
    keys = {"OPENAI_API_KEY": "o", "GROQ_API_KEY": "g", "TOGETHER_API_KEY": "t", "HEARSAY_API_KEY": "h"}
    assert find_key("https://api.openai.com/v1", keys) == "o"
    assert find_key("https://api.groq.com", keys) == "g"
    assert find_key("https://api.together.xyz/v1", keys) == "t"
    assert find_key("http://localhost:8000", keys) == "h"
    assert find_key("https://api.openai.com.evil.test/v1", keys) == "h"
    assert find_key("https://api.groq.com", {"HEARSAY_API_KEY": "h"}) is None
    assert vendor_of("https://notapi.openai.com.test") is None


def test_a_small_file_goes_as_it_is(recording: Path) -> None:
    vendor = Vendor()
    seen: list[tuple[float, float]] = []
    options = TranscribeOptions(language="en", prompt="Names: Ada", temperature=0.2, words=True)
    transcript = ask(vendor, recording, options, progress=lambda a, b: seen.append((a, b)))
    assert normal(transcript.text) == TEXT
    assert [normal(s.text) for s in transcript.segments] == list(SENTENCES)
    assert [w.text.strip() for w in transcript.words] == TEXT.split()
    assert all(word.text.startswith(" ") for word in transcript.words)
    assert (transcript.language, transcript.model) == ("en", "whisper-1")
    assert transcript.duration == pytest.approx(len(SPEECH) / SAMPLE_RATE, abs=0.01)
    assert vendor.paths == ["/v1/audio/transcriptions"]
    assert vendor.headers[0]["authorization"] == "Bearer secret"
    assert vendor.requests == [
        {
            "model": "whisper-1",
            "response_format": "verbose_json",
            "language": "en",
            "prompt": "Names: Ada",
            "temperature": "0.2",
            "timestamp_granularities[]": ["word", "segment"],
            "filename": "audio.wav",
        }
    ]
    assert seen[-1][0] == seen[-1][1] == transcript.duration


@pytest.mark.parametrize(
    ("chunking", "vad", "sent"),
    [
        (None, None, {}),
        (Chunking.SEQUENTIAL, None, {"chunking_strategy": "sequential"}),
        (Chunking.VAD, None, {"chunking_strategy": "auto"}),
        (
            Chunking.VAD,
            VadThresholds(0.25, 1.0, 0.1),
            {
                "chunking_strategy[type]": "server_vad",
                "chunking_strategy[threshold]": "0.25",
                "chunking_strategy[silence_duration_ms]": "1000",
                "chunking_strategy[prefix_padding_ms]": "100",
            },
        ),
    ],
)
def test_how_to_cut_is_passed_on(
    recording: Path, chunking: Chunking | None, vad: VadThresholds | None, sent: dict[str, str]
) -> None:
    vendor = Vendor()
    ask(vendor, recording, TranscribeOptions(chunking=chunking, vad=vad), url="http://localhost:8000")
    form = vendor.requests[0]
    assert {name: value for name, value in form.items() if name.startswith("chunking")} == sent
    wish = parse_chunking(FormFields(sent.items()))
    assert (wish.chunking, wish.vad) == (chunking, vad)


def test_a_name_that_vendors_do_not_know_is_sent_as_flac(tmp_path: Path) -> None:
    path = tmp_path / "talk.opus"
    path.write_bytes(decoding.encode(SPEECH, "flac"))
    vendor = Vendor()
    assert normal(ask(vendor, path).text) == TEXT
    assert vendor.requests[0]["filename"] == "part.flac"


def test_translation_has_its_own_path_and_model(recording: Path) -> None:
    vendor = Vendor()
    options = TranscribeOptions(Task.TRANSLATE, language="de", words=True)
    ask(vendor, recording, options, url="https://api.groq.com")
    assert vendor.paths == ["/openai/v1/audio/translations"]
    form = vendor.requests[0]
    assert form["model"] == "whisper-large-v3"
    assert "language" not in form and "timestamp_granularities[]" not in form


@pytest.mark.parametrize("words", [True, False])
def test_a_large_file_is_cut_and_merged(recording: Path, words: bool) -> None:
    vendor = Vendor()
    seen: list[float] = []
    transcript = ask(
        vendor,
        recording,
        TranscribeOptions(words=words),
        limits=SMALL,
        progress=lambda a, b: seen.append(a / b),
    )
    assert len(vendor.requests) >= 3
    assert normal(transcript.text) == TEXT
    assert normal("".join(s.text for s in transcript.segments)) == TEXT
    assert transcript.duration == len(SPEECH) / SAMPLE_RATE
    starts = [word.start for word in hear(SPEECH)] if words else []
    assert [w.start for w in transcript.words] == pytest.approx(starts, abs=0.05)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)
    assert [form.get("language") for form in vendor.requests] == [None, *["en"] * (len(vendor.requests) - 1)]


def test_parts_are_sent_side_by_side_but_not_all_at_once(recording: Path) -> None:
    crowd = asyncio.Condition()

    class Crowded(Vendor):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            async with crowd:
                self.at_once += 1
                self.peak = max(self.peak, self.at_once)
                crowd.notify_all()
                if self.paths:  # all but the first part, which goes ahead alone
                    await asyncio.wait_for(crowd.wait_for(lambda: self.peak >= 2), 30)
            answered = await super().__call__(request)
            self.at_once -= 1
            return answered

    vendor = Crowded()
    ask(vendor, recording, limits=replace(SMALL, part_bytes=200_000, overlap=1.5, n_requests=2))
    assert len(vendor.requests) >= 4
    assert vendor.peak == 2


def cut_at(path: Path, seconds: float, tmp_path: Path) -> Path:
    lead = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    shifted = tmp_path / "shifted.wav"
    shifted.write_bytes(decoding.encode(np.concatenate([lead, SPEECH]), "wav"))
    return shifted


@pytest.mark.parametrize("verbose", [True, False])
@pytest.mark.parametrize("lead", [0.0, 0.11, 0.23, 0.37, 0.71, 1.3])
def test_wherever_the_cuts_fall_no_word_is_lost_or_doubled(
    recording: Path, tmp_path: Path, lead: float, verbose: bool
) -> None:
    vendor = Vendor(verbose=verbose)
    transcript = ask(
        vendor, cut_at(recording, lead, tmp_path), limits=Limits(part_bytes=330_000, overlap=4.0)
    )
    assert normal(transcript.text) == TEXT
    assert bool(transcript.segments) is verbose


def test_a_server_that_knows_no_words_is_asked_without(recording: Path) -> None:
    vendor = Vendor(words=False)
    notes: list[str] = []
    transcript = ask(vendor, recording, TranscribeOptions(words=True), limits=SMALL, notes=notes)
    assert normal(transcript.text) == TEXT
    assert any("no word times" in warning for warning in transcript.warnings)
    assert any("refuses word times" in note for note in notes)


def test_413_makes_smaller_parts_as_the_server_says(recording: Path) -> None:
    vendor = Vendor(max_bytes=200_000)
    transcript = ask(vendor, recording)
    assert normal(transcript.text) == TEXT
    assert len(vendor.requests) > 3


def test_what_a_server_refused_once_is_not_sent_to_it_again(recording: Path) -> None:
    vendor = Vendor(max_bytes=300_000)
    refusals = Vendor(max_seconds=12.0)

    async def run(served: Vendor) -> list[str]:
        transport = httpx.MockTransport(served)
        async with TranscriptionClient("http://server.test", transport=transport) as server:
            return [(await server.transcribe(recording, PLAIN)).text for _ in range(2)]

    assert [normal(text) for text in asyncio.run(run(vendor))] == [TEXT] * 2
    assert len(vendor.paths) == 1 + len(vendor.requests)  # one refusal, though two recordings
    assert [normal(text) for text in asyncio.run(run(refusals))] == [TEXT] * 2
    assert len(refusals.requests) == 1 + len(refusals.lengths)


def test_damage_that_decoding_found_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(decoding.encode(SPEECH, "wav")[:-100_000])
    assert decoding.load(path).warnings
    assert ask(Vendor(), path, limits=SMALL).warnings == decoding.load(path).warnings


def test_413_without_a_number_halves(recording: Path) -> None:
    vendor = Vendor(refusals=[refused(413, "Request Entity Too Large")] * 2)
    transcript = ask(vendor, recording)
    assert normal(transcript.text) == TEXT
    assert len(vendor.requests) > 1


def test_a_server_that_takes_nothing_is_given_up(recording: Path) -> None:
    with pytest.raises(InvalidRequest, match="too little sound") as caught:
        ask(Vendor(refusals=[refused(413, "too large")] * 50), recording)
    assert caught.value.code == "payload_too_large"


def test_a_limit_of_seconds_is_obeyed(recording: Path) -> None:
    vendor = Vendor(max_seconds=8.0)
    transcript = ask(vendor, recording)
    assert normal(transcript.text) == TEXT
    assert max(vendor.lengths) <= 8.0


def test_a_model_without_times_gives_text(recording: Path) -> None:
    vendor = Vendor(verbose=False)
    transcript = ask(vendor, recording, url="https://api.openai.com/v1", model="gpt-4o-transcribe")
    assert normal(transcript.text) == TEXT
    assert transcript.segments == ()
    assert transcript.duration == pytest.approx(len(SPEECH) / SAMPLE_RATE, abs=0.01)
    assert [form["response_format"] for form in vendor.requests] == ["json"]


def test_retries_honour_what_the_server_asks(recording: Path) -> None:
    waits: list[float] = []
    vendor = Vendor(
        refusals=[
            refused(429, "slow down", retry_after="7"),
            refused(429, "slow down", retry_after_ms="1500", retry_after="9"),
            refused(503, "restarting"),
        ]
    )
    notes: list[str] = []
    assert normal(ask(vendor, recording, waits=waits, notes=notes).text) == TEXT
    assert waits[:2] == [7.0, 1.5]
    assert 1.5 <= waits[2] <= 2.0
    assert any("slow down" in note for note in notes)


def test_retries_are_bounded_in_number_and_time(recording: Path) -> None:
    waits: list[float] = []
    with pytest.raises(Overloaded, match="slow down"):
        ask(Vendor(refusals=[refused(429, "slow down", retry_after="0")] * 9), recording, waits=waits)
    assert len(waits) == 4
    waits.clear()
    with pytest.raises(Overloaded):
        ask(Vendor(refusals=[refused(429, "slow down", retry_after="601")] * 9), recording, waits=waits)
    assert waits == []


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        (refused(401, "Incorrect API key"), Unauthorized, "Incorrect API key"),
        (refused(404, "no model x", code="model_not_found"), ModelNotFound, "no model x"),
        (refused(404, "Not Found"), EngineFailed, "no transcription API at http://server.test/v1/audio"),
        (
            httpx.Response(308, headers={"location": "https://s.test/v1"}),
            EngineFailed,
            "moved to https://s.test/v1",
        ),
        (refused(400, "Invalid file format"), InvalidRequest, "Invalid file format"),
        (refused(429, "no money", code="insufficient_quota"), Overloaded, "no money"),
        (refused(500, "broken", x_should_retry="false"), EngineFailed, "broken"),
        (httpx.Response(422, json={"detail": "field required"}), InvalidRequest, "field required"),
        (httpx.Response(400, text="<html>Bad Gateway"), InvalidRequest, "Bad Gateway"),
        (httpx.Response(403, json=["odd"]), Unauthorized, "odd"),
        (httpx.Response(200, text="hello"), EngineFailed, "not JSON"),
        (httpx.Response(200, json={"words": []}), EngineFailed, "no text"),
        (
            httpx.Response(200, json={"text": "a", "segments": [{"start": 1}]}),
            EngineFailed,
            "cannot be read|can be read",
        ),
    ],
)
def test_permanent_refusals_are_raised_at_once_with_the_servers_words(
    recording: Path, refusal: httpx.Response, kind: type[Exception], said: str
) -> None:
    waits: list[float] = []
    vendor = Vendor(refusals=[refusal])
    with pytest.raises(kind, match=said):
        ask(vendor, recording, waits=waits)
    assert waits == [] and len(vendor.paths) == 1


def test_a_server_that_is_not_there(recording: Path) -> None:
    waits: list[float] = []
    refusals: list[httpx.Response | Exception] = [
        httpx.ConnectTimeout(""),
        httpx.ConnectError("refused"),
    ]
    with pytest.raises(EngineFailed, match=r"server\.test cannot be reached") as caught:
        ask(Vendor(refusals=refusals), recording, waits=waits)
    assert caught.value.code == "unreachable"
    assert len(waits) == 1


def test_a_broken_connection_is_tried_again_and_silence_is_not(recording: Path) -> None:
    waits: list[float] = []
    assert normal(ask(Vendor(refusals=[httpx.ReadError("reset")]), recording, waits=waits).text) == TEXT
    assert len(waits) == 1
    with pytest.raises(EngineFailed, match="did not answer within"):
        ask(Vendor(refusals=[httpx.ReadTimeout("slow")]), recording)
    with pytest.raises(EngineFailed, match="broke") as caught:
        ask(Vendor(refusals=[httpx.ReadError("reset")] * 9), recording)
    assert caught.value.code == "connection_broken"  # it may be this recording's fault, so others are tried


def test_one_failing_part_ends_the_recording(recording: Path) -> None:
    vendor = Vendor()
    inner = vendor.__call__
    count = 0

    async def second_fails(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return refused(400, "part is bad") if count == 2 else await inner(request)

    async def run() -> None:
        transport = httpx.MockTransport(second_fails)
        async with TranscriptionClient("http://server.test", limits=SMALL, transport=transport) as server:
            await server.transcribe(recording, TranscribeOptions())

    with pytest.raises(InvalidRequest, match="part is bad"):
        asyncio.run(run())


def test_what_is_no_recording_is_our_own_error_when_it_has_to_be_cut(tmp_path: Path) -> None:
    path = tmp_path / "notes.docx"
    path.write_bytes(b"not a recording" * 100)
    with pytest.raises(InvalidAudio):
        ask(Vendor(), path)


def transcribe_over_http(url: str, path: Path, limits: Limits, words: bool) -> Transcript:
    async def run() -> Transcript:
        async with TranscriptionClient(url, limits=limits) as server:
            return await server.transcribe(path, TranscribeOptions(words=words))

    return asyncio.run(run())


@pytest.mark.parametrize("words", [True, False])
def test_cut_and_merge_through_the_real_server(stage: Stage, recording: Path, words: bool) -> None:
    stage.make = ToneRecognizer
    with stage.open() as server:
        whole = transcribe_over_http(server.url, recording, Limits(), words)
        merged = transcribe_over_http(server.url, recording, SMALL, words)
    assert normal(whole.text) == normal(merged.text) == TEXT
    assert merged.model == "fake"
    assert [w.text for w in merged.words] == [w.text for w in whole.words]
