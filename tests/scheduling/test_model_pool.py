"""The pool: admission at once, loading once, prompt cancellation, room by unloading, its end.

Each request has a thread of its own, and their jobs meet in batches.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from hearsay.asr.transcription import Transcription
from hearsay.domain import Audio, Chunking, ModelCard, Task, TranscribeOptions, Transcript
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.protocols import Engine
from hearsay.engines.whisper.loading import load as load_whisper
from hearsay.errors import Cancelled, EngineFailed, ModelNotFound, Overloaded
from hearsay.media import decoding
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.model_pool import BatchLimits, Lease, ModelPool
from tests.support.paths import DATA
from tests.support.recognizers import WAIT, Machine, encode


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """A catalogue of models named after letters; counts loads, can hold them up or make them fail."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self.loads: list[str] = []
        self.closed: list[str] = []
        self._make = make
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        if name == "unknown":
            raise ModelNotFound()
        return replace(fake_cards.fake(), id=name or "default")

    def load(self, card: ModelCard) -> Engine:
        self.loads.append(card.id)
        assert self.gate.wait(WAIT)
        if self.failures:
            raise self.failures.pop()
        recognizer = self._make()
        recognizer.close = partial(self.closed.append, card.id)  # type: ignore[method-assign]
        return recognizer


def admitted(pool: ModelPool) -> int:
    """Return how many requests hold or await a model."""
    return sum(map(pool.admission.n_using, pool._slots))


def run(scenario: Callable[[Shelf], Any], kind: Callable[[], Engine] = FakeWindowRecognizer) -> Shelf:
    shelf = Shelf(kind)
    asyncio.run(scenario(shelf))
    return shelf


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody else work until something is so."""
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0)


async def hold(lease: Lease, gate: threading.Event) -> asyncio.Task[bool]:
    """Keep the model's thread busy until the gate opens."""
    started = threading.Event()

    def work() -> bool:
        started.set()
        return gate.wait(WAIT)

    task = asyncio.ensure_future(lease.run(work))
    await until(started.is_set)
    return task


def test_two_requests_for_an_unloaded_model_load_it_once() -> None:
    async def scenario(shelf: Shelf) -> None:
        shelf.gate.clear()
        pool = ModelPool(shelf)
        waiting = [asyncio.ensure_future(pool.lease("a")) for _ in range(3)]
        await until(lambda: bool(shelf.loads) and admitted(pool) == 3)
        assert pool.loaded() == []
        shelf.gate.set()
        leases = await asyncio.gather(*waiting)
        assert len({id(lease.recognizer) for lease in leases}) == 1
        assert pool.loaded() == ["a"]
        await pool.close()

    assert run(scenario).loads == ["a"]


def test_a_failed_load_is_told_to_all_who_wait_and_can_be_tried_again() -> None:
    async def scenario(shelf: Shelf) -> None:
        shelf.gate.clear()
        shelf.failures = [EngineFailed("no memory")]
        pool = ModelPool(shelf, max_loaded=1)
        waiting = [asyncio.ensure_future(pool.lease("a")) for _ in range(2)]
        await until(lambda: admitted(pool) == 2 and bool(shelf.loads))
        shelf.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(result) for result in results] == ["no memory"] * 2
        assert admitted(pool) == 0
        async with await pool.lease("a") as lease:
            assert lease.card.id == "a"
        await pool.close()

    assert run(scenario).loads == ["a", "a"]


def test_one_caller_who_leaves_does_not_take_the_model_from_the_others() -> None:
    async def scenario(shelf: Shelf) -> None:
        shelf.gate.clear()
        pool = ModelPool(shelf)
        leaver, stayer = (asyncio.ensure_future(pool.lease("a")) for _ in range(2))
        await until(lambda: admitted(pool) == 2)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        assert admitted(pool) == 1
        shelf.gate.set()
        async with await stayer:
            pass
        await pool.close()

    assert run(scenario).loads == ["a"]


def test_more_than_may_wait_are_refused_at_once() -> None:
    async def scenario(shelf: Shelf) -> None:
        clock = Clock()
        pool = ModelPool(shelf, admission=Admission(max_waiting=1), clock=clock)
        first, second = await pool.lease("a"), await pool.lease("a")

        def work() -> None:
            clock.now += 11.0

        await first.run(work)
        with pytest.raises(Overloaded) as refused:
            await pool.lease("a")
        assert refused.value.retry_after == 1.0  # nothing has been finished yet that it could be judged by
        async with await pool.lease("b"):
            pass  # every model has its own line
        first.release()
        async with await pool.lease("a"):
            with pytest.raises(Overloaded) as refused:
                await pool.lease("a")
        assert refused.value.retry_after == pytest.approx(1.0 + 0.2 * (11.0 - 1.0))
        second.release()
        second.release()
        assert admitted(pool) == 0
        await pool.close()

    run(scenario, FakeSynthesizer)


