"""The bodies that vendors' clients read, made from transcripts, models and voices.

Knows neither HTTP nor JSON encoding. Times are rounded to milliseconds here, once. A number that a client
demands and the model cannot know gets its `NEUTRAL` value, and the name of the field is listed in
`x_hearsay.unknown`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from hearsay.dialects import schemas
from hearsay.dialects.dialect import Dialect
from hearsay.dialects.transcription_request import TranscriptionRequest
from hearsay.domain import ModelCard, Segment, Task, Transcript, TranscriptionReport, Voice, Word
from hearsay.text import languages
from hearsay.transcripts import quality

NEUTRAL = {"temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 0.0}
"""Values that no usual threshold objects to, for numbers that the model cannot know."""

UNKNOWN_LANGUAGE = "unknown"
"""The language in verbose answers where the model cannot know it."""


def render_json(transcript: Transcript, request_id: str) -> schemas.TranscriptBody:
    """Return the short answer."""
    return {"text": transcript.text, "usage": usage(transcript.duration), "x_groq": {"id": request_id}}


def render_verbose(
    transcript: Transcript, asked: TranscriptionRequest, dialect: Dialect, request_id: str
) -> schemas.VerboseBody:
    """Return the long answer, with segments and words as asked for."""
    body: schemas.VerboseBody = {
        "id": request_id,
        "task": "translate" if transcript.task is Task.TRANSLATE else "transcribe",
        "language": _language(transcript, dialect),
        "duration": _ms(transcript.duration),
        "text": transcript.text,
        "usage": usage(transcript.duration),
        "x_groq": {"id": request_id},
        "x_hearsay": serving(transcript),
    }
    if asked.segments:
        body["segments"] = [render_segment(i, segment) for i, segment in enumerate(transcript.segments)]
    if asked.options.words:
        body["words"] = [render_word(word) for word in transcript.words]
    return body


def usage(duration: float) -> schemas.Usage:
    """Return what a recording of `duration` seconds used."""
    return {"type": "duration", "seconds": _ms(duration)}


def serving(transcript: Transcript) -> schemas.Serving:
    """Return how a request was served."""
    return {
        "model": transcript.model,
        "language": transcript.language,
        "unknown": _unknown(transcript.segments),
        "warnings": list(transcript.warnings),
        "quality": render_quality(transcript.segments),
        "report": None if transcript.report is None else render_report(transcript.report),
    }


def render_quality(segments: Sequence[Segment]) -> list[schemas.FlaggedBody]:
    """List the segments worth a second look, and why."""
    return [
        {"segment": number, "start": _ms(segment.start), "end": _ms(segment.end), "flags": list(flags)}
        for number, segment in enumerate(segments)
        if (flags := quality.flags(segment))
    ]


def render_report(report: TranscriptionReport) -> schemas.ReportBody:
    """Return how a recording was transcribed, and what was decided about its text."""
    return {
        "chunking": report.chunking.value,
        "windows": report.n_windows,
        "speech_seconds": (
            None if report.speech is None else _ms(sum(span.end - span.start for span in report.speech))
        ),
        "dropped": [
            {"start": _ms(each.start), "end": _ms(each.end), "text": each.text, "reason": each.reason.value}
            for each in report.dropped
        ],
        "fallbacks": [
            {
                "start": _ms(each.start),
                "end": _ms(each.end),
                "temperature": each.temperature,
                "reason": each.reason.value,
            }
            for each in report.fallbacks
        ],
    }


def render_model(card: ModelCard, *, installed: bool, default: bool) -> schemas.ModelBody:
    """Return the description of one model, for every vendor's clients at once."""
    return {
        "id": card.id,
        "object": "model",
        "created": card.created,
        "owned_by": card.owner,
        "active": installed,
        "installed": installed,
        "default": default,
        "aliases": list(card.aliases),
        "tasks": sorted(task.value for task in card.tasks),
        "languages": list(card.languages),
        "description": card.description,
        "size_bytes": card.size_bytes,
        "context_window": card.context_window,
        "context_length": card.context_window,
        "public_apps": None,
        "type": "audio" if Task.SYNTHESIZE in card.tasks else "transcribe",
        "display_name": card.id,
        "organization": card.owner,
        "link": None,
        "license": None,
        "pricing": schemas.Pricing(base=0.0, finetune=0.0, hourly=0.0, input=0.0, output=0.0),
    }


def render_models(
    models: Sequence[schemas.ModelBody], dialect: Dialect
) -> schemas.ModelList | list[schemas.ModelBody]:
    """Return the list of models in the dialect of a request."""
    return list(models) if dialect.bare_model_list else {"object": "list", "data": list(models)}


def render_voices(voices: Mapping[str, Sequence[Voice]]) -> schemas.VoiceList:
    """Return the list of voices by the ids of their models."""
    return {
        "object": "list",
        "data": [
            {"model": model, "voices": [_voice(voice) for voice in found]} for model, found in voices.items()
        ],
    }


def _voice(voice: Voice) -> schemas.VoiceBody:
    languages_spoken = ",".join(voice.languages)
    gender = voice.gender or ""
    return {"id": voice.id, "name": voice.name, "languages": languages_spoken, "gender": gender}


def _language(transcript: Transcript, dialect: Dialect) -> str:
    code = "en" if transcript.task is Task.TRANSLATE else transcript.language
    if code is None:
        return UNKNOWN_LANGUAGE
    return code if dialect.language_codes else languages.name(code)


def _unknown(segments: Sequence[Segment]) -> list[str]:
    return [name for name in NEUTRAL if any(_value(segment, name) is None for segment in segments)]


def _value(segment: Segment, name: str) -> float | None:
    value: float | None = getattr(segment, name)
    return None if value is None or not math.isfinite(value) else float(value)


def _known(segment: Segment, name: str) -> float:
    value = _value(segment, name)
    return NEUTRAL[name] if value is None else value


def render_segment(number: int, segment: Segment) -> schemas.SegmentBody:
    """Return one segment of a verbose answer."""
    return {
        "id": number,
        "seek": segment.seek,
        "start": _ms(segment.start),
        "end": _ms(segment.end),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": _known(segment, "temperature"),
        "avg_logprob": _known(segment, "avg_logprob"),
        "compression_ratio": _known(segment, "compression_ratio"),
        "no_speech_prob": _known(segment, "no_speech_prob"),
    }


def render_word(word: Word) -> schemas.WordBody:
    """Return one word of a verbose answer."""
    return {"word": word.text.strip(), "start": _ms(word.start), "end": _ms(word.end)}


def _ms(seconds: float) -> float:
    return round(float(seconds), 3)


def encode_json(body: object) -> bytes:
    """Return `body` as JSON in UTF-8, as every client parses it.

    Half a surrogate pair, which JSON can smuggle in, becomes `?`. Raises ValueError for NaN and infinity.
    """
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")
