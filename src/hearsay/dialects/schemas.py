"""The JSON bodies on the wire: their shapes, for the renderers and the OpenAPI document, and their encoding.

Knows no values. One superset serves every vendor's clients: unknown fields are safe everywhere, wrong
types are not (Together's 1.x client validates). Source: the response classes of the vendors' clients.
"""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict


class ErrorDetail(TypedDict):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class Usage(TypedDict):
    """What was used: seconds of audio."""

    type: Literal["duration"]
    seconds: float


class RequestName(TypedDict):
    """The id of the request, as `x-request-id` says it too."""

    id: str


class DroppedBody(TypedDict):
    """Text that the model gave and that was left out of the transcript."""

    start: float
    end: float
    text: str
    reason: Literal["silence", "repetition", "low_probability"]
    """There is no speech where it was recognised, or it only repeats the text before it."""


class FallbackBody(TypedDict):
    """A window that was decoded again, at a higher temperature, because the text was not good enough."""

    start: float
    end: float
    temperature: float
    """At which the refused text was decoded."""
    reason: Literal["repetition", "low_probability"]


class FlaggedBody(TypedDict):
    """A segment whose numbers lie outside of what good text has."""

    segment: int
    """Its `id`."""
    start: float
    end: float
    flags: list[str]
    """`low_confidence`, `likely_no_speech`, `repetitive`, `incompressible`."""


class ReportBody(TypedDict):
    """How a recording was worked through."""

    chunking: Literal["vad", "sequential"]
    windows: int
    """Windows decoded, retries not counted."""
    speech_seconds: float | None
    """How much of the recording is speech; null where no speech detector ran."""
    dropped: list[DroppedBody]
    fallbacks: list[FallbackBody]


class Serving(TypedDict):
    """How the request was served; nothing that a vendor's client looks for."""

    model: str
    language: str | None
    """Code of the language that was spoken, or null where the model cannot know it."""
    unknown: list[str]
    """Segment fields that the model cannot know; they hold neutral values."""
    warnings: list[str]
    quality: list[FlaggedBody]
    """Segments worth a second look."""
    report: ReportBody | None
    """Null where the model does not work by windows."""


class TranscriptBody(TypedDict):
    """The answer for `response_format=json`."""

    text: str
    usage: Usage
    x_groq: RequestName


class SegmentBody(TypedDict):
    """One timed stretch of text."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class WordBody(TypedDict):
    """One timed word."""

    word: str
    start: float
    end: float


class VerboseBody(TypedDict):
    """The answer for `response_format=verbose_json`."""

    id: str
    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: NotRequired[list[SegmentBody]]
    words: NotRequired[list[WordBody]]
    usage: Usage
    x_groq: RequestName
    x_hearsay: Serving


class DeltaEvent(TypedDict):
    """More text; the deltas of a stream, joined, are its text."""

    type: Literal["transcript.text.delta"]
    delta: str


class DoneEvent(TypedDict):
    """The whole text, once, at the end."""

    type: Literal["transcript.text.done"]
    text: str
    usage: Usage
    x_groq: RequestName
    x_hearsay: Serving


class SpeechDeltaEvent(TypedDict):
    """More sound; the deltas of a stream, decoded and joined, are the file."""

    type: Literal["speech.audio.delta"]
    audio: str
    """Base64."""


class SpeechUsage(TypedDict):
    """What was used: one token for each character said, and for each 20 ms of sound."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechDoneEvent(TypedDict):
    """The end of the sound."""

    type: Literal["speech.audio.done"]
    usage: SpeechUsage


class SpeechChunk(TypedDict):
    """More sound, for two generations of clients, each of which looks for it under another name."""

    object: Literal["audio.tts.chunk"]
    model: str
    b64: str
    type: Literal["conversation.item.audio_output.delta"]
    delta: str
    """The same as `b64`."""


class VoiceBody(TypedDict):
    """One voice of a model; every value is a string, because some clients take nothing else."""

    id: str
    """The value of `voice` in a request."""
    name: str
    languages: str
    """Tags of what it speaks, best first, with commas between them."""
    gender: str
    """`female`, `male`, or nothing where it is not known."""


class ModelVoices(TypedDict):
    """The voices of one model."""

    model: str
    voices: list[VoiceBody]


class VoiceList(TypedDict):
    """The voices of all installed models, the best model first."""

    object: Literal["list"]
    data: list[ModelVoices]


class Pricing(TypedDict):
    """What a model costs: nothing."""

    base: float
    finetune: float
    hourly: float
    input: float
    output: float


class ModelBody(TypedDict):
    """One model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    active: bool
    """Whether it can serve now; the same as `installed`."""
    installed: bool
    """Whether its weights are on this machine."""
    default: bool
    """Whether it serves requests, of any kind that it can, that name no model."""
    aliases: list[str]
    tasks: list[str]
    languages: list[str]
    description: str
    size_bytes: int | None
    context_window: int
    context_length: int
    public_apps: None
    type: Literal["transcribe", "audio"]
    """Whether it transcribes or synthesizes."""
    display_name: str
    organization: str
    link: str | None
    license: str | None
    pricing: Pricing


class ModelList(TypedDict):
    """All models that are known, installed or not."""

    object: Literal["list"]
    data: list[ModelBody]
