"""Segments → SubRip, WebVTT and plain text.

Knows neither words nor speakers. Times are rounded to milliseconds, never truncated, and never run backwards.
Text that would end a cue, or be WebVTT markup, is escaped; SubRip cannot escape `<`. Source: W3C WebVTT §4
and §6.4; SubRip has no standard, and its blocks end at a blank line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hearsay.domain import Segment

_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f]")
_ARROW = "-->"
_SAFE_ARROW = "--\u200b>"
"""An arrow with a zero-width space: it looks the same, and is no timing line to a parser."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def srt(segments: Iterable[Segment]) -> str:
    """Return SubRip: numbered blocks, times as `HH:MM:SS,mmm`."""
    cues = enumerate(_cues(segments), start=1)
    return "".join(
        f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n{text.replace(_ARROW, _SAFE_ARROW)}\n\n"
        for number, (start, end, text) in cues
    )


def vtt(segments: Iterable[Segment]) -> str:
    """Return WebVTT: a header and blocks, times as `HH:MM:SS.mmm`, text with `&`, `<` and `>` escaped."""
    return "WEBVTT\n\n" + "".join(
        f"{_time(start, '.')} --> {_time(end, '.')}\n{_escaped(text)}\n\n"
        for start, end, text in _cues(segments)
    )


def plain(segments: Iterable[Segment]) -> str:
    """Return the text only, one line per segment."""
    return "".join(f"{text}\n" for _, _, text in _cues(segments))


def _cues(segments: Iterable[Segment]) -> Iterator[tuple[int, int, str]]:
    """Yield start and end in milliseconds and the text on one line; segments without text are left out."""
    earliest = 0
    for segment in segments:
        text = _one_line(segment.text)
        if not text:
            continue
        start = max(_ms(segment.start), earliest)
        end = max(_ms(segment.end), start)
        earliest = start
        yield start, end, text


def _one_line(text: str) -> str:
    return _CONTROL.sub("", _BREAKS.sub(" ", text)).strip()


def _escaped(text: str) -> str:
    return "".join(_ENTITIES.get(character, character) for character in text)


def _ms(seconds: float) -> int:
    return max(round(seconds * 1000), 0)


def _time(ms: int, point: str) -> str:
    hours, rest = divmod(ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, ms = divmod(rest, 1000)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{ms:03d}"
