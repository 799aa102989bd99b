"""What the OpenAPI document has beside what the framework finds by itself: bodies, answers, errors.

Knows no behaviour; the shapes come from `dialects.schemas`, which the renderers are typed with.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from hearsay.dialects import ALIAS_PREFIX, PREFIX, transcription_request
from hearsay.dialects.schemas import ErrorBody, ModelBody, ModelList, TranscriptBody, VerboseBody, VoiceList
from hearsay.dialects.speech_request import FORMATS, SPEEDS
from hearsay.domain import Task
from hearsay.media.formats import ANY_RATE, Encoding

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION = f"""\
Speech to text, and text to speech, with the APIs of the big vendors, on your own machine. Every path below
`{PREFIX}` is also served below `{ALIAS_PREFIX}`. Answers carry `x-request-id`; transcriptions and speech also
`x-hearsay-model` (the model that really served), `x-hearsay-warning` (what you should know, once per warning)
and `server-timing`, speech `x-hearsay-voice`.
"""

_ERRORS = {
    400: "The request or the recording is at fault.",
    401: "No API key, or a wrong one.",
    404: "There is no such model or path.",
    405: "The path does not take this method.",
    413: "More than this server accepts.",
    415: "The body is of the wrong type.",
    429: "Too much work is waiting; `retry-after` says when to come back.",
    500: "The server is at fault.",
    503: "The model is not installed: the message names the command that helps, or `retry-after` says when "
    "to come back, because it is being downloaded.",
}
"""What each status means; the body is always the same."""

_TEXT = {"type": "string"}
_EVENT = {
    "type": "object",
    "description": "One event of the stream; its data is a JSON object, or at the end `[DONE]`.",
    "properties": {"data": _TEXT},
    "required": ["data"],
}
_FILE = {
    "type": "string",
    "format": "binary",
    "description": "The recording: flac, mp3, mp4, m4a, mpeg, mpga, ogg, wav, webm, …, told by its content.",
}
_SOUND = {"type": "string", "format": "binary"}
_LIST = {"type": "array", "items": {"type": "string", "enum": ["word", "segment"]}}
_CHUNKING = {
    "description": "How a recording longer than a window is cut; left out, as the operator chose. `auto` "
    "(or a `server_vad` with its numbers): at pauses, all parts at once. `sequential`: by the model's own "
    "times, one window after the other.",
    "anyOf": [
        {"type": "string", "enum": [transcription_request.AUTO, transcription_request.SEQUENTIAL]},
        {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": [transcription_request.SERVER_VAD]},
                **{
                    name: {"type": "number", "minimum": 0, "maximum": most}
                    for name, most in transcription_request.LIMITS.items()
                },
            },
            "required": ["type"],
        },
    ],
}


def errors(*statuses: int) -> Responses:
    """Return the descriptions of error answers."""
    return {status: {"description": _ERRORS[status], "model": ErrorBody} for status in statuses}


def _answer(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}


def _schema(shape: Any) -> dict[str, Any]:
    """Return the JSON schema of a shape with its parts inside."""
    schema = TypeAdapter(shape).json_schema()
    parts = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inlined(schema, parts)
    return inlined


def _inlined(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(parts[schema["$ref"].rpartition("/")[2]], parts)
        return {key: _inlined(value, parts) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(item, parts) for item in schema]
    return schema


MODELS: Responses = {
    200: _answer(
        "All models: an object, or for some clients a bare array.",
        {"application/json": {"schema": {"anyOf": [_schema(ModelList), _schema(list[ModelBody])]}}},
    ),
    **errors(400, 401),
}

MODEL: Responses = {
    200: _answer("The model.", {"application/json": {"schema": _schema(ModelBody)}}),
    **errors(400, 401, 404),
}

TRANSCRIPT: Responses = {
    200: _answer(
        "The text in the format asked for. A JSON answer that takes long begins with line breaks.",
        {
            "application/json": {"schema": {"anyOf": [_schema(VerboseBody), _schema(TranscriptBody)]}},
            "text/plain": {"schema": _TEXT},
            "text/event-stream": {"schema": _EVENT},
        },
    ),
    **errors(400, 401, 404, 413, 415, 429, 500, 503),
}


_NAME: dict[str, Any] = {"name": "model", "schema": {"type": "string"}}
MODEL_OF = {"parameters": [_NAME | {"in": "path", "required": True}]}
"""The parameter of `GET models/{id}`."""
VOICES_OF = {"parameters": [_NAME | {"in": "query", "required": False}]}
"""The parameter of `GET voices`."""

VOICES: Responses = {
    200: _answer("The voices.", {"application/json": {"schema": _schema(VoiceList)}}),
    **errors(400, 401, 404),
}

SPEECH: Responses = {
    200: _answer(
        "The sound, sent as it is made, in the format asked for; or events that hold it as base64.",
        {kind: {"schema": _SOUND} for kind in sorted({media_type for *_, media_type in FORMATS.values()})}
        | {"text/event-stream": {"schema": _EVENT}},
    ),
    **errors(400, 401, 404, 413, 415, 429, 500, 503),
}


def speech_body() -> dict[str, Any]:
    """Return the description of the body of a request for speech."""
    schema = {"type": "object", "properties": _speech_fields(), "required": ["input", "voice"]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _speech_fields() -> dict[str, Any]:
    slowest, fastest = SPEEDS
    return {
        "input": _TEXT | {"minLength": 1, "description": "The text; how long it may be the operator says."},
        "model": _TEXT | {"description": "Id or alias of a model; left out, the server's default speaks."},
        "voice": {
            "anyOf": [_TEXT, {"type": "object", "properties": {"id": _TEXT}, "required": ["id"]}],
            "description": "Name of a voice, ours or a vendor's; `GET /voices` lists ours.",
        },
        "response_format": {
            "type": "string",
            "enum": list(FORMATS),
            "default": "mp3",
            "description": "opus and ogg are in Ogg, aac in ADTS; pcm, raw and mulaw have no header.",
        },
        "sample_rate": {
            "type": "integer",
            "minimum": ANY_RATE[0],
            "maximum": ANY_RATE[-1],
            "description": f"Samples per second; left out, 24000, or 48000 below `{ALIAS_PREFIX}`. "
            "mp3, aac and opus hold some only, which the error lists.",
        },
        "response_encoding": {
            "type": "string",
            "enum": list(Encoding),
            "default": Encoding.PCM_S16LE,
            "description": "How a sample is written in wav, raw and pcm.",
        },
        "bit_rate": {"type": "integer", "description": "Bits per second of mp3, aac and opus."},
        "speed": {
            "type": "number",
            "minimum": slowest,
            "maximum": fastest,
            "default": 1,
            "description": "How many times as fast as the voice by itself.",
        },
        "language": _TEXT | {"description": "Of the text: a code such as `de` or `en-gb`, or a name."},
        "instructions": _TEXT | {"description": "Refused, or ignored with a warning, as the model has it."},
        "stream_format": {
            "type": "string",
            "enum": ["audio", "sse"],
            "default": "audio",
            "description": "Bytes, or server-sent events.",
        },
        "stream": {
            "type": "boolean",
            "default": False,
            "description": "For clients of one vendor: server-sent events of another shape.",
        },
    }


def request_body(task: Task) -> dict[str, Any]:
    """Return the description of the body of a request to transcribe or translate."""
    fields = _fields(task)
    form = {"type": "object", "properties": {"file": _FILE, **fields}}
    document = {"type": "object", "properties": fields, "required": ["url"]}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": document},
                "application/x-www-form-urlencoded": {"schema": document},
            },
        }
    }


def _fields(task: Task) -> dict[str, Any]:
    translating = task is Task.TRANSLATE
    return {
        "url": _TEXT | {"description": "Instead of file: an http or https address, a data: URL, or base64."},
        "model": _TEXT | {"description": "Id or alias of a model; left out, the server's default serves."},
        "language": _TEXT
        | {
            "description": "ISO 639-1 code or English name of what is spoken; `auto` or nothing to detect it."
            + (" `en` is taken for the language to write." if translating else "")
        },
        "prompt": _TEXT
        | {"description": "Text to go before: spelling, style, context. The end of it counts."},
        "response_format": {
            "type": "string",
            "enum": ["json", "text", "srt", "vtt", "verbose_json"],
            "default": "json",
            "description": "`json` has the text; `verbose_json` also language, duration, segments and words.",
        },
        "temperature": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0,
            "description": "First sampling temperature; higher ones follow where the text is poor.",
        },
        "timestamp_granularities[]": _LIST
        | {"description": "`word` needs response_format verbose_json; only `word` leaves segments out."},
        transcription_request.NAME: _CHUNKING,
        "stream": {
            "type": "boolean",
            "default": False,
            "description": "Send the text as server-sent events while it is recognised (json and text only).",
        },
    }
