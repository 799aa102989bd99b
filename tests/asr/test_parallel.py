"""Many loops at once: order of time, the language, room, and an end at once when something is wrong."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.asr.parallel import IN_FLIGHT, ParallelWindows
from hearsay.domain import Audio, DecodeSettings, Segment, TranscribeOptions
from hearsay.engines.jobs import Job, run_inline
from hearsay.engines.protocols import AudioSlice
from hearsay.engines.whisper.jobs import Decode, DetectLanguage, Encode
from hearsay.engines.whisper.window_loop import WindowLoop
from hearsay.errors import Cancelled, EngineFailed
from tests.support.counting_model import Desk, Engine, PretendFeatures, PretendRecognizer, pretend

N_PARTS = 6
PART_SECONDS = 20
WORDS = [part * PART_SECONDS + place for part in range(N_PARTS) for place in (1.0, 4.0, 12.5)]
RECORDING = pretend(WORDS, N_PARTS * PART_SECONDS)
RECOGNIZER = PretendRecognizer()


def loops(language: str | None = "de", audio: Audio = RECORDING, **options: Any) -> Iterator[WindowLoop]:
    """Make one loop for every 20 seconds."""
    wishes = TranscribeOptions(language=language, **options)
    step = PART_SECONDS * 16_000
    for first in range(0, audio.n_samples, step):
        part = Audio(audio.pcm[first : first + step])
        yield WindowLoop(
            RECOGNIZER.features(part),
            wishes,
            RECOGNIZER,
            decode=DecodeSettings(),
            part=AudioSlice(first / 16_000),
        )


def said(windows: list[list[Segment]]) -> list[tuple[float, str]]:
    return [(round(segment.start, 3), segment.text) for window in windows for segment in window]


EXPECTED = [(start, f" w{number}") for number, start in enumerate(WORDS, 1)]


@given(seed=st.integers(0, 2**32), in_flight=st.integers(1, 8), language=st.sampled_from([None, "de"]))
@settings(max_examples=20)
def test_segments_come_in_order_of_time_in_whatever_order_jobs_are_done(
    seed: int, in_flight: int, language: str | None
) -> None:
    with closing(Engine(RECOGNIZER, seed)) as engine:
        work = ParallelWindows(loops(language, words=True), engine.submit, in_flight=in_flight)
        assert said(list(work.windows())) == EXPECTED
        assert engine.most_waiting <= in_flight
    assert work.language == "de"
    assert work.n_windows == N_PARTS
    assert work.progress == N_PARTS * PART_SECONDS
    assert sum(isinstance(job, DetectLanguage) for job in engine.log) == (language is None)


def test_in_one_thread_one_loop_is_finished_after_the_other() -> None:
    n_begun = 0

    def watched() -> Iterator[WindowLoop]:
        nonlocal n_begun
        for loop in loops():
            n_begun += 1
            yield loop

    windows = ParallelWindows(watched(), run_inline(RECOGNIZER)).windows()
    assert [n_begun for _ in windows] == list(range(1, N_PARTS + 1))


def test_the_first_window_is_given_while_all_others_wait() -> None:
    desk = Desk(RECOGNIZER)
    firsts = loops()
    work = ParallelWindows(firsts, submit_but_first_at_once(desk))
    windows = work.windows()
    assert said([next(windows)]) == EXPECTED[:3]
    waiting = [future for _, future in desk.waiting]
    windows.close()
    assert all(future.cancelled() for future in waiting)


def submit_but_first_at_once(desk: Desk) -> Any:
    """Do what the first loop asks for at once, and leave the rest."""
    n_asked = 0

    def submit(job: Job) -> Future[Any]:
        nonlocal n_asked
        n_asked += 1
        future = desk.submit(job)
        if n_asked == 1 or isinstance(job, Decode):
            desk.do(-1)
        return future

    return submit


@pytest.mark.parametrize("language", [None, "de"])
def test_an_eager_first_window_has_the_model_for_itself(language: str | None) -> None:
    with closing(Engine(RECOGNIZER, seed=5)) as engine:
        windows = ParallelWindows(loops(language), engine.submit, eager=True).windows()
        found = [next(windows)]
        alone = [Encode, DetectLanguage, Decode] if language is None else [Encode, Decode]
        assert [type(job) for job in engine.log] == alone
        found += windows
        assert said(found) == EXPECTED
        assert engine.most_waiting > 1


def test_windows_are_encoded_while_the_language_is_not_known_and_decoded_when_it_is() -> None:
    desk = Desk(RECOGNIZER)
    log = []

    def submit(job: Job) -> Future[Any]:
        future = desk.submit(job)
        log.append(type(job))
        if desk.encodes() == N_PARTS:  # The encodings of the others are there before the first one's.
            for _ in range(N_PARTS):
                desk.do(-1)
        elif not isinstance(job, Encode):
            desk.do(-1)
        return future

    work = ParallelWindows(loops(None), submit)
    assert said(list(work.windows())) == EXPECTED
    assert log == [Encode] * N_PARTS + [DetectLanguage] + [Decode] * N_PARTS
    assert {job.window.language for job in desk.done if isinstance(job, Decode)} == {"de"}


def test_where_the_first_part_is_too_short_to_tell_the_second_tells_the_language() -> None:
    def parts() -> Iterator[WindowLoop]:
        blip = Audio(RECORDING.pcm[:100])
        yield WindowLoop(
            RECOGNIZER.features(blip),
            TranscribeOptions(),
            RECOGNIZER,
            decode=DecodeSettings(),
            part=AudioSlice(0.0),
        )
        yield from loops(None)

    with closing(Engine(RECOGNIZER, 3)) as engine:
        work = ParallelWindows(parts(), engine.submit)
        assert said(list(work.windows())) == EXPECTED
    assert work.language == "de"


def test_no_loops_are_no_windows() -> None:
    work = ParallelWindows(iter(()), run_inline(RECOGNIZER))
    assert list(work.windows()) == []
    assert (work.language, work.progress, work.n_windows) == (None, 0.0, 0)


def test_windows_without_words_are_given_too() -> None:
    """Whoever shares the thread with others wants to know that work goes on."""
    work = ParallelWindows(loops(audio=pretend([41.0], 60.0)), run_inline(RECOGNIZER))
    assert said(list(work.windows())) == [(40.0, " w1")]  # A lone segment begins with its window.
    assert work.n_windows == 3


def test_an_error_anywhere_ends_everything_at_once() -> None:
    desk = Desk(RECOGNIZER)
    n_asked = 0

    def submit(job: Job) -> Future[Any]:
        nonlocal n_asked
        n_asked += 1
        future = desk.submit(job)
        if n_asked == 3:
            desk.waiting.pop()
            future.set_exception(EngineFailed("broke"))
        return future

    work = ParallelWindows(loops(), submit)
    with pytest.raises(EngineFailed, match="broke"):
        list(work.windows())
    assert n_asked == 3
    assert len(desk.waiting) == 2
    assert all(future.cancelled() for _, future in desk.waiting)


def test_a_job_that_was_given_up_is_no_answer() -> None:
    def submit(job: Job) -> Future[Any]:
        future: Future[Any] = Future()
        future.cancel()
        return future

    with pytest.raises(Cancelled):
        list(ParallelWindows(loops(), submit).windows())


def test_a_caller_who_has_gone_is_noticed_while_jobs_wait() -> None:
    desk = Desk(RECOGNIZER)
    work = ParallelWindows(loops(), desk.submit, cancelled=lambda: len(desk.waiting) == N_PARTS)
    with pytest.raises(Cancelled):
        list(work.windows())
    assert len(desk.waiting) == N_PARTS
    assert all(future.cancelled() for _, future in desk.waiting)


def test_the_iterator_of_loops_is_closed_when_iteration_ends_early() -> None:
    closed = []

    def parts() -> Iterator[WindowLoop]:
        try:
            yield from loops()
        finally:
            closed.append(True)

    windows = ParallelWindows(parts(), run_inline(RECOGNIZER)).windows()
    next(windows)
    assert not closed
    windows.close()
    assert closed


def test_loops_that_ended_keep_no_features_while_they_wait_for_a_slow_one() -> None:
    """The first part never gets an answer, and hundreds after it do."""
    audio = pretend([], 400 * PART_SECONDS)
    desk = Desk(RECOGNIZER)
    n_asked = 0
    most = 0

    def submit(job: Job) -> Future[Any]:
        nonlocal n_asked, most
        n_asked += 1
        future = desk.submit(job)
        if n_asked > 1:
            desk.do(-1)
        most = max(most, len(PretendFeatures.alive))
        return future

    gc.collect()
    before = len(PretendFeatures.alive)
    work = ParallelWindows(loops(audio=audio), submit, cancelled=lambda: n_asked >= 700)
    with pytest.raises(Cancelled):
        list(work.windows())
    assert most - before <= IN_FLIGHT + 1


def test_progress_is_that_of_the_earliest_part() -> None:
    with closing(Engine(RECOGNIZER, 11)) as engine:
        work = ParallelWindows(loops(), engine.submit)
        seen = []
        for window in work.windows():
            seen.append(work.progress)
            assert all(segment.end <= work.progress for segment in window)
    assert seen == sorted(seen)
