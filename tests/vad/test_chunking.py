"""Chunks: cuts in silence only, all speech in them, blocks equal to the whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Audio, Samples, VadThresholds
from hearsay.vad import chunking
from hearsay.vad import spans as speech
from hearsay.vad.chunking import Chunk, stream_chunks
from hearsay.vad.spans import SpeechRegion
from tests.support.speech import pack_chunks, spans, speech_regions
from tests.support.vad_frames import (
    DEFAULT,
    FRAME,
    Sheet,
    SheetStream,
    drawn,
    recordings,
    sheet,
    thresholds_used,
)


@pytest.fixture(autouse=True)
def as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the detector the samples themselves, from which it reads its probabilities."""
    monkeypatch.setattr(chunking, "level", Audio.samples)


def cut(probabilities: NDArray[np.float32], thresholds: VadThresholds = DEFAULT) -> list[Chunk]:
    duration = len(probabilities) * FRAME
    return pack_chunks(
        speech_regions(probabilities, thresholds, frame_seconds=FRAME, duration=duration), duration=duration
    )


def test_silence_has_neither_spans_nor_stretches() -> None:
    quiet = drawn((100, 0.02))
    assert spans(quiet, DEFAULT, frame_seconds=FRAME) == []
    assert cut(quiet) == []
    assert list(stream_chunks(sheet(quiet, len(quiet) * 512), Sheet(), DEFAULT)) == []


def test_what_fits_a_window_is_one_stretch_where_no_silence_is_long() -> None:
    probabilities = drawn((1.6, 0), (6.4, 0.9), (4.8, 0), (8, 0.9), (4.8, 0), (3.2, 0.9), (1.184, 0))
    (stretch,) = cut(probabilities)
    assert (stretch.start, stretch.end) == (0.0, len(probabilities) * FRAME)
    assert stretch.end == pytest.approx(29.984)
    assert stretch.spans == tuple(spans(probabilities, DEFAULT, frame_seconds=FRAME))


def test_what_is_longer_by_less_than_a_word_fits_a_window() -> None:
    (stretch,) = cut(drawn((12.8, 0.9), (0.64, 0), (16.608, 0.9)))
    assert [stretch.start, stretch.end] == pytest.approx([0.0, 30.048])
    assert len(cut(drawn((12.8, 0.9), (0.64, 0), (16.768, 0.9)))) == 2


def test_long_silence_cuts_also_what_fits_a_window() -> None:
    first, second = cut(drawn((1.6, 0), (1.6, 0.9), (12.8, 0), (1.6, 0.9), (4, 0)))
    assert [first.start, first.end] == pytest.approx([0.0, 4.2])
    assert [second.start, second.end] == pytest.approx([15.0, 21.6])


@pytest.mark.parametrize(("lead", "start"), [(0.64, 0.0), (2.88, 0.0), (3.2, 2.2), (8.0, 7.0)])
def test_a_stretch_begins_with_little_silence(lead: float, start: float) -> None:
    (stretch,) = cut(drawn((lead, 0), (1.6, 0.9), (1.6, 0)))
    assert stretch.start == pytest.approx(start, abs=0.005)


@pytest.mark.parametrize(("tail", "end"), [(4.8, 7.04), (6.4, 3.24)])
def test_only_long_silence_is_left_out_at_the_end(tail: float, end: float) -> None:
    (stretch,) = cut(drawn((0.64, 0), (1.6, 0.9), (tail, 0)))
    assert stretch.end == pytest.approx(end, abs=0.005)


def test_a_word_that_ends_the_recording_after_long_silence_is_in_one_stretch() -> None:
    first, second = cut(drawn((1.6, 0.9), (5.024, 0), (0.192, 0.9)))
    assert first.end == pytest.approx(2.6)
    assert second.end == pytest.approx(6.816)


