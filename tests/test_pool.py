"""The pool: admission at once, loading once, fair turns, prompt cancellation, room by unloading, its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from hearsay import cards
from hearsay.domain import ModelCard, Task
from hearsay.engines.fake import FakeWindowRecognizer
from hearsay.engines.protocols import Recognizer
from hearsay.errors import Cancelled, EngineFailed, ModelNotFound, Overloaded
from hearsay.pool import Lease, ModelPool

WAIT = 10.0
"""Seconds after which a test that waits for a thread has failed."""


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """A catalogue of models named after letters; counts loads, can hold them up or make them fail."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.closed: list[str] = []
        self.threads: set[str] = set()
        self.failures: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        if name == "unknown":
            raise ModelNotFound()
        return replace(cards.fake(), id=name or "default")

    def load(self, card: ModelCard) -> Recognizer:
        self.loads.append(card.id)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(WAIT)
        if self.failures:
            raise self.failures.pop()
        shelf = self

        class Closing(FakeWindowRecognizer):
            def close(self) -> None:
                shelf.closed.append(card.id)

        return Closing()


def run(scenario: Callable[[Shelf], Any]) -> Shelf:
    shelf = Shelf()
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


def test_runs_in_one_thread_of_the_model() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        async with await pool.lease("a") as one, await pool.lease("a") as two, await pool.lease("b") as three:
            names = [await lease.run(lambda: threading.current_thread().name) for lease in (one, two, three)]
            assert names[0] == names[1] != names[2]
            assert threading.current_thread().name not in names
            assert one.recognizer is two.recognizer is not three.recognizer
            assert await one.run(divmod, 7, 2) == (3, 1)
        await pool.close()

    shelf = run(scenario)
    assert shelf.loads == ["a", "b"]
    assert sorted(shelf.closed) == ["a", "b"]


def test_two_requests_for_an_unloaded_model_load_it_once() -> None:
    async def scenario(shelf: Shelf) -> None:
        shelf.gate.clear()
        pool = ModelPool(shelf)
        waiting = [asyncio.ensure_future(pool.lease("a")) for _ in range(3)]
        await until(lambda: bool(shelf.loads))
        assert pool.loaded() == [] and pool.admitted() == 3
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
        await until(lambda: pool.admitted() == 2 and bool(shelf.loads))
        shelf.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(result) for result in results] == ["no memory"] * 2
        assert pool.admitted() == 0
        async with await pool.lease("a") as lease:
            assert lease.card.id == "a"
        await pool.close()

    assert run(scenario).loads == ["a", "a"]


def test_one_caller_who_leaves_does_not_take_the_model_from_the_others() -> None:
    async def scenario(shelf: Shelf) -> None:
        shelf.gate.clear()
        pool = ModelPool(shelf)
        leaver, stayer = (asyncio.ensure_future(pool.lease("a")) for _ in range(2))
        await until(lambda: pool.admitted() == 2)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        assert pool.admitted() == 1
        shelf.gate.set()
        async with await stayer:
            pass
        await pool.close()

    assert run(scenario).loads == ["a"]


def test_more_than_may_wait_are_refused_at_once() -> None:
    async def scenario(shelf: Shelf) -> None:
        clock = Clock()
        pool = ModelPool(shelf, max_waiting=1, clock=clock)
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
        assert pool.admitted() == 0
        await pool.close()

    run(scenario)


def test_unknown_models_take_no_permit() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf, max_waiting=0)
        with pytest.raises(ModelNotFound):
            await pool.lease("unknown")
        assert pool.admitted() == 0
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


def test_streams_take_turns_so_a_short_one_overtakes_a_long_one() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        turns: list[str] = []

        def steps(name: str, n_steps: int) -> Iterator[int]:
            for i in range(n_steps):
                turns.append(name)
                yield i

        async def consume(name: str, n_steps: int) -> None:
            async with await pool.lease() as lease:
                assert [i async for i in lease.stream(lambda: steps(name, n_steps))] == list(range(n_steps))

        gate = threading.Event()
        async with await pool.lease() as lease:
            busy = await hold(lease, gate)
            works = [asyncio.ensure_future(consume(*work)) for work in (("long", 50), ("short", 2))]
            await until(lambda: pool.admitted() == 3)
            gate.set()
            await asyncio.gather(busy, *works)
        assert turns.index("short") < 5
        assert max(i for i, name in enumerate(turns) if name == "short") < 10
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
        assert events[-1] == "closed in model default_0"

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
        assert seen == ["flag"] and pool.admitted() == 0
        await pool.close()

    run(scenario)


def test_what_waits_in_line_is_dropped_when_its_caller_leaves() -> None:
    async def scenario(shelf: Shelf) -> None:
        pool = ModelPool(shelf)
        gate, done = threading.Event(), list[str]()
        first, second = await pool.lease(), await pool.lease()
        busy = await hold(first, gate)
        waiting = asyncio.ensure_future(second.run(done.append, "never"))
        await asyncio.sleep(0)
        second.release()
        gate.set()
        with pytest.raises(Cancelled):
            await waiting
        assert await busy and done == []
        first.release()
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
        await until(lambda: pool.admitted() == 2)
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


def test_where_the_time_went_is_measured() -> None:
    async def scenario(shelf: Shelf) -> None:
        clock = Clock()
        pool = ModelPool(shelf, clock=clock)
        first, second = await pool.lease(), await pool.lease()
        gate, started = threading.Event(), threading.Event()

        def work() -> None:
            started.set()
            assert gate.wait(WAIT)
            clock.now += 3

        busy = asyncio.ensure_future(first.run(work))
        await until(started.is_set)
        waiting = asyncio.ensure_future(second.run(lambda: None))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(busy, waiting)
        assert (first.timings.queued, first.timings.serving) == (0, 3)
        assert (second.timings.queued, second.timings.serving) == (3, 0)
        await pool.close()

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
        await until(lambda: steps.is_set() and pool.admitted() == 2)
        await pool.close()
        with pytest.raises(Cancelled):
            await task
        with pytest.raises(Overloaded):
            await starved
        with pytest.raises(Overloaded):
            await pool.lease("a")
        assert pool.loaded() == [] and pool.admitted() == 0

    assert run(scenario).closed == ["a"]
