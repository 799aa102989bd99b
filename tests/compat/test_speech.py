"""Speech through every client: each format that it can ask for, whole and as it is made, voices, errors.

The sound is real: the embedded voice says one short sentence, and whatever a client wrote to a file is read
with FFmpeg's libraries, or by hand where there is no header.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.compat.clients import Client, Session, only
from tests.compat.failures import Failure
from tests.compat.test_errors import demand

MODEL = "espeak-ng"
VOICE = "alloy"
TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun."
TOLERANCE = 0.1
"""By how much the lengths of one sentence in two formats may differ."""

Pcm = NDArray[np.int16]


@dataclass(frozen=True)
class Wanted:
    """A way of asking for sound, and what must come of it."""

    arguments: tuple[tuple[str, Any], ...]
    codec: str
    """As FFmpeg names it."""
    rate: int
    content_type: str

    def __str__(self) -> str:
        return "-".join(str(value) for _, value in self.arguments) or "default"

    @property
    def is_bare(self) -> bool:
        """Whether there is no header that says what the samples are."""
        names = dict(self.arguments)
        return names.get("response_format") in ("pcm", "raw", "mulaw")


def wanted(codec: str, rate: int, content_type: str, **arguments: Any) -> Wanted:
    """Write a row of the tables below."""
    return Wanted(tuple(arguments.items()), codec, rate, content_type)


OCTETS = "application/octet-stream"

BY_VENDOR = {
    "openai": (
        wanted("mp3float", 24_000, "audio/mpeg"),
        wanted("mp3float", 24_000, "audio/mpeg", response_format="mp3"),
        wanted("opus", 48_000, "audio/ogg", response_format="opus"),  # every Opus decodes at 48 kHz
        wanted("aac", 24_000, "audio/aac", response_format="aac"),
        wanted("flac", 24_000, "audio/flac", response_format="flac"),
        wanted("pcm_s16le", 24_000, "audio/wav", response_format="wav"),
        wanted("pcm_s16le", 24_000, "audio/pcm", response_format="pcm"),
    ),
    "groq": (
        wanted("mp3float", 48_000, "audio/mpeg", response_format="mp3"),
        wanted("flac", 48_000, "audio/flac", response_format="flac"),
        wanted("flac", 44_100, "audio/flac", response_format="flac", sample_rate=44_100),
        wanted("opus", 48_000, "audio/ogg", response_format="ogg"),
        wanted("flac", 22_050, "audio/ogg", response_format="ogg", sample_rate=22_050),
        wanted("pcm_s16le", 48_000, "audio/wav", response_format="wav"),
        wanted("pcm_s16le", 8000, "audio/wav", response_format="wav", sample_rate=8000),
        wanted("pcm_s16le", 32_000, "audio/wav", response_format="wav", sample_rate=32_000),
        wanted("pcm_mulaw", 48_000, OCTETS, response_format="mulaw"),
        wanted("pcm_mulaw", 8000, "audio/basic", response_format="mulaw", sample_rate=8000),
        wanted("pcm_mulaw", 16_000, OCTETS, response_format="mulaw", sample_rate=16_000),
    ),
    "together": (
        wanted("pcm_s16le", 24_000, "audio/wav"),
        wanted("mp3float", 24_000, "audio/mpeg", response_format="mp3"),
        wanted("mp3float", 44_100, "audio/mpeg", response_format="mp3", sample_rate=44_100, bit_rate=128_000),
        wanted("pcm_s16le", 24_000, "audio/wav", response_format="wav"),
        wanted("pcm_s16le", 16_000, "audio/wav", response_format="wav", sample_rate=16_000),
        *(
            wanted(
                encoding, rate, OCTETS, response_format="raw", response_encoding=encoding, sample_rate=rate
            )
            for encoding, rate in (
                ("pcm_f32le", 24_000),
                ("pcm_s16le", 44_100),
                ("pcm_mulaw", 8000),
                ("pcm_alaw", 8000),
            )
        ),
    ),
}
"""By vendor, what its clients document."""

STREAMED = (
    wanted("pcm_s16le", 24_000, "", response_format="raw", response_encoding="pcm_s16le", sample_rate=24_000),
    wanted("pcm_f32le", 44_100, "", response_format="raw", response_encoding="pcm_f32le", sample_rate=44_100),
)
"""What is asked for with `stream`, by the clients that have it."""

HOSTED = {
    "openai": (("gpt-4o-mini-tts", "marin"), ("tts-1", "alloy"), ("tts-1-hd", "onyx")),
    "groq": (("playai-tts", "Fritz-PlayAI"), ("playai-tts-arabic", "Ahmad-PlayAI")),
    "together": (("cartesia/sonic", "friendly sidekick"), ("canopylabs/orpheus-3b-0.1-ft", "tara")),
}
"""By vendor, names that stand in its examples."""


@dataclass(frozen=True)
class Sound:
    """What came out of a file."""

    codec: str
    rate: int
    samples: Pcm

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.samples) / self.rate


def heard(path: Path, form: Wanted) -> Sound:
    """Read a file that a client wrote; bare samples are taken for what was asked for."""
    kind = form.codec.removeprefix("pcm_") if form.is_bare else None
    options = {"sample_rate": str(form.rate)} if form.is_bare else {}
    with av.open(str(path), format=kind, options=options) as container:
        (stream,) = container.streams.audio
        resampler = av.AudioResampler(format="s16", layout="mono", rate=stream.rate)
        frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
        samples = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
        return Sound(stream.codec_context.name, stream.rate, samples)


@pytest.fixture(scope="session")
def reference(address: str, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """The sentence without any client, in the plainest format."""
    path = tmp_path_factory.mktemp("reference") / "speech.wav"
    body = {"model": MODEL, "voice": VOICE, "input": TEXT, "response_format": "wav", "sample_rate": 8000}
    answer = httpx.post(f"{address}/v1/audio/speech", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    path.write_bytes(answer.content)
    return heard(path, wanted("pcm_s16le", 8000, "audio/wav"))


def demand_sound(sound: Sound, form: Wanted, reference: Sound) -> None:
    """Check codec, rate and length, and that it is speech: loud where the reference is."""
    assert (sound.codec, sound.rate) == (form.codec, form.rate)
    assert sound.seconds == pytest.approx(reference.seconds, rel=TOLERANCE)
    assert loudness(sound.samples) == pytest.approx(loudness(reference.samples), rel=0.3)


def loudness(samples: Pcm) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def ask(session: Session, call: str, to: Path | None, form: Wanted | None = None, **further: Any) -> Any:
    """Have the sentence said; give the outcome."""
    arguments = (
        {"model": MODEL, "voice": VOICE, "input": TEXT} | dict(form.arguments if form else ()) | further
    )
    job: dict[str, Any] = {} if to is None else {"to": str(to)}
    return session.call(call, arguments=arguments, **job)


def forms(client: Client) -> Iterator[Wanted]:
    """Return what a client can ask for."""
    for form in BY_VENDOR[client.vendor]:
        if client.name != "together-py-1" or "bit_rate" not in dict(form.arguments):
            yield form


def generated(client: Client) -> bool:
    """Return whether a client is one of those that one generator wrote."""
    return client.name != "together-py-1"


def streams_chunks(client: Client) -> bool:
    """Return whether a client has `stream` for speech, and gives its chunks to the user."""
    return client.vendor == "together" and generated(client)


def test_every_format(session: Session, tmp_path: Path, reference: Sound) -> None:
    for form in forms(session.client):
        path = tmp_path / str(form)
        outcome = ask(session, "speak", path, form, **rate_of_first_generation(session, form))
        assert outcome["ok"], (str(form), outcome)
        if generated(session.client):
            assert outcome["content_type"] == form.content_type, str(form)
        demand_sound(heard(path, form), form, reference)


def rate_of_first_generation(session: Session, form: Wanted) -> dict[str, int]:
    """The async class of that client always asks for another rate than the sync one."""
    if generated(session.client) or "sample_rate" in dict(form.arguments):
        return {}
    return {"sample_rate": form.rate}


@only(generated)
def test_as_it_is_made(session: Session, tmp_path: Path, reference: Sound) -> None:
    for form in (
        f for f in forms(session.client) if dict(f.arguments).get("response_format") in ("mp3", "wav")
    ):
        path = tmp_path / str(form)
        outcome = ask(session, "speak_streaming", path, form)
        assert outcome["ok"], (str(form), outcome)
        assert outcome["content_type"] == form.content_type, str(form)
        demand_sound(heard(path, form), form, reference)


@only(lambda client: client.vendor == "groq")
def test_mulaw_is_g711(session: Session, tmp_path: Path, reference: Sound) -> None:
    """Eight bits a sample; each step is a sixteenth of its octave, of which half can be lost."""
    form = wanted("pcm_mulaw", 8000, "audio/basic", response_format="mulaw", sample_rate=8000)
    assert ask(session, "speak", tmp_path / "speech", form)["ok"]
    sound = heard(tmp_path / "speech", form)
    assert (tmp_path / "speech").stat().st_size == len(sound.samples) == len(reference.samples)
    plain = reference.samples.astype(np.int32)
    assert np.all(np.abs(sound.samples - plain) <= (np.abs(plain) + 132) / 16)


def test_wav_has_a_valid_header(session: Session, tmp_path: Path) -> None:
    form = wanted("pcm_s16le", 16_000, "audio/wav", response_format="wav")
    if session.client.vendor != "openai":
        form = wanted("pcm_s16le", 16_000, "audio/wav", response_format="wav", sample_rate=16_000)
    assert ask(session, "speak", tmp_path / "speech.wav", form)["ok"]
    data = (tmp_path / "speech.wav").read_bytes()
    rate = 24_000 if session.client.vendor == "openai" else 16_000
    assert data[:4] + data[8:16] == b"RIFFWAVEfmt "
    fields = np.frombuffer(data[20:36], "<u2")
    assert list(fields[:2]) == [1, 1]
    assert list(np.frombuffer(data[24:32], "<u4")) == [rate, 2 * rate]
    assert list(fields[6:]) == [2, 16]
    assert data[36:40] == b"data"
    # The length is not known when the header leaves; the most that a field can say means "up to the end".
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize("form", STREAMED, ids=str)
@only(streams_chunks)
def test_chunks(session: Session, tmp_path: Path, reference: Sound, form: Wanted) -> None:
    outcome = ask(session, "speak", None, form, stream=True)
    assert outcome["ok"] and "stream_error" not in outcome, outcome
    chunks = [event.get("value", event) for event in outcome["events"]]
    assert len(chunks) > 1
    assert {chunk["object"] for chunk in chunks} == {"audio.tts.chunk"}
    assert {chunk["model"] for chunk in chunks} == {MODEL}
    (tmp_path / "speech").write_bytes(b"".join(base64.b64decode(chunk["b64"]) for chunk in chunks))
    demand_sound(heard(tmp_path / "speech", form), form, reference)


@only(lambda client: client.name == "together-py-1", if_async=lambda _: False)
@pytest.mark.parametrize("suffix", ["wav", "raw"])
def test_first_generation_joins_its_chunks(
    session: Session, tmp_path: Path, reference: Sound, suffix: str
) -> None:
    """That client puts a header before the samples itself, for 16 bits at 24 kHz; its async class cannot."""
    path = tmp_path / f"speech.{suffix}"
    raw = {"response_format": "raw", "response_encoding": "pcm_s16le", "sample_rate": 24_000}
    outcome = session.call(
        "speak",
        to=str(path),
        arguments={"model": MODEL, "voice": VOICE, "input": TEXT, "stream": True, **raw},
    )
    assert outcome["ok"], outcome
    form = wanted("pcm_s16le", 24_000, "", **(raw if suffix == "raw" else {"response_format": "wav"}))
    demand_sound(heard(path, form), form, reference)


@only(lambda client: client.vendor == "openai")
def test_events(session: Session, tmp_path: Path, reference: Sound) -> None:
    """This vendor's clients hand events on as bytes."""
    form = wanted("flac", 24_000, "text/event-stream", response_format="flac", stream_format="sse")
    outcome = ask(session, "speak", tmp_path / "events", form)
    assert outcome["ok"], outcome
    assert outcome["content_type"].split(";")[0] == form.content_type
    lines = (tmp_path / "events").read_text("utf-8").splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    events = [json.loads(line) for line in data if line != "[DONE]"]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    assert set(events[-1]["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}
    path = tmp_path / "speech.flac"
    path.write_bytes(b"".join(base64.b64decode(event["audio"]) for event in events[:-1]))
    demand_sound(heard(path, form), form, reference)


@only(lambda client: client.vendor == "openai")
def test_a_voice_may_be_an_object(session: Session, tmp_path: Path, reference: Sound) -> None:
    form = wanted("pcm_s16le", 24_000, "audio/wav", response_format="wav")
    outcome = ask(session, "speak", tmp_path / "speech", form, voice={"id": VOICE})
    assert outcome["ok"], outcome
    demand_sound(heard(tmp_path / "speech", form), form, reference)


def test_names_of_hosted_models_and_voices(session: Session, tmp_path: Path) -> None:
    form = wanted("", 0, "", response_format="mp3")
    for model, voice in HOSTED[session.client.vendor]:
        path = tmp_path / voice
        outcome = ask(session, "speak", path, form, model=model, voice=voice)
        assert outcome["ok"], outcome
        assert heard(path, form).seconds > 1, (model, voice)


@only(lambda client: client.vendor in ("openai", "groq"))
def test_speed(session: Session, tmp_path: Path, reference: Sound) -> None:
    form = wanted("pcm_s16le", 24_000, "audio/wav", response_format="wav")
    for speed in (0.25, 2.0, 4.0):
        assert ask(session, "speak", tmp_path / "speech", form, speed=speed)["ok"]
        seconds = heard(tmp_path / "speech", form).seconds
        assert seconds == pytest.approx(reference.seconds / speed, rel=0.2)


@only(lambda client: client.vendor == "together")
def test_voices(session: Session) -> None:
    outcome = session.call("voices")
    assert outcome["ok"], outcome
    value = outcome["value"]
    models = value if isinstance(value, list) else value["data"]  # some drivers unwrap lists
    by_model = {model["model"]: model["voices"] for model in models}
    assert len(by_model[MODEL]) > 50
    assert all(isinstance(value, str) for voice in by_model[MODEL] for value in voice.values())
    assert {"de", "en-us", "es"} <= {voice["id"] for voice in by_model[MODEL]}


@only(lambda client: client.vendor != "together")
def test_voices_by_hand(session: Session) -> None:
    prefix = "/openai/v1/" if session.client.vendor == "groq" else "/"
    for path in ("voices", "audio/voices"):
        outcome = session.call("request", method="GET", path=prefix + path)
        assert outcome["ok"], outcome
        assert MODEL in {model["model"] for model in outcome["value"]["data"]}


@only(lambda client: client.name != "together-py-3")
def test_the_list_of_models_has_those_that_speak(session: Session) -> None:
    outcome = session.call("models")
    assert outcome["ok"], outcome
    kinds = {model["id"]: model.get("type") for model in outcome["value"]}
    assert (kinds[MODEL], kinds["fake"]) == ("audio", "transcribe")


@only(lambda client: client.name == "together-py-1")
def test_first_generation_may_leave_the_voice_out(session: Session, tmp_path: Path, reference: Sound) -> None:
    rate = 44_100 if session.is_async else 24_000  # what that client asks for by itself
    arguments = {"model": MODEL, "input": TEXT}
    outcome = session.call("speak", to=str(tmp_path / "speech.wav"), arguments=arguments)
    assert outcome["ok"], outcome
    form = wanted("pcm_s16le", rate, "")
    demand_sound(heard(tmp_path / "speech.wav", form), form, reference)


def refused(session: Session, status: int, path: Path, **arguments: Any) -> Failure:
    """Demand the failure that belongs to a status, and that no file was written."""
    outcome = ask(session, "speak", path, **arguments)
    told = demand(session, status, outcome)
    assert not path.exists()
    return told


def test_unknown_voice(session: Session, tmp_path: Path) -> None:
    told = refused(session, 400, tmp_path / "speech", voice="nobody-at-all")
    assert told.param == "voice"
    assert "nobody-at-all" in told.message


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_empty_input(session: Session, tmp_path: Path, text: str) -> None:
    told = refused(session, 400, tmp_path / "speech", input=text)
    assert told.param == "input"


def test_nothing_that_can_be_said(session: Session, tmp_path: Path) -> None:
    told = refused(session, 400, tmp_path / "speech", input="\u200b\u2060")
    assert told.param == "input"


def test_too_long_an_input(session: Session, tmp_path: Path) -> None:
    told = refused(session, 400, tmp_path / "speech", input="word " * 20_000)
    assert told.param == "input"
    assert "65536" in told.message


def test_unknown_model(session: Session, tmp_path: Path) -> None:
    told = refused(session, 404, tmp_path / "speech", model="speech-enormous")
    assert (told.code, told.param) == ("model_not_found", "model")


def test_a_model_that_only_listens(session: Session, tmp_path: Path) -> None:
    told = refused(session, 400, tmp_path / "speech", model="fake")
    assert told.param == "model"


@only(generated)
def test_an_error_before_the_stream_has_its_status(session: Session, tmp_path: Path) -> None:
    outcome = ask(session, "speak_streaming", tmp_path / "speech", voice="nobody-at-all")
    assert not outcome["ok"]
    assert "BadRequestError" in outcome["error"]["classes"]


def test_wrong_key(session_to_locked: Session, tmp_path: Path) -> None:
    told = refused(session_to_locked, 401, tmp_path / "speech")
    assert told.code == "invalid_api_key"
