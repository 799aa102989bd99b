"""Fields of a request to transcribe or translate, in any vendor's spelling, parsed into options.

Knows neither multipart nor HTTP. Source: OpenAI's, Groq's and Together's API references and their clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hearsay.dialects.dialect import Dialect
from hearsay.dialects.form_fields import FormFields
from hearsay.domain import Chunking, Task, TranscribeOptions, VadThresholds
from hearsay.errors import InvalidRequest, UnsupportedOption
from hearsay.text import languages


class ResponseFormat(StrEnum):
    """The format of the answer."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


_IGNORED = {
    "keywords": "put the words into the prompt instead",
    "languages": "name one in language, or leave it out to have it detected",
    "known_speaker_names": "speakers are not told apart",
    "known_speaker_references": "speakers are not told apart",
}
"""Hints that vendors know and that change nothing here, with the advice in the warning."""

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """One request to transcribe or translate, parsed."""

    model: str | None
    """The name as the client spelt it; None for the default."""
    options: TranscribeOptions
    response_format: ResponseFormat = ResponseFormat.JSON
    stream: bool = False
    """Whether the text is sent as it is recognised."""
    segments: bool = True
    """Whether a verbose answer has segments."""
    warnings: tuple[str, ...] = ()
    """What was asked for that changes nothing, one sentence each."""


def parse_transcription(fields: FormFields, *, task: Task, dialect: Dialect) -> TranscriptionRequest:
    """Parse a request to transcribe or translate.

    Raises:
        InvalidRequest: a value that cannot be right; `param` names the field.
        UnsupportedOption: something that vendors offer and this server does not.
    """
    response_format = _response_format(fields)
    _refuse_unsupported(fields)
    granularities = _granularities(fields, response_format)
    stream = _stream(fields, response_format)
    words = "word" in granularities
    cutting = parse_chunking(fields)
    return TranscriptionRequest(
        model=fields.one("model"),
        options=TranscribeOptions(
            task=task,
            language=_language(fields, task, dialect),
            prompt=fields.one("prompt"),
            temperature=_temperature(fields),
            words=words,
            chunking=cutting.chunking,
            vad=cutting.vad,
        ),
        response_format=response_format,
        stream=stream,
        segments=dialect.keeps_segments or not words or "segment" in granularities,
        warnings=(*_warnings(fields), *cutting.warnings),
    )


def _response_format(fields: FormFields) -> ResponseFormat:
    text = (fields.one("response_format") or ResponseFormat.JSON).strip().lower()
    if text == "diarized_json":
        raise UnsupportedOption(
            "This server does not tell speakers apart, so response_format diarized_json is not available.",
            param="response_format",
        )
    try:
        return ResponseFormat(text)
    except ValueError as error:
        known = ", ".join(ResponseFormat)
        message = f"response_format must be one of {known}, not {text[:_SHOWN]!r}."
        raise InvalidRequest(message, param="response_format") from error


def _refuse_unsupported(fields: FormFields) -> None:
    if fields.flag("diarize"):
        raise UnsupportedOption(
            "This server does not tell speakers apart; leave diarize out.", param="diarize"
        )
    unknown = [item for item in fields.many("include") if item != "logprobs"]
    if unknown:
        raise InvalidRequest(f"include knows only logprobs, not {unknown[0][:_SHOWN]!r}.", param="include")
    if fields.many("include"):
        raise UnsupportedOption(
            "Log probabilities of single tokens are not available; verbose_json has avg_logprob per segment.",
            param="include",
        )


def _granularities(fields: FormFields, response_format: ResponseFormat) -> frozenset[str]:
    name = "timestamp_granularities"
    found = frozenset(item.lower() for item in fields.many(name))
    unknown = sorted(found - {"word", "segment"})
    if unknown:
        raise InvalidRequest(f"{name} may hold word and segment, not {unknown[0][:_SHOWN]!r}.", param=name)
    if "word" in found and response_format is not ResponseFormat.VERBOSE_JSON:
        raise InvalidRequest(f"{name} word needs response_format verbose_json.", param=name)
    return found


def _stream(fields: FormFields, response_format: ResponseFormat) -> bool:
    stream = fields.flag("stream")
    if stream and response_format not in (ResponseFormat.JSON, ResponseFormat.TEXT):
        raise InvalidRequest(
            f"stream gives text only, so it needs response_format json or text, not {response_format.value}.",
            param="stream",
        )
    return stream


