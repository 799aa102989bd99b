"""Edges of segments, checked against detected speech and the length of the recording.

Knows no engine. Whisper's timestamps reach into the silence around speech, seconds far, and a last one past
the end of the audio. Where words were timed, their times stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hearsay.domain import Segment, SpeechSpan, Word

TOLERANCE = 0.3
"""Seconds by which an edge may lie outside certain speech before it is moved."""

MARGIN = 0.1
"""Seconds of padding that a moved edge keeps: a detector hears a weak first or last phoneme late."""


def fit_to_speech(segment: Segment, spans: Sequence[SpeechSpan]) -> Segment:
    """Return a segment without the silence around the speech in it; `spans` are in order.

    A segment in which no speech is certain, and one whose words were timed, is returned as it is.
    """
    if segment.words:
        return segment
    inside = [
        span.certain
        for span in spans
        if span.certain and span.certain[0] < segment.end and span.certain[1] > segment.start
    ]
    if not inside:
        return segment
    first, last = inside[0][0], inside[-1][1]
    start, end = segment.start, segment.end
    if first - start > TOLERANCE:
        start = round(first - MARGIN, 2)
    if end - last > TOLERANCE:
        end = round(last + MARGIN, 2)
    return replace(segment, start=start, end=end)


def fit_to_recording(segment: Segment, duration: float) -> Segment:
    """Return a segment, and its words, that end with the recording at the latest."""
    if segment.end <= duration:
        return segment
    words = segment.words and tuple(
        Word(min(word.start, duration), min(word.end, duration), word.text, word.probability)
        for word in segment.words
    )
    return replace(segment, start=min(segment.start, duration), end=duration, words=words)
