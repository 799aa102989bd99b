"""The batcher: batches form from what waits, at once and fairly; failures and ends concern their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.domain import Hypothesis
from hearsay.engines.jobs import Job
from hearsay.engines.protocols import ContinuousRecognizer, WindowRecognizer
from hearsay.engines.whisper.jobs import Encode
from hearsay.errors import Cancelled, EngineFailed
from hearsay.scheduling.batcher import Batcher, BatchLimits, RequestQueue
from hearsay.scheduling.queue import OVERTAKING_SECONDS
from tests.support.recognizers import WAIT, Machine, SteppingMachine, align, decode, detect, encode


@contextmanager
def batching(machine: Machine, limits: BatchLimits | None = None, **options: Any) -> Iterator[Batcher]:
    """Open a batcher that does not linger, and let the machine run at the end so that it can close."""
    batcher = Batcher(machine, limits=limits, **{"linger": 0.0, **options})
    try:
        yield batcher
    finally:
        machine.running = True
        for _ in range(100):
            machine.go()
        batcher.close()


def text(future: Future[Any]) -> str:
    """Wait for what was decoded."""
    hypothesis = future.result(WAIT)
    assert isinstance(hypothesis, Hypothesis)
    return hypothesis.text


def error(future: Future[Any]) -> BaseException | None:
    """Wait for what went wrong."""
    return future.exception(WAIT)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_machines_are_what_they_seem() -> None:
    assert isinstance(Machine(), WindowRecognizer) and not isinstance(Machine(), ContinuousRecognizer)
    assert isinstance(SteppingMachine(), ContinuousRecognizer)


@pytest.mark.parametrize("make", [Machine, SteppingMachine])
def test_each_kind_of_job_gets_its_own_result(make: Callable[..., Machine]) -> None:
    with batching(make(running=True)) as batcher:
        desk = batcher.request_queue()
        jobs: list[Job] = [encode(1), detect(2), decode("three", n_steps=2), align("four")]
        encoded, heard, decoded, aligned = [desk.submit(job) for job in jobs]
        assert encoded.result(WAIT) == 1.0 and heard.result(WAIT) == {"2": 1.0}
        assert text(decoded) == "three" and aligned.result(WAIT)[0].text == "four"


@pytest.mark.parametrize("make", [Machine, SteppingMachine])
def test_an_idle_engine_begins_at_once(make: Callable[..., Machine]) -> None:
    machine = make()
    with batching(machine, linger=WAIT) as batcher:  # nobody was answered: there is nobody to wait for
        future = batcher.request_queue().submit(encode(1))
        assert machine.one_call() == ("encode", [1])
        assert future.result(WAIT) == 1


def test_what_waits_when_the_engine_becomes_free_is_one_batch() -> None:
    machine = Machine()
    with batching(machine, BatchLimits(windows=8, encodes=4)) as batcher:
        desks = [batcher.request_queue() for _ in range(6)]
        futures = [desks[0].submit(encode(0))]
        assert machine.next_call() == ("encode", [0])
        futures += [desk.submit(encode(i)) for i, desk in enumerate(desks[1:], start=1)]
        machine.go()
        assert machine.one_call() == ("encode", [1, 2, 3, 4])
        assert machine.one_call() == ("encode", [5])
        assert [future.result(WAIT) for future in futures] == [0, 1, 2, 3, 4, 5]


def test_short_work_goes_first_and_encoding_before_decoding() -> None:
    machine = Machine()
    with batching(machine) as batcher:
        desk = batcher.request_queue()
        desk.submit(encode(0))
        machine.next_call()
        for job in (decode(1), encode(2), align(3), detect(4)):
            desk.submit(job)
        machine.go()
        calls = [machine.one_call() for _ in range(4)]
        assert calls == [("detect", [4]), ("align", [3]), ("encode", [2]), ("decode", [1])]


def test_no_more_is_encoded_than_can_be_decoded_next() -> None:
    machine = Machine()
    with batching(machine, BatchLimits(windows=3, encodes=2)) as batcher:
        desk = batcher.request_queue()
        desk.submit(encode(0))
        machine.next_call()
        for job in (decode("a"), decode("b"), encode(1), encode(2)):
            desk.submit(job)
        machine.go()
        assert machine.next_call() == ("encode", [1])
        desk.submit(decode("c"))
        machine.go()
        assert machine.one_call() == ("decode", ["a", "b", "c"])
        assert machine.one_call() == ("encode", [2])


def test_windows_of_one_kind_are_decoded_together() -> None:
    machine = Machine()
    with batching(machine) as batcher:
        one, two = batcher.request_queue(), batcher.request_queue()
        one.submit(encode(0))
        machine.next_call()
        one.submit(decode("a"))
        one.submit(decode("b", temperature=0.2))
        two.submit(decode("c", temperature=0.2))
        two.submit(decode("d"))
        machine.go()
        assert machine.one_call() == ("decode", ["a", "d"])
        assert machine.one_call() == ("decode", ["b", "c"])


def test_what_has_different_shapes_is_not_put_together() -> None:
    machine = Machine()
    with batching(machine) as batcher:
        desk = batcher.request_queue()
        desk.submit(encode(0))
        machine.next_call()
        shorter = Encode(np.array([2, 0], np.float32))
        for job in (encode(1), shorter, encode(3)):
            desk.submit(job)
        machine.go()
        assert [machine.one_call() for _ in range(2)] == [("encode", [1, 3]), ("encode", [2])]


def test_a_window_that_no_kind_fits_fails_when_it_is_handed_in() -> None:
    class Refusing(Machine):
        def decode_kind(self, window: object) -> str:
            raise EngineFailed("never heard of it")

    with batching(Refusing(running=True)) as batcher:
        desk = batcher.request_queue()
        assert str(error(desk.submit(decode("a")))) == "never heard of it"
        assert desk.submit(encode(1)).result(WAIT) == 1


def test_a_long_recording_holds_up_nobody() -> None:
    machine = Machine()
    with batching(machine, BatchLimits(windows=8, encodes=2)) as batcher:
        long, short, other = batcher.request_queue(), batcher.request_queue(), batcher.request_queue()
        long.submit(encode(0))
        machine.next_call()
        for i in range(1, 5):
            long.submit(encode(i))
        short.submit(encode(10))
        other.submit(encode(20))
        machine.go()
        calls = [machine.one_call() for _ in range(3)]
        assert calls == [("encode", [1, 10]), ("encode", [20, 2]), ("encode", [3, 4])]


def held_up(batcher: Batcher, machine: Machine) -> RequestQueue:
    """Keep the engine busy with a job of somebody who will not come back."""
    desk = batcher.request_queue()
    desk.submit(encode(-1))
    assert machine.next_call() == ("encode", [-1])
    return desk


def test_those_just_answered_are_waited_for() -> None:
    machine = Machine()
    with batching(machine, linger=WAIT) as batcher:
        first, desks = held_up(batcher, machine), [batcher.request_queue() for _ in range(4)]
        futures = [desk.submit(encode(i)) for i, desk in enumerate(desks)]
        first.close()
        machine.go()
        assert machine.one_call() == ("encode", [0, 1, 2, 3])
        assert [future.result(WAIT) for future in futures] == [0, 1, 2, 3]
        decoded = [desk.submit(decode(i)) for i, desk in enumerate(desks[:3])]
        desks[3].close()
        assert machine.one_call() == ("decode", [0, 1, 2])
        assert [text(future) for future in decoded] == ["0", "1", "2"]


def test_whoever_does_not_come_back_is_not_waited_for_long() -> None:
    machine = Machine(running=True)
    with batching(machine, linger=0.001) as batcher:
        gone, here = batcher.request_queue(), batcher.request_queue()
        assert [desk.submit(encode(1)).result(WAIT) for desk in (gone, here)] == [1, 1]
        assert text(here.submit(decode("a"))) == "a"


def test_a_full_batch_waits_for_nobody() -> None:
    machine = Machine()
    with batching(machine, BatchLimits(windows=1), linger=WAIT) as batcher:
        one, two = batcher.request_queue(), batcher.request_queue()
        first = one.submit(encode(1))
        machine.one_call()
        assert first.result(WAIT) == 1
        assert two.submit(decode("b")) and machine.one_call() == ("decode", ["b"])


def test_what_a_caller_who_has_gone_has_waiting_is_dropped() -> None:
    machine, gone = Machine(), threading.Event()
    with batching(machine) as batcher:
        leaver, closer, stayer = (
            batcher.request_queue(gone.is_set),
            batcher.request_queue(),
            batcher.request_queue(),
        )
        running = leaver.submit(encode(0))
        machine.next_call()
        left, closed, kept = leaver.submit(encode(1)), closer.submit(encode(2)), stayer.submit(encode(3))
        gone.set()
        closer.close()
        assert isinstance(error(closed), Cancelled)
        machine.go()
        assert machine.one_call() == ("encode", [3])
        assert kept.result(WAIT) == 3 and running.result(WAIT) == 0
        assert isinstance(error(left), Cancelled)
        assert isinstance(error(leaver.submit(encode(4))), Cancelled)
        assert isinstance(error(closer.submit(encode(5))), Cancelled)


def test_a_future_may_be_cancelled_while_it_waits() -> None:
    machine = Machine()
    with batching(machine) as batcher:
        desk = batcher.request_queue()
        desk.submit(encode(0))
        machine.next_call()
        unwanted, wanted = desk.submit(encode(1)), desk.submit(encode(2))
        assert unwanted.cancel()
        machine.go()
        assert machine.one_call() == ("encode", [2])
        assert wanted.result(WAIT) == 2


@pytest.mark.parametrize("make", [Machine, SteppingMachine])
def test_a_bad_job_fails_alone(make: Callable[..., Machine]) -> None:
    machine = make(broken={2, "two"})
    with batching(machine, linger=0) as batcher:
        desks = [batcher.request_queue() for _ in range(4)]
        first = desks[0].submit(encode(0))
        machine.next_call()
        futures = [desk.submit(encode(i)) for i, desk in enumerate(desks[1:], start=1)]
        machine.running = True
        machine.go()
        assert first.result(WAIT) == 0
        assert [futures[0].result(WAIT), futures[2].result(WAIT)] == [1, 3]
        assert "cannot encode [2" in str(error(futures[1]))
        decoded = [desk.submit(decode(name)) for desk, name in zip(desks, ("one", "two"), strict=False)]
        assert text(decoded[0]) == "one"
        assert "cannot decode ['two']" in str(error(decoded[1]))
        assert desks[1].submit(encode(7)).result(WAIT) == 7, "the engine goes on"


def test_an_engine_that_is_lost_is_replaced() -> None:
    class Dying(SteppingMachine):
        n_decodings = 0

        def continuous_batch(self) -> Any:
            self.n_decodings += 1
            if self.n_decodings == 2:
                raise RuntimeError("out of memory")
            return super().continuous_batch()

    with batching(machine := Dying(running=True, broken={"bad"})) as batcher:
        desk = batcher.request_queue()
        assert "out of memory" in str(error(desk.submit(decode("bad"))))
        assert text(desk.submit(decode("good"))) == "good"
        assert machine.n_decodings == 3


def test_results_that_are_missing_are_a_failure() -> None:
    class Forgetful(Machine):
        def encode(self, inputs: Any) -> list[Any]:
            return super().encode(inputs)[1:]

    with batching(Forgetful(running=True)) as batcher:
        failure = error(batcher.request_queue().submit(encode(1)))
        assert isinstance(failure, EngineFailed) and "0 results for 1 jobs" in str(failure)


class TestContinuous:
    """Of an engine that decodes in steps."""

    def test_newcomers_join_and_those_who_are_done_leave(self) -> None:
        machine = SteppingMachine()
        with batching(machine) as batcher:
            one, two = batcher.request_queue(), batcher.request_queue()
            long = one.submit(decode("long", n_steps=4))
            assert machine.next_call() == ("step", ["long"])
            short = two.submit(decode("short", n_steps=2))
            machine.go()
            assert machine.one_call() == ("step", ["long", "short"])
            assert machine.one_call() == ("step", ["long", "short"])
            assert text(short) == "short" and not long.done()
            assert machine.one_call() == ("step", ["long"])
            assert text(long) == "long"

    def test_between_steps_others_get_one_call_of_each_kind(self) -> None:
        machine = SteppingMachine()
        with batching(machine, BatchLimits(windows=8, encodes=2)) as batcher:
            desk = batcher.request_queue()
            desk.submit(decode("a", n_steps=5))
            machine.next_call()
            for job in (align(1), encode(2), encode(3), encode(4), detect(5)):
                desk.submit(job)
            machine.go()
            calls = [machine.one_call() for _ in range(6)]
            assert calls[:3] == [("detect", [5]), ("align", [1]), ("encode", [2, 3])]
            assert calls[3:] == [("step", ["a"]), ("encode", [4]), ("step", ["a"])]

    def test_those_encoded_together_are_in_the_first_step(self) -> None:
        machine = SteppingMachine()
        with batching(machine, linger=WAIT) as batcher:
            first, desks = held_up(batcher, machine), [batcher.request_queue() for _ in range(4)]
            futures = [desk.submit(encode(i)) for i, desk in enumerate(desks)]
            first.close()
            machine.go()
            assert machine.one_call() == ("encode", [0, 1, 2, 3])
            assert [future.result(WAIT) for future in futures] == [0, 1, 2, 3]
            decoded = [desk.submit(decode(i)) for i, desk in enumerate(desks)]
            assert machine.one_call() == ("step", [0, 1, 2, 3])
            assert [text(future) for future in decoded] == ["0", "1", "2", "3"]

    @pytest.mark.parametrize(("limits", "n_rows"), [(BatchLimits(windows=2), 9), (BatchLimits(), 2)])
    def test_no_more_join_than_there_is_room_for(self, limits: BatchLimits, n_rows: int) -> None:
        machine = SteppingMachine(n_rows=n_rows)
        with batching(machine, limits) as batcher:
            desks = [batcher.request_queue() for _ in range(4)]
            desks[0].submit(encode(0))
            machine.next_call()
            for desk, n_steps in zip(desks, (2, 1, 1, 1), strict=True):
                desk.submit(decode(desks.index(desk), n_steps=n_steps))
            machine.go()
            calls = [machine.one_call() for _ in range(3)]
            assert calls == [("step", [0, 1]), ("step", [0, 2]), ("step", [3])]

    def test_who_does_not_fit_is_overtaken_but_not_for_long(self) -> None:
        machine, clock = SteppingMachine(), Clock()
        with batching(machine, clock=clock) as batcher:
            one, two = batcher.request_queue(), batcher.request_queue()
            one.submit(decode("a", n_steps=2))
            assert machine.next_call() == ("step", ["a"])
            other = two.submit(decode("other", temperature=0.2))
            one.submit(decode("b", n_steps=3))
            machine.go()
            assert machine.next_call() == ("step", ["a", "b"])
            clock.now += OVERTAKING_SECONDS
            one.submit(decode("c"))
            machine.go()
            assert [machine.one_call() for _ in range(2)] == [("step", ["b"])] * 2
            assert [machine.one_call() for _ in range(2)] == [("step", ["other"]), ("step", ["c"])]
            assert text(other) == "other"

    def test_while_the_decoding_is_full_nothing_is_encoded(self) -> None:
        machine = SteppingMachine()
        with batching(machine, BatchLimits(windows=1)) as batcher:
            desk = batcher.request_queue()
            desk.submit(decode("a", n_steps=2))
            machine.next_call()
            desk.submit(encode(1))
            machine.go()
            assert [machine.one_call() for _ in range(2)] == [("step", ["a"]), ("encode", [1])]

    def test_a_caller_who_has_gone_takes_his_windows_along(self) -> None:
        machine, gone = SteppingMachine(), threading.Event()
        with batching(machine) as batcher:
            leaver, stayer = batcher.request_queue(gone.is_set), batcher.request_queue()
            left = leaver.submit(decode("left", n_steps=9))
            machine.next_call()
            kept = stayer.submit(decode("kept", n_steps=2))
            machine.go()
            assert machine.next_call() == ("step", ["left", "kept"])
            gone.set()
            machine.go()
            assert machine.one_call() == ("step", ["kept"])
            assert text(kept) == "kept" and isinstance(error(left), Cancelled)

    def test_a_window_that_cannot_join_fails_alone(self) -> None:
        machine = SteppingMachine(running=True)
        with batching(machine) as batcher:
            desk = batcher.request_queue()
            bad, good = desk.submit(decode("unknown")), desk.submit(decode("good", n_steps=2))
            assert text(good) == "good"
            assert isinstance(error(bad), EngineFailed)

    def test_a_failed_step_has_each_window_decoded_once_more_by_itself(self) -> None:
        machine = SteppingMachine(broken={"bad"})
        with batching(machine) as batcher:
            one, two = batcher.request_queue(), batcher.request_queue()
            good = one.submit(decode("good", n_steps=5))
            machine.next_call()
            bad = two.submit(decode("bad", n_steps=5))
            machine.go()
            calls = [machine.one_call() for _ in range(3)]
            assert calls == [("step", ["good", "bad"]), ("decode", ["good"]), ("decode", ["bad"])]
            assert text(good) == "good" and "cannot decode ['bad']" in str(error(bad))
            later = one.submit(decode("later", n_steps=1))
            assert machine.one_call() == ("step", ["later"]) and text(later) == "later"

    def test_closing_ends_with_the_step(self) -> None:
        machine = SteppingMachine()
        with batching(machine) as batcher:
            desk = batcher.request_queue()
            running = desk.submit(decode("a", n_steps=1000))
            machine.next_call()
            waiting = desk.submit(encode(1))
            closing = threading.Thread(target=batcher.close)
            closing.start()
            assert isinstance(error(waiting), Cancelled)
            machine.go()
            closing.join(WAIT)
            assert not closing.is_alive() and isinstance(error(running), Cancelled)

    def test_an_engine_that_is_lost_tells_everybody(self) -> None:
        class Lost(SteppingMachine):
            def continuous_batch(self) -> Any:
                raise MemoryError("none left")

        with batching(Lost()) as batcher:
            future = batcher.request_queue().submit(encode(1))
            assert isinstance(error(future), EngineFailed) and "none left" in str(error(future))


def test_replicas_work_side_by_side_and_share_what_waits() -> None:
    machine = Machine(n_replicas=2)
    with batching(machine) as batcher:
        desk = batcher.request_queue()
        futures = [desk.submit(encode(i)) for i in (1, 2)]
        assert sorted([machine.next_call(), machine.next_call()]) == [("encode", [1]), ("encode", [2])]
        machine.go()
        machine.go()
        assert [future.result(WAIT) for future in futures] == [1, 2]


def test_closing_ends_with_the_call_in_progress() -> None:
    machine = Machine()
    with batching(machine) as batcher:
        desk = batcher.request_queue()
        running = desk.submit(encode(1))
        machine.next_call()
        waiting = desk.submit(encode(2))
        closing = threading.Thread(target=batcher.close)
        closing.start()
        assert isinstance(error(waiting), Cancelled)
        machine.go()
        closing.join(WAIT)
        assert not closing.is_alive() and running.result(WAIT) == 1
        assert isinstance(error(desk.submit(encode(3))), Cancelled)
        batcher.close()


def test_a_batcher_may_be_closed_by_whoever_it_answers() -> None:
    with batching(Machine(running=True)) as batcher:
        future = batcher.request_queue().submit(encode(1))
        closed = threading.Event()

        def close(_: object) -> None:
            batcher.close()
            closed.set()

        future.add_done_callback(close)
        assert closed.wait(WAIT)


def test_where_the_time_went_is_measured() -> None:
    machine, clock = Machine(), Clock()
    with batching(machine, clock=clock) as batcher:
        one, two = batcher.request_queue(), batcher.request_queue()
        futures = [one.submit(encode(1))]
        machine.next_call()
        clock.now += 2
        futures += [two.submit(encode(2)), one.submit(encode(3))]
        clock.now += 3
        machine.go()
        assert machine.next_call() == ("encode", [2, 3])
        clock.now += 8
        machine.go()
        assert [future.result(WAIT) for future in futures] == [1, 2, 3]
    assert (one.timings.queued, one.timings.engine) == (0, 5 + 4)
    assert (two.timings.queued, two.timings.engine) == (3, 4)


def test_a_step_is_shared_by_those_in_it() -> None:
    machine, clock = SteppingMachine(), Clock()
    with batching(machine, clock=clock) as batcher:
        one, two = batcher.request_queue(), batcher.request_queue()
        futures = [one.submit(decode("a", n_steps=2))]
        machine.next_call()
        clock.now += 2
        futures.append(two.submit(decode("b", n_steps=1)))
        machine.go()
        assert machine.next_call() == ("step", ["a", "b"])
        clock.now += 6
        machine.go()
        assert [text(future) for future in futures] == ["a", "b"]
    assert (one.timings.engine, two.timings.engine) == (5, 3)


@pytest.mark.parametrize("limits", [{"windows": 0}, {"encodes": 0}])
def test_a_batch_without_windows_is_no_batch(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BatchLimits(**limits)


WORK = st.lists(
    st.lists(st.tuples(st.sampled_from("edax"), st.integers(1, 3)), max_size=8), min_size=1, max_size=5
)
"""For each caller the kinds of jobs that it hands in one after the other, and their lengths."""


@given(WORK, st.integers(1, 3), st.integers(1, 3), st.booleans(), st.integers(1, 2))
@settings(max_examples=60)
def test_everybody_gets_exactly_his_own_results(
    work: list[list[tuple[str, int]]], n_windows: int, n_encodes: int, steps: bool, n_replicas: int
) -> None:
    broken = {"x0.1", "x2.3"}
    machine = (SteppingMachine if steps else Machine)(running=True, broken=set(broken), n_replicas=n_replicas)
    answers: dict[int, list[str]] = {}

    def caller(number: int, desk: RequestQueue) -> None:
        said = answers[number] = []
        for place, (kind, length) in enumerate(work[number]):
            name = f"{kind}{number}.{place}"
            match kind:
                case "e":
                    said.append(str(desk.submit(encode(100 * number + place)).result(WAIT)))
                case "d":
                    said.append(str(desk.submit(detect(100 * number + place)).result(WAIT)))
                case "a":
                    said.append(desk.submit(align(name)).result(WAIT)[0].text)
                case _:
                    future = desk.submit(decode(name, n_steps=length, temperature=length / 10))
                    said.append("failed" if isinstance(error(future), EngineFailed) else text(future))

    def expected(number: int) -> Iterator[str]:
        for place, (kind, _) in enumerate(work[number]):
            name = f"{kind}{number}.{place}"
            number_of_job = 100 * number + place
            by_kind = {"e": f"{number_of_job:.1f}", "d": str({str(number_of_job): 1.0})}
            yield "failed" if name in broken else by_kind.get(kind, name)

    with batching(machine, BatchLimits(n_windows, n_encodes), linger=0.001) as batcher:
        threads = [
            threading.Thread(target=caller, args=(i, batcher.request_queue())) for i in range(len(work))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
    assert answers == {number: list(expected(number)) for number in range(len(work))}