def _language(fields: FormFields, task: Task, dialect: Dialect) -> str | None:
    text = fields.one("language")
    if text is None:
        return None
    language = languages.parse(text)
    if task is Task.TRANSLATE and language == "en":
        return None  # Clients name the language to write; the one that is spoken is detected.
    if task is Task.TRANSLATE and dialect.language_is_target and language is not None:
        raise InvalidRequest("Translations are into English only; leave language out.", param="language")
    return language


def _temperature(fields: FormFields) -> float:
    value = fields.number("temperature")
    if value is None:
        return 0.0
    if not 0.0 <= value <= 1.0:
        raise InvalidRequest(f"temperature must lie between 0 and 1, not {value:g}.", param="temperature")
    return value


def _warnings(fields: FormFields) -> list[str]:
    return [
        f"{name} is not supported and was ignored; {advice}."
        for name, advice in _IGNORED.items()
        if fields.many(name)
    ]


NAME = "chunking_strategy"
AUTO, SERVER_VAD, SEQUENTIAL = "auto", "server_vad", "sequential"
LIMITS: Mapping[str, float] = {"threshold": 1.0, "silence_duration_ms": 30_000, "prefix_padding_ms": 30_000}
"""The numbers of a `server_vad` and the largest value of each; none may be negative."""


@dataclass(frozen=True, slots=True)
class ChunkingOptions:
    """How a request wants its recording cut."""

    chunking: Chunking | None = None
    """None leaves that to the operator."""
    vad: VadThresholds | None = None
    """None leaves that to the operator."""
    warnings: tuple[str, ...] = ()
    """What was asked for that changes nothing, one sentence each."""


def parse_chunking(fields: FormFields) -> ChunkingOptions:
    """Parse the field: a word, or an object in brackets or as JSON; the vendor's defaults fill it up.

    Raises: `InvalidRequest`; `param` names the field, and the part of the object after a dot.
    """
    settings = fields.mapping(NAME)
    if settings:
        return _parse_object(settings)
    text = (fields.one(NAME) or "").strip()
    match text.lower():
        case "":
            return ChunkingOptions()
        case "auto":
            return ChunkingOptions(Chunking.VAD)
        case "server_vad":
            return ChunkingOptions(Chunking.VAD, VadThresholds())
        case "sequential":
            return ChunkingOptions(Chunking.SEQUENTIAL)
    raise InvalidRequest(
        f"{NAME} must be {AUTO}, {SEQUENTIAL} or an object of type {SERVER_VAD}, not {text[:_SHOWN]!r}.",
        param=NAME,
    )


def _parse_object(settings: Mapping[str, str]) -> ChunkingOptions:
    kind = settings.get("type", "").strip().lower()
    if kind not in (AUTO, SERVER_VAD, SEQUENTIAL):
        raise InvalidRequest(f"{NAME} must have the type {SERVER_VAD}.", param=f"{NAME}.type")
    known = LIMITS if kind == SERVER_VAD else {}
    unused = sorted(settings.keys() - known.keys() - {"type"})
    warnings = tuple(f"{NAME}.{key[:_SHOWN]} is not supported and was ignored." for key in unused)
    if kind != SERVER_VAD:
        return ChunkingOptions(Chunking.VAD if kind == AUTO else Chunking.SEQUENTIAL, warnings=warnings)
    return ChunkingOptions(Chunking.VAD, _thresholds(settings), warnings)


def _thresholds(settings: Mapping[str, str]) -> VadThresholds:
    numbers = FormFields((f"{NAME}.{key}", value) for key, value in settings.items())
    usual = VadThresholds()
    return VadThresholds(
        threshold=_bounded(numbers, "threshold", usual.threshold),
        min_silence=_bounded(numbers, "silence_duration_ms", usual.min_silence * 1000) / 1000,
        padding=_bounded(numbers, "prefix_padding_ms", usual.padding * 1000) / 1000,
    )


def _bounded(numbers: FormFields, key: str, usual: float) -> float:
    name, most = f"{NAME}.{key}", LIMITS[key]
    value = numbers.number(name)
    if value is None:
        return usual
    if not 0 <= value <= most:
        raise InvalidRequest(f"{name} must lie between 0 and {most:g}, not {value:g}.", param=name)
    return value
