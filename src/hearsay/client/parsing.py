"""Answers of transcription servers → segments and words, whatever they leave out.

Knows neither HTTP nor which server it was. Servers list words beside the segments and without punctuation or
spaces; here every word goes to the segment in whose time it lies and gets back the space that the text shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hearsay.client.seam_search import unspaced
from hearsay.domain import Segment, Word
from hearsay.errors import EngineFailed, InvalidRequest
from hearsay.text import languages


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said about one upload; times count from the start of that upload."""

    text: str
    segments: tuple[Segment, ...] = ()
    """Empty where the server gave no times (or heard nothing)."""
    language: str | None = None
    """ISO 639-1 code, None where the server did not say."""
    duration: float | None = None
    model: str | None = None
    """What the server says that it really used; None where it does not."""
    warnings: tuple[str, ...] = ()
    timed: bool = False
    """Whether the server gives times at all."""


def parse_answer(body: Any) -> Answer:
    """Read a JSON answer of any kind. Raises `EngineFailed` where it is not a transcript."""
    if not isinstance(body, Mapping) or not isinstance(body.get("text"), str):
        raise EngineFailed("The server's answer is not a transcript: it has no text.")
    try:
        return _parse(body)
    except (KeyError, TypeError, ValueError) as error:
        raise EngineFailed(f"The server's answer is not a transcript that can be read: {error!r}.") from error


def _parse(body: Mapping[str, Any]) -> Answer:
    ours = body.get("x_hearsay") or {}
    unknown = frozenset(ours.get("unknown") or ())
    listed = body.get("segments")
    words = None if body.get("words") is None else [_word(word) for word in body["words"]]
    segments = [_segment(item, unknown) for item in listed or ()]
    if not segments and words:
        segments = [Segment(words[0].start, words[-1].end, body["text"])]
    if words is not None:
        segments = share(segments, words)
    return Answer(
        text=body["text"].strip(),
        segments=tuple(spaced(segments)),
        language=_language(body, ours),
        duration=_duration(body),
        model=ours.get("model"),
        warnings=tuple(ours.get("warnings") or ()),
        timed=listed is not None or words is not None,
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


def _language(body: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    if "language" in ours:
        code = ours["language"]
        return str(code) if code else None
    named = body.get("language")
    try:
        return languages.parse(str(named)) if named else None
    except InvalidRequest:
        return None  # a language that only this server knows; the text is none the worse for it


def _duration(body: Mapping[str, Any]) -> float | None:
    usage = body.get("usage")
    seconds = body.get("duration")
    if seconds is None and isinstance(usage, Mapping) and usage.get("type") == "duration":
        seconds = usage.get("seconds")
    return None if seconds is None else float(seconds)


def share(segments: Sequence[Segment], words: Sequence[Word]) -> list[Segment]:
    """Return each word to the segment that its middle lies in, or to the nearest one."""
    shares: list[list[Word]] = [[] for _ in segments]
    for word in words:
        centre = (word.start + word.end) / 2
        distances = [max(s.start - centre, centre - s.end, 0.0) for s in segments]
        shares[distances.index(min(distances))].append(word)
    return [
        replace(segment, words=tuple(_with_spaces(segment.text, mine)))
        for segment, mine in zip(segments, shares, strict=True)
    ]


def _with_spaces(text: str, words: Sequence[Word]) -> list[Word]:
    """Put back before each word the space that precedes it in `text`; words not found there get one."""
    result: list[Word] = []
    position = 0
    for word in words:
        bare = word.text.strip()
        found = text.find(bare, position)
        before = text[position:found] if found >= 0 else " "
        glued = found >= 0 and position > 0 and not any(letter.isspace() for letter in before)
        result.append(replace(word, text=bare if glued else f" {bare}"))
        position = found + len(bare) if found >= 0 else position
    return result


def spaced(segments: Sequence[Segment]) -> list[Segment]:
    """Begin every segment with a space, as Whisper's own do, unless its script writes none."""
    return [
        segment
        if not segment.text or segment.text[0].isspace() or unspaced(segment.text)
        else replace(segment, text=f" {segment.text}")
        for segment in segments
    ]
