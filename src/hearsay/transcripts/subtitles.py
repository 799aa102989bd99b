"""Segments → SubRip, WebVTT and plain text.

Knows neither words nor speakers. Times are rounded to milliseconds, never truncated, and never run
backwards. Text that would end a cue, or look like markup in WebVTT, is written so that players show what
was said; SubRip has no way to write a plain `<`. Source: W3C WebVTT §4 and §6.4; for SubRip there is no
standard, and blocks end at a blank line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hearsay.domain import Segment

_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f]")
_ARROW = "-->"
_SAFE_ARROW = "--\u200b>"
"""An arrow with a zero-width space in it: looks the same, and no parser takes it for a timing line."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def srt(segments: Iterable[Segment]) -> str:
    """Write SubRip: numbered blocks, times as `HH:MM:SS,mmm`."""
    cues = enumerate(_cues(segments), start=1)
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.replace(_ARROW, _SAFE_ARROW)}\n\n"
        for number, (start, end, text) in cues
    )


def vtt(segments: Iterable[Segment]) -> str:
    """Write WebVTT: a header and blocks, times as `HH:MM:SS.mmm`, text with `&`, `<` and `>` escaped."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escaped(text)}\n\n"
        for start, end, text in _cues(segments)
    )


def plain(segments: Iterable[Segment]) -> str:
    """Write the text alone, one line per segment."""
    return "".join(f"{text}\n" for _, _, text in _cues(segments))


def _cues(segments: Iterable[Segment]) -> Iterator[tuple[int, int, str]]:
    """Return start and end in milliseconds and text on one line; leave out what has no text."""
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


def _clock(ms: int, point: str) -> str:
    hours, rest = divmod(ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, ms = divmod(rest, 1000)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{ms:03d}"