def test_unknown_models_take_no_permit() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, admission=Admission(max_waiting=0))
        with pytest.raises(ModelNotFound):
            await pool.lease("unknown")
        assert admitted(pool) == 0
        await pool.close()

    run(scenario)


def test_work_is_done_first_come_first_served() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        gate, order = threading.Event(), list[int]()
        async with await pool.lease() as lease:
            busy = await hold(lease, gate)
            later = [asyncio.ensure_future(lease.run(order.append, i)) for i in range(20)]
            await asyncio.sleep(0)
            gate.set()
            assert await busy
            await asyncio.gather(*later)
        assert order == list(range(20))
        await pool.close()

    run(scenario)


def test_a_slow_reader_is_waited_for_with_one_step_in_hand() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        made: list[int] = []

        def numbers() -> Iterator[int]:
            for i in range(100):
                made.append(i)
                yield i

        async with await pool.lease() as lease, aclosing(lease.stream(numbers)) as stream:
            for expected in range(10):
                assert await anext(stream) == expected
                await lease.run(lambda: None)  # whatever the thread was going to do, it has done now
                assert len(made) == expected + 2
        await pool.close()

    run(scenario)


def test_closing_a_stream_ends_its_work_within_a_step_and_closes_its_iterator() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        events: list[str] = []
        lease = await pool.lease()

        def endless() -> Iterator[int]:
            try:
                while not lease.cancelled():
                    events.append("step")
                    yield 1
                events.append("saw the flag")
            finally:
                events.append(f"closed in {threading.current_thread().name}")

        async with aclosing(lease.stream(endless)) as stream:
            assert await anext(stream) == 1
        assert lease.cancelled()
        with pytest.raises(Cancelled):
            await lease.run(lambda: None)
        lease.release()
        await pool.close()
        assert events.count("step") <= 2
        assert events[-1] == "closed in request for default_0"

    run(scenario)


def test_a_cancelled_task_cancels_what_it_waits_for() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        seen: list[str] = []
        started, ended = threading.Event(), threading.Event()

        async def request() -> None:
            async with await pool.lease() as lease:

                def work() -> None:
                    started.set()
                    while not lease.cancelled():
                        ended.wait(0.001)
                    seen.append("flag")
                    ended.set()

                await lease.run(work)

        task = asyncio.ensure_future(request())
        await until(started.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended.wait, WAIT)
        assert seen == ["flag"] and admitted(pool) == 0
        await pool.close()

    run(scenario)


def test_what_waits_in_line_is_dropped_when_its_caller_leaves() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        gate, done = threading.Event(), list[str]()
        lease = await pool.lease()
        busy = await hold(lease, gate)
        waiting = asyncio.ensure_future(lease.run(done.append, "never"))
        await asyncio.sleep(0)
        lease.release()
        gate.set()
        with pytest.raises(Cancelled):
            await waiting
        assert await busy and done == []
        await pool.close()

    run(scenario)


def test_failures_reach_the_caller_and_leave_the_model_usable() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)

        def broken() -> Iterator[int]:
            yield 1
            raise EngineFailed("lost")

        async with await pool.lease() as lease:
            stream = lease.stream(broken)
            assert await anext(stream) == 1
            with pytest.raises(EngineFailed, match="lost"):
                await anext(stream)
        async with await pool.lease() as lease:
            assert await lease.run(lambda: 5) == 5
        await pool.close()

    assert run(scenario).loads == ["default"]


def test_the_least_recently_used_idle_model_makes_room() -> None:
    async def scenario(shelf: Shelf) -> None:
        clock = Clock()
        pool = ModelPool(shelf, max_loaded=2, clock=clock)
        for name in ("a", "b", "a", "c"):
            clock.now += 1
            async with await pool.lease(name):
                pass
        assert sorted(pool.loaded()) == ["a", "c"] and shelf.closed == ["b"]
        await pool.close()

    assert run(scenario).loads == ["a", "b", "c"]


