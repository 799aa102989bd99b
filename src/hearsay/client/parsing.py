"""JSON responses of transcription servers → segments and words, with any field absent.

Knows neither HTTP nor which server it was. Servers list words apart from the segments, without punctuation or
spaces; here each word is assigned to a segment by time and regains the space that the text shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hearsay.client.seam_search import is_unspaced
from hearsay.domain import Segment, Word
from hearsay.errors import EngineFailed, InvalidRequest
from hearsay.text import languages


@dataclass(frozen=True, slots=True)
class UploadTranscript:
    """The transcript of one upload; times are seconds from the start of that upload."""

    text: str
    segments: tuple[Segment, ...] = ()
    """Empty without times or without speech."""
    language: str | None = None
    """ISO 639-1 code, None if not reported."""
    duration: float | None = None
    model: str | None = None
    """The model that the server reports to have used, None if not reported."""
    warnings: tuple[str, ...] = ()
    timed: bool = False
    """Whether the response has times."""


def parse_response(body: Any) -> UploadTranscript:
    """Parse a JSON response. Raises `EngineFailed` where it is not a transcript."""
    if not isinstance(body, Mapping) or not isinstance(body.get("text"), str):
        raise EngineFailed("The server's answer is not a transcript: it has no text.")
    try:
        return _parse(body)
    except (KeyError, TypeError, ValueError) as error:
        raise EngineFailed(f"The server's answer is not a transcript that can be read: {error!r}.") from error


def _parse(body: Mapping[str, Any]) -> UploadTranscript:
    extension = body.get("x_hearsay") or {}
    unknown = frozenset(extension.get("unknown") or ())
    items = body.get("segments")
    words = None if body.get("words") is None else [_word(word) for word in body["words"]]
    segments = [_segment(item, unknown) for item in items or ()]
    if not segments and words:
        segments = [Segment(words[0].start, words[-1].end, body["text"])]
    if words is not None:
        segments = assign_words(segments, words)
    return UploadTranscript(
        text=body["text"].strip(),
        segments=tuple(with_leading_spaces(segments)),
        language=_language(body, extension),
        duration=_duration(body),
        model=extension.get("model"),
        warnings=tuple(extension.get("warnings") or ()),
        timed=items is not None or words is not None,
    )


def _segment(item: Mapping[str, Any], unknown: frozenset[str]) -> Segment:
    start = float(item["start"])

    def known(name: str) -> float | None:
        value = item.get(name)
        return None if value is None or name in unknown else float(value)

    return Segment(
        start=start,
        end=max(start, float(item["end"])),
        text=str(item["text"]),
        tokens=tuple(int(token) for token in item.get("tokens") or ()),
        seek=int(item.get("seek") or 0),
        temperature=known("temperature"),
        avg_logprob=known("avg_logprob"),
        compression_ratio=known("compression_ratio"),
        no_speech_prob=known("no_speech_prob"),
    )


def _word(item: Mapping[str, Any]) -> Word:
    start = float(item["start"])
    probability = item.get("probability")
    return Word(
        start=start,
        end=max(start, float(item["end"])),
        text=str(item["word"]),
        probability=None if probability is None else float(probability),
    )


def _language(body: Mapping[str, Any], extension: Mapping[str, Any]) -> str | None:
    if "language" in extension:
        code = extension["language"]
        return str(code) if code else None
    name = body.get("language")
    try:
        return languages.parse(str(name)) if name else None
    except InvalidRequest:
        return None  # a language that only this server knows; the text stays valid


def _duration(body: Mapping[str, Any]) -> float | None:
    usage = body.get("usage")
    seconds = body.get("duration")
    if seconds is None and isinstance(usage, Mapping) and usage.get("type") == "duration":
        seconds = usage.get("seconds")
    return None if seconds is None else float(seconds)


def assign_words(segments: Sequence[Segment], words: Sequence[Word]) -> list[Segment]:
    """Return the segments with each word in the segment that contains its centre, or in the nearest one."""
    assigned: list[list[Word]] = [[] for _ in segments]
    for word in words:
        centre = (word.start + word.end) / 2
        distances = [max(s.start - centre, centre - s.end, 0.0) for s in segments]
        assigned[distances.index(min(distances))].append(word)
    return [
        replace(segment, words=tuple(_restore_spaces(segment.text, own)))
        for segment, own in zip(segments, assigned, strict=True)
    ]


def _restore_spaces(text: str, words: Sequence[Word]) -> list[Word]:
    """Return words with the space that precedes each in `text`; words not found there get one."""
    result: list[Word] = []
    position = 0
    for word in words:
        stripped = word.text.strip()
        found = text.find(stripped, position)
        before = text[position:found] if found >= 0 else " "
        attached = found >= 0 and position > 0 and not any(letter.isspace() for letter in before)
        result.append(replace(word, text=stripped if attached else f" {stripped}"))
        position = found + len(stripped) if found >= 0 else position
    return result


def with_leading_spaces(segments: Sequence[Segment]) -> list[Segment]:
    """Return segments that begin with a space, as Whisper's do, unless the script writes none."""
    return [
        segment
        if not segment.text or segment.text[0].isspace() or is_unspaced(segment.text)
        else replace(segment, text=f" {segment.text}")
        for segment in segments
    ]
