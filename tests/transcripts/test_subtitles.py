"""Subtitles read back by small parsers that know nothing of the writer."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.domain import Segment
from hearsay.transcripts.subtitles import plain, srt, vtt

TIMES = st.floats(min_value=0, max_value=400 * 3600, allow_nan=False)
TEXT = st.text() | st.lists(
    st.sampled_from(
        ["-->", "&", "<", ">", "&lt;", "\n", "\r\n", "\n\n", " ", "1", "00:00", "a", "\u2028", "\x00"]
    )
).map("".join)
SEGMENTS = st.lists(
    st.builds(lambda a, b, text: Segment(min(a, b), max(a, b), text), TIMES, TIMES, TEXT), max_size=6
)


@dataclass(frozen=True)
class Cue:
    start: float
    end: float
    text: str


def parse(document: str, point: str) -> list[Cue]:
    """Read blocks of an optional number, a timing line and text, parted by blank lines."""
    assert document == "" or document.endswith("\n\n")
    cues: list[Cue] = []
    for block in document.split("\n\n")[:-1]:
        lines = block.split("\n")
        if "-->" not in lines[0]:
            assert lines.pop(0) == str(len(cues) + 1)
        timing, *text = lines
        start, end = (seconds(part, point) for part in timing.split(" --> "))
        assert text, "a cue without text"
        cues.append(Cue(start, end, "\n".join(text)))
    return cues


def seconds(text: str, point: str) -> float:
    match = re.fullmatch(rf"(\d\d+):([0-5]\d):([0-5]\d){re.escape(point)}(\d\d\d)", text)
    assert match, text
    hours, minutes, whole, ms = map(int, match.groups())
    return hours * 3600 + minutes * 60 + whole + ms / 1000


def parse_vtt(document: str) -> list[Cue]:
    head, _, rest = document.partition("\n\n")
    assert head == "WEBVTT"
    return [Cue(cue.start, cue.end, html.unescape(cue.text)) for cue in parse(rest, ".")]


def spoken(text: str) -> str:
    """Return what must survive: all but control characters, white space at the ends, kinds of line breaks."""
    text = re.sub(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)
    return re.sub(r"[\x00-\x08\x0e-\x1b\x1f\x7f]", "", text).strip()


@given(SEGMENTS)
def test_any_text_survives_in_vtt(segments: list[Segment]) -> None:
    document = vtt(segments)
    cues = parse_vtt(document)
    assert [cue.text for cue in cues] == [spoken(s.text) for s in segments if spoken(s.text)]
    assert all("-->" not in line for line in document.splitlines() if not re.match(r"\d\d+:\d\d:", line))


@given(SEGMENTS)
def test_any_text_survives_in_srt(segments: list[Segment]) -> None:
    cues = parse(srt(segments), ",")
    assert [cue.text.replace("\u200b", "") for cue in cues] == [
        spoken(s.text).replace("\u200b", "") for s in segments if spoken(s.text)
    ]
    assert all("-->" not in cue.text for cue in cues)


@given(SEGMENTS)
def test_times_are_rounded_and_never_run_backwards(segments: list[Segment]) -> None:
    cues = parse(srt(segments), ",")
    starts = [cue.start for cue in cues]
    assert starts == sorted(starts)
    assert all(cue.start <= cue.end for cue in cues)
    ordered = [s for s in sorted(segments, key=lambda s: (s.start, s.end)) if spoken(s.text)]
    for cue, segment in zip(parse(srt(ordered), ","), ordered, strict=True):
        assert abs(cue.start - segment.start) <= 0.0005 + 1e-6
        assert abs(cue.end - segment.end) <= 0.0005 + 1e-6


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (1.0006, "00:00:01,001"),
        (59.9996, "00:01:00,000"),
        (3599.9999, "01:00:00,000"),
        (360_000.25, "100:00:00,250"),
    ],
)
def test_rounding_carries(time: float, shown: str) -> None:
    assert f"{shown} --> " in srt([Segment(time, time + 1, "a")])


def test_srt() -> None:
    segments = [
        Segment(0, 1.5, " Hello, <b>you</b>."),
        Segment(1.5, 2, " "),
        Segment(2, 3.25, " A --> B\n\n& C"),
    ]
    assert srt(segments) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello, <b>you</b>.\n\n"
        "2\n00:00:02,000 --> 00:00:03,250\nA --\u200b> B & C\n\n"
    )


def test_vtt() -> None:
    segments = [Segment(0, 1.5, " Hello, <b>you</b>."), Segment(2, 3.25, " A --> B & C")]
    assert vtt(segments) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello, &lt;b&gt;you&lt;/b&gt;.\n\n"
        "00:00:02.000 --> 00:00:03.250\nA --&gt; B &amp; C\n\n"
    )


def test_plain() -> None:
    assert plain([Segment(0, 1, " One."), Segment(1, 2, ""), Segment(2, 3, " Two.")]) == "One.\nTwo.\n"


def test_nothing_said() -> None:
    assert (srt([]), vtt([]), plain([])) == ("", "WEBVTT\n\n", "")
