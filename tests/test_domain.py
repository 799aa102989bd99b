"""The records: recordings in memory and mapped, shifted times, deadlines, traces."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace

import numpy as np
import pytest

from hearsay import domain
from hearsay.domain import (
    SAMPLE_RATE,
    Audio,
    Gender,
    Priority,
    RequestContext,
    Segment,
    Task,
    Trace,
    Transcript,
    Voice,
    Word,
    unix_time,
)


def test_samples_are_the_pcm_as_numbers_below_one() -> None:
    recording = Audio(np.array([0, 16_384, -32_768, 32_767], np.int16))
    assert recording.samples().dtype == np.float32
    assert recording.samples().tolist() == [0.0, 0.5, -1.0, 32_767 / 32_768]
    assert recording.samples(1, 3).tolist() == [0.5, -1.0]
    assert recording.samples(3, 99).tolist() == [32_767 / 32_768]
    assert (recording.n_samples, recording.duration) == (4, 4 / SAMPLE_RATE)


@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_file_of_samples_is_read_or_mapped_and_may_then_go(
    is_mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mapped:
        monkeypatch.setattr(domain, "_IN_MEMORY_BYTES", 0)
    pcm = np.arange(1000, dtype="<i2")
    with tempfile.TemporaryFile() as file:
        file.write(pcm.tobytes() + b"more")
        recording = Audio.map(file, len(pcm), ("It is odd.",))
    assert recording.pcm.tolist() == pcm.tolist()
    assert recording.warnings == ("It is odd.",)
    assert not recording.pcm.flags.writeable


def test_an_empty_file_of_samples_is_an_empty_recording() -> None:
    with tempfile.TemporaryFile() as file:
        assert Audio.map(file, 0).n_samples == 0


def test_a_shifted_segment_takes_everything_along() -> None:
    words = (Word(1.0, 1.5, " a", 0.9), Word(1.5, 2.0, " b"))
    segment = Segment(1.0, 2.0, " a b", words, (7, 8), seek=100, avg_logprob=-0.2, model_times=(0.9, 2.1))
    moved = segment.shifted(10.0)
    assert (moved.start, moved.end, moved.seek) == (11.0, 12.0, 1100)
    assert moved.model_times == (10.9, 12.1)
    assert moved.words == (Word(11.0, 11.5, " a", 0.9), Word(11.5, 12.0, " b"))
    kept = {"start": 1.0, "end": 2.0, "seek": 100, "words": words, "model_times": (0.9, 2.1)}
    assert replace(moved, **kept) == segment  # type: ignore[arg-type]


def test_a_shifted_segment_has_no_words_or_times_that_it_lacked() -> None:
    moved = Segment(0.0, 1.0, " a").shifted(0.5)
    assert (moved.words, moved.model_times, moved.seek) == (None, None, 50)


def test_words_of_a_transcript_are_those_of_its_segments_in_order() -> None:
    first, second = (Word(0.0, 1.0, " a"),), (Word(1.0, 2.0, " b"), Word(2.0, 3.0, " c"))
    segments = Segment(0.0, 1.0, " a", first), Segment(1.0, 3.0, " b c", second), Segment(3.0, 4.0, " d")
    transcript = Transcript("a b c d", segments, "en", 4.0, Task.TRANSCRIBE, "m")
    assert transcript.words == first + second


def test_a_variant_of_a_voice_speaks_as_that_voice() -> None:
    voice = Voice("de", "German", ("de", "de-at"), Gender.MALE)
    assert voice.varied(Voice("whisper", "Whispering", ())) == Voice(
        "de+whisper", "German, Whispering", ("de", "de-at"), Gender.MALE
    )
    assert voice.varied(Voice("f2", "Anna", (), Gender.FEMALE)).gender is Gender.FEMALE


def test_live_work_goes_before_what_no_client_waits_for() -> None:
    assert sorted(Priority) == [Priority.LIVE, Priority.INTERACTIVE, Priority.BATCH]


def test_a_request_ends_when_it_is_cancelled_or_too_late() -> None:
    context = RequestContext("req_1")
    assert not context.is_cancelled()
    context.cancelled.set()
    assert context.is_cancelled()
    assert not RequestContext("req_2", deadline=time.monotonic() + 3600).is_cancelled()
    assert RequestContext("req_3", deadline=time.monotonic() - 1).is_cancelled()


def test_requests_share_neither_cancellation_nor_trace() -> None:
    one, other = RequestContext("req_1"), RequestContext("req_2")
    one.cancelled.set()
    one.trace.warn("It is odd.")
    assert not other.is_cancelled()
    assert other.trace.warnings == []


def test_time_in_a_stage_adds_up_also_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1.0, 3.0, 10.0, 10.5, 20.0, 24.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    trace = Trace()
    with trace.stage("decode"):
        pass
    with trace.stage("load"):
        pass
    with pytest.raises(ValueError, match="broken"), trace.stage("decode"):
        raise ValueError("broken")
    assert trace.stages == {"decode": 6.0, "load": 0.5}
    assert list(trace.stages) == ["decode", "load"]


def test_a_warning_is_given_once() -> None:
    trace = Trace()
    trace.warn("a", "b", "a")
    trace.warn("b", "c")
    assert trace.warnings == ["a", "b", "c"]


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert unix_time("1970-01-02") == 86_400
    assert unix_time("2022-09-21") == 1_663_718_400
