"""The field `chunking_strategy` in every spelling: how to cut a long recording, and what counts as speech.

Knows no detector. Source: OpenAI's API reference (`auto`, `server_vad` and its numbers); `sequential` is an
extension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hearsay.dialects.form_fields import FormFields
from hearsay.domain import Chunking, VadThresholds
from hearsay.errors import InvalidRequest

NAME = "chunking_strategy"

AUTO, SERVER_VAD, SEQUENTIAL = "auto", "server_vad", "sequential"

LIMITS: Mapping[str, float] = {"threshold": 1.0, "silence_duration_ms": 30_000, "prefix_padding_ms": 30_000}
"""The numbers of a `server_vad` and the largest value of each; none may be negative."""

_SHOWN = 40


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
    threshold = _bounded(numbers, "threshold")
    silence_ms = _bounded(numbers, "silence_duration_ms")
    padding_ms = _bounded(numbers, "prefix_padding_ms")
    return VadThresholds(
        threshold=usual.threshold if threshold is None else threshold,
        min_silence=usual.min_silence if silence_ms is None else silence_ms / 1000,
        padding=usual.padding if padding_ms is None else padding_ms / 1000,
    )


def _bounded(numbers: FormFields, key: str) -> float | None:
    name, most = f"{NAME}.{key}", LIMITS[key]
    value = numbers.number(name)
    if value is not None and not 0 <= value <= most:
        raise InvalidRequest(f"{name} must lie between 0 and {most:g}, not {value:g}.", param=name)
    return value
