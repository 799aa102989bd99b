"""Times of segments: edges move inward only, to certain speech, and never past the recording."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.asr.segment_times import MARGIN, TOLERANCE, fit_to_recording, fit_to_speech
from hearsay.domain import Segment, SpeechSpan, Word

times = st.floats(0.0, 30.0).map(lambda t: round(t, 2))


@st.composite
def detected(draw: st.DrawFn) -> list[SpeechSpan]:
    """Return spans in order, certain in part, in whole or not at all."""
    edges = sorted(draw(st.lists(times, max_size=12, unique=True)))
    spans = []
    for start, end in zip(edges[::2], edges[1::2], strict=False):
        first, last = sorted(draw(st.tuples(*[st.floats(start, end)] * 2)))
        spans.append(SpeechSpan(start, end, (first, last) if last > first and draw(st.booleans()) else None))
    return spans


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """Return a segment of at least the 0.02 s of a timestamp."""
    start = draw(times)
    return Segment(start, start + draw(st.floats(0.02, 10.0)), " Yes.")


@given(segments(), detected())
def test_edges_never_move_outward_and_all_certain_speech_stays(
    segment: Segment, spans: list[SpeechSpan]
) -> None:
    fitted = fit_to_speech(segment, spans)
    assert segment.start <= fitted.start < fitted.end <= segment.end
    for span in spans:
        if span.certain:
            first, last = max(span.certain[0], segment.start), min(span.certain[1], segment.end)
            assert first >= last or fitted.start <= first < last <= fitted.end
    assert fit_to_speech(fitted, spans) == fitted


@given(segments(), detected())
def test_no_more_silence_stays_than_is_tolerated(segment: Segment, spans: list[SpeechSpan]) -> None:
    fitted = fit_to_speech(segment, spans)
    inside = [
        s.certain for s in spans if s.certain and s.certain[0] < segment.end and s.certain[1] > segment.start
    ]
    if not inside:
        assert fitted == segment
    else:
        assert fitted.start >= inside[0][0] - TOLERANCE - 1e-9
        assert fitted.end <= inside[-1][1] + TOLERANCE + 1e-9


def test_silence_around_speech_is_left_out() -> None:
    spans = [SpeechSpan(7.7, 9.0, (8.0, 8.7)), SpeechSpan(9.5, 12.0, (9.8, 11.7))]
    fitted = fit_to_speech(Segment(0.0, 15.0, " Yes."), spans)
    assert (fitted.start, fitted.end) == (round(8.0 - MARGIN, 2), round(11.7 + MARGIN, 2))


def test_times_close_to_the_speech_stand() -> None:
    segment = Segment(7.8, 11.9, " Yes.")
    assert fit_to_speech(segment, [SpeechSpan(7.7, 12.0, (8.0, 11.7))]) == segment


def test_words_that_were_timed_stand() -> None:
    segment = Segment(0.0, 15.0, " Yes.", words=(Word(0.0, 15.0, " Yes."),))
    assert fit_to_speech(segment, [SpeechSpan(7.7, 9.0, (8.0, 8.7))]) == segment


@given(st.lists(times, min_size=2, max_size=8, unique=True), st.floats(0.01, 40.0))
def test_nothing_ends_after_the_recording(edges: list[float], duration: float) -> None:
    edges.sort()
    words = tuple(Word(start, end, f" w{start}", 0.5) for start, end in pairwise(edges))
    segment = Segment(edges[0], edges[-1], " w", words=words)
    fitted = fit_to_recording(segment, duration)
    assert 0.0 <= fitted.start <= fitted.end <= duration
    assert fitted.words is not None
    assert [word.text for word in fitted.words] == [word.text for word in words]
    assert all(fitted.start <= word.start <= word.end <= fitted.end for word in fitted.words)
    for before, after in zip(words, fitted.words, strict=True):
        assert after == before or before.end > duration


@pytest.mark.parametrize("words", [None, ()])
def test_a_segment_that_lacks_words_still_lacks_them(words: tuple[Word, ...] | None) -> None:
    fitted = fit_to_recording(Segment(1.0, 3.0, " Yes.", words=words), 2.5)
    assert (fitted.start, fitted.end, fitted.words) == (1.0, 2.5, words)