def test_a_model_in_use_is_not_unloaded_the_newcomer_waits() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, max_loaded=1)
        lease = await pool.lease("a")
        waiting = asyncio.ensure_future(pool.lease("b"))
        await until(lambda: admitted(pool) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert shelf.loads == ["a"] and not waiting.done()
        lease.release()
        async with await waiting as other:
            assert other.card.id == "b"
        assert shelf.closed == ["a"]
        await pool.close()

    run(scenario)


def test_idle_models_are_unloaded_and_loaded_again_when_asked_for() -> None:
    async def scenario(shelf: Shelf) -> None:
        clock = Clock()
        pool = ModelPool(shelf, idle_seconds=60, clock=clock)
        busy = await pool.lease("busy")
        async with await pool.lease("idle"):
            pass
        clock.now += 59
        assert await pool.unload_idle() == []
        clock.now += 1
        assert await pool.unload_idle() == ["idle"]
        assert pool.loaded() == ["busy"]
        async with await pool.lease("idle"):
            pass
        busy.release()
        await pool.close()

    assert run(scenario).loads == ["busy", "idle", "idle"]


def test_the_loop_itself_unloads_idle_models() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, idle_seconds=0.001)
        async with await pool.lease("a"):
            pass
        async with asyncio.timeout(WAIT):
            while not shelf.closed:
                await asyncio.sleep(0.001)
        assert pool.loaded() == []
        await pool.close()

    run(scenario)


def test_whoever_awaits_a_load_gets_no_lease_from_a_closed_pool() -> None:
    async def scenario(shelf: Shelf) -> None:
        shelf.gate.clear()
        pool = ModelPool(shelf)
        waiting = asyncio.ensure_future(pool.lease())
        await until(lambda: shelf.loads == ["default"])
        closing = asyncio.ensure_future(pool.close())
        await asyncio.sleep(0)
        shelf.gate.set()
        with pytest.raises(Overloaded):
            await waiting
        await closing
        assert (admitted(pool), shelf.closed) == (0, ["default"])

    run(scenario)


def test_closing_ends_everything_and_refuses_newcomers() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, max_loaded=1)
        lease = await pool.lease("a")
        steps = threading.Event()

        def endless() -> Iterator[int]:
            while True:
                steps.set()
                yield 1

        async def request() -> None:
            async for _ in lease.stream(endless):
                pass

        task = asyncio.ensure_future(request())
        starved = asyncio.ensure_future(pool.lease("b"))
        await until(lambda: steps.is_set() and admitted(pool) == 2)
        await pool.close()
        with pytest.raises(Cancelled):
            await task
        with pytest.raises(Overloaded):
            await starved
        with pytest.raises(Overloaded):
            await pool.lease("a")
        assert pool.loaded() == [] and admitted(pool) == 0

    assert run(scenario).closed == ["a"]


async def hand_in(lease: Lease, name: int) -> float:
    """Have a window encoded, waiting for it in the lease's thread."""
    desk = lease.request_queue
    assert desk is not None
    return await lease.run(lambda: float(desk.submit(encode(name)).result(WAIT)))


def n_waiting(lease: Lease) -> int:
    """Count the jobs of a lease that the engine has not taken yet."""
    assert lease.request_queue is not None
    return lease.request_queue._n_waiting