def test_speech_is_certain_from_its_first_likely_frame_to_its_last() -> None:
    first, second = spans(
        drawn((1.6, 0.2), (0.64, 0.9), (0.32, 0.2), (0.64, 0.9), (1.6, 0.2), (1.6, 0), (1.6, 0.2)),
        DEFAULT,
        frame_seconds=FRAME,
    )
    assert first.certain == pytest.approx((1.6, 3.2))
    assert second.certain is None


def test_long_silence_is_left_out_and_some_kept_around_speech() -> None:
    first, second = cut(drawn((6.4, 0), (9.6, 0.9), (32, 0), (9.6, 0.9), (6.4, 0)))
    assert [first.start, first.end] == pytest.approx([5.4, 17])
    assert [second.start, second.end] == pytest.approx([47, 58.6])


def test_a_short_silence_is_cut_in_its_middle() -> None:
    first, second = cut(drawn((25.6, 0.9), (1.6, 0), (25.6, 0.9)))
    assert first.end == second.start == pytest.approx(26.4)


def test_a_long_pause_is_preferred_to_a_short_one_a_little_later() -> None:
    first, _ = cut(drawn((22.4, 0.9), (0.96, 0), (3.2, 0.9), (0.256, 0), (22.4, 0.9)))
    assert first.end == pytest.approx(22.88, abs=0.005)


def test_a_short_pause_is_preferred_to_a_long_one_much_earlier() -> None:
    first, _ = cut(drawn((6.4, 0.9), (0.96, 0), (19.2, 0.9), (0.256, 0), (22.4, 0.9)))
    assert first.end == pytest.approx(26.688, abs=0.005)


def test_a_span_is_divided_in_a_pause_too_short_to_end_it() -> None:
    patient = VadThresholds(min_silence=2.0)
    first, second = cut(drawn((12.8, 0.9), (0.32, 0), (12.8, 0.9), (0.32, 0.1), (22.4, 0.9)), patient)
    assert first.end == second.start == pytest.approx(26.08, abs=0.005)
    assert first.spans[-1].end == second.spans[0].start == pytest.approx(26.08)


def test_what_may_be_within_a_word_is_no_place_to_cut() -> None:
    (stretch,) = cut(drawn((19.2, 0.9), (0.16, 0), (19.2, 0.9)))
    assert [stretch.start, stretch.end] == pytest.approx([0.0, 38.56])


def test_no_wish_makes_it_cut_in_a_shorter_pause() -> None:
    hasty = VadThresholds(min_silence=0.0, padding=0.0)
    (stretch,) = cut(drawn((19.2, 0.9), (0.16, 0), (19.2, 0.9)), hasty)
    assert [span.end for span in stretch.spans] == pytest.approx([19.2, 38.56])


def test_of_a_silence_between_stretches_each_keeps_a_second() -> None:
    first, second = cut(drawn((25.6, 0.9), (3.84, 0), (25.6, 0.9)))
    assert [first.end, second.start] == pytest.approx([26.6, 28.44])


def test_silence_gives_way_to_speech_where_the_window_is_full() -> None:
    first, second = cut(drawn((6.4, 0), (28.48, 0.9), (1.6, 0), (25.6, 0.9)))
    assert [first.start, first.end, second.start] == pytest.approx([5.4, 35.4, 35.68])


def test_speech_without_any_pause_stays_whole() -> None:
    (stretch,) = cut(drawn((70.4, 0.9)))
    assert [stretch.start, stretch.end] == pytest.approx([0.0, 70.4])
    first, second = cut(drawn((70.4, 0.9), (0.064, 0), (0.64, 0.9), (0.32, 0), (9.6, 0.9)))
    assert first.end == second.start == pytest.approx(70.4 + 0.064 + 0.64 + 0.16, abs=0.005)