class TestWindows:
    """Of models that take windows."""

    def test_requests_have_a_desk_and_a_thread_of_their_own(self) -> None:
        async def scenario(shelf: Shelf) -> None:
            pool = ModelPool(shelf)
            async with await pool.lease() as one, await pool.lease() as two:
                assert one.recognizer is two.recognizer
                assert (
                    one.request_queue is not None
                    and two.request_queue is not None
                    and one.request_queue is not two.request_queue
                )
                gate = threading.Event()
                busy = await hold(one, gate)
                assert await two.run(divmod, 7, 2) == (3, 1)
                gate.set()
                assert await busy
            await pool.close()

        run(scenario)

    def test_what_requests_hand_in_is_done_together(self) -> None:
        machine = Machine()

        async def scenario(shelf: Shelf) -> None:
            pool = ModelPool(shelf, limits=BatchLimits(windows=8, encodes=8))
            leases = [await pool.lease() for _ in range(5)]
            first = asyncio.ensure_future(hand_in(leases[0], 0))
            assert await asyncio.to_thread(machine.next_call) == ("encode", [0])
            others = [asyncio.ensure_future(hand_in(one, i)) for i, one in enumerate(leases[1:], start=1)]
            await until(lambda: all(n_waiting(one) for one in leases[1:]))
            machine.go()
            kind, names = await asyncio.to_thread(machine.one_call)
            assert (kind, sorted(names)) == ("encode", [1, 2, 3, 4])
            assert await asyncio.gather(first, *others) == [0, 1, 2, 3, 4]
            for lease in leases:
                lease.release()
            await pool.close()

        run(scenario, lambda: machine)

    def test_a_caller_who_leaves_is_not_waited_for(self) -> None:
        machine = Machine()

        async def scenario(shelf: Shelf) -> None:
            pool = ModelPool(shelf)
            stayer, leaver = await pool.lease(), await pool.lease()
            busy = asyncio.ensure_future(hand_in(stayer, 0))
            await asyncio.to_thread(machine.next_call)
            waiting = asyncio.ensure_future(hand_in(leaver, 1))
            await until(lambda: n_waiting(leaver) == 1)
            leaver.release()
            with pytest.raises(Cancelled):
                await waiting
            assert not busy.done()
            machine.go()
            assert await busy == 0 and machine.is_idle()
            stayer.release()
            await pool.close()

        run(scenario, lambda: machine)

    def test_a_model_is_closed_after_all_who_work_with_it(self) -> None:
        begun, gate = threading.Event(), threading.Event()

        async def scenario(shelf: Shelf) -> None:
            def work() -> None:
                begun.set()
                assert gate.wait(WAIT)
                shelf.closed.append("nothing yet")

            pool = ModelPool(shelf, max_loaded=1)
            lease = await pool.lease("a")
            task = asyncio.ensure_future(lease.run(work))
            await until(begun.is_set)
            lease.release()
            other = asyncio.ensure_future(pool.lease("b"))  # makes room by unloading
            await until(lambda: pool.loaded() == [])
            gate.set()
            await task
            (await other).release()
            assert shelf.closed == ["nothing yet", "a"]
            await pool.close()

        run(scenario)

    def test_closing_ends_what_waits_and_what_is_iterated(self) -> None:
        machine, closed = Machine(), threading.Event()

        def steps(lease: Lease) -> Iterator[float]:
            assert lease.request_queue is not None
            try:
                yield 0.0
                yield lease.request_queue.submit(encode(1)).result(WAIT)
            finally:
                closed.set()

        async def scenario(shelf: Shelf) -> None:
            pool = ModelPool(shelf)
            lease = await pool.lease()
            stream = lease.stream(lambda: steps(lease))
            assert await anext(stream) == 0.0
            await asyncio.to_thread(machine.next_call)
            closing = asyncio.ensure_future(pool.close())
            await until(lease.cancelled)
            machine.go()
            with pytest.raises(Cancelled):
                assert await anext(stream) == 1.0  # was being done, and came to its end
                await anext(stream)
            await closing
            assert closed.is_set() and shelf.closed == ["default"]

        run(scenario, lambda: machine)

    def test_the_share_of_the_models_time_is_measured(self) -> None:
        machine, clock = Machine(), Clock()

        async def scenario(shelf: Shelf) -> None:
            pool = ModelPool(shelf, clock=clock)
            one, two = await pool.lease(), await pool.lease()
            first = asyncio.ensure_future(hand_in(one, 1))
            await asyncio.to_thread(machine.next_call)
            second = asyncio.ensure_future(hand_in(two, 2))
            await until(lambda: n_waiting(two) == 1)
            clock.now += 3
            machine.go()
            await asyncio.to_thread(machine.next_call)
            clock.now += 4
            machine.go()
            await asyncio.gather(first, second)
            assert (one.timings.queued, one.timings.serving) == (0, 3)
            assert (two.timings.queued, two.timings.serving) == (3, 4)
            await pool.close()

        run(scenario, lambda: machine)


def test_fifty_callers_at_once_are_told_what_each_would_be_alone() -> None:
    recognizer = load_whisper(DATA / "fixture-whisper", device="cpu")
    card = replace(fake_cards.fake(), id="fixture")
    clips = json.loads((DATA / "clips" / "manifest.json").read_text("utf-8"))
    recordings = [decoding.load(DATA / "clips" / clip["file"]) for clip in clips[::6]]
    wishes = [
        TranscribeOptions(),
        TranscribeOptions(words=True),
        TranscribeOptions(prompt="The clock is red."),
        TranscribeOptions(task=Task.TRANSLATE),
        TranscribeOptions(chunking=Chunking.SEQUENTIAL, words=True),
    ]
    asked = [(recording, options) for recording in recordings for options in wishes] * 2
    alone = [Transcription(*what, recognizer, card).transcript() for what in asked[: len(asked) // 2]] * 2
    assert len(asked) == 50

    async def request(pool: ModelPool, recording: Audio, options: TranscribeOptions) -> Transcript:
        async with await pool.lease("fixture") as lease:
            assert lease.request_queue is not None
            work = Transcription(
                recording, options, lease.recognizer, lease.card, submit=lease.request_queue.submit
            )
            segments = [segment async for segment in lease.stream(work.steps) if segment is not None]
            transcript = await lease.run(work.transcript)
            assert transcript.segments == tuple(segments)
            return transcript

    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, admission=Admission(max_waiting=64))
        together = await asyncio.gather(*(request(pool, *what) for what in asked))
        assert [one.text for one in together] == [one.text for one in alone]
        assert [one.language for one in together] == [one.language for one in alone]
        spoken = [[(word.start, word.end, word.text) for word in one.words] for one in together]
        assert spoken == [[(word.start, word.end, word.text) for word in one.words] for one in alone]
        await pool.close()

    run(scenario, lambda: recognizer)