def test_a_stretch_is_known_before_the_recording_is_heard_to_its_end() -> None:
    n_heard = 0

    class Counting(Sheet):
        def open(self) -> SheetStream:
            return CountingStream()

    class CountingStream(SheetStream):
        def feed(self, samples: Samples) -> NDArray[np.float32]:
            nonlocal n_heard
            n_heard += len(samples)
            return super().feed(samples)

    probabilities = drawn(*[(4.8, 0.9), (0.64, 0.0)] * 200)
    audio = sheet(probabilities, len(probabilities) * 512)
    first = next(stream_chunks(audio, Counting(), DEFAULT))
    assert first.end == pytest.approx(5 * 5.44 - 0.32)
    assert n_heard <= 2 * chunking.BLOCK_FRAMES * 512
    n_heard = 0
    silent = drawn((40, 0), (3.2, 0.9), (4000, 0))
    next(stream_chunks(sheet(silent, len(silent) * 512), Counting(), DEFAULT))
    assert n_heard <= 2 * chunking.BLOCK_FRAMES * 512


@given(recordings(), thresholds_used, st.integers(1, 512), st.integers(1, 700))
@settings(deadline=None)
def test_blocks_give_what_the_whole_gives(
    probabilities: NDArray[np.float32], thresholds: VadThresholds, last: int, n_block: int
) -> None:
    audio = sheet(probabilities, (len(probabilities) - 1) * 512 + last)
    heard = np.float32(1 / 32768) * np.round(probabilities * np.float32(32767))
    whole = pack_chunks(
        speech_regions(heard, thresholds, frame_seconds=FRAME, duration=audio.duration),
        duration=audio.duration,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "BLOCK_FRAMES", n_block)
        assert list(stream_chunks(audio, Sheet(), thresholds)) == whole


@given(recordings(), thresholds_used, st.integers(1, 512))
def test_stretches_hold_all_speech_and_cut_none(
    probabilities: NDArray[np.float32], thresholds: VadThresholds, last: int
) -> None:
    duration = ((len(probabilities) - 1) * 512 + last) / SAMPLE_RATE
    parts = speech_regions(probabilities, thresholds, frame_seconds=FRAME, duration=duration)
    found = pack_chunks(parts, duration=duration)
    assert all(0 <= s.start < s.end <= duration for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    limit = 30 + (chunking.MIN_TAIL if duration <= 30 + chunking.MIN_TAIL else 1e-6)
    for stretch in found:
        held = [piece for piece in parts if holds(stretch, piece)]
        assert stretch.end - stretch.start <= limit or all(p.pause < speech.MIN_PAUSE for p in held[:-1])
    assert all(any(holds(s, piece) for s in found) for piece in parts)
    assert covered(found) == pytest.approx(sum(piece.end - piece.start for piece in parts))


@given(recordings(), thresholds_used)
def test_cuts_lie_well_within_silence(probabilities: NDArray[np.float32], thresholds: VadThresholds) -> None:
    """Chunks begin and end inside a recording with 0.1 s of silence on either side."""
    duration = len(probabilities) * FRAME
    found = cut(probabilities, thresholds)
    for seam in {edge for s in found for edge in (s.start, s.end)} - {0.0, duration}:
        first, stop = (int((seam + margin) / FRAME) for margin in (-0.09, 0.09))
        near = probabilities[max(first, 0) : stop + 1]
        assert (near < thresholds.threshold).all() or click(probabilities, thresholds, seam)


def click(probabilities: NDArray[np.float32], thresholds: VadThresholds, seam: float) -> bool:
    """Return whether what is loud at the seam was found too short for speech."""
    found = spans(probabilities, thresholds, frame_seconds=FRAME)
    bare = VadThresholds(thresholds.threshold, thresholds.min_silence, 0.0)
    inner = spans(probabilities, bare, frame_seconds=FRAME)
    return len(found) == len(inner) and not any(s.start < seam and seam < s.end for s in inner)


def holds(stretch: Chunk, piece: SpeechRegion) -> bool:
    return stretch.start <= piece.start + 0.0051 and piece.end <= stretch.end + 0.0051


def covered(found: list[Chunk]) -> float:
    return sum(span.end - span.start for stretch in found for span in stretch.spans)
