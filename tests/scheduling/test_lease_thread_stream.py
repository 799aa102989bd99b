"""Steps taken in a thread: in order, one ahead and no more, failures told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from hearsay.errors import Cancelled
from hearsay.scheduling.lease import ThreadStream
from tests.support.recognizers import WAIT

T = TypeVar("T")


class Thread:
    """A thread that counts what it is given to do."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="the thread")
        self.n_calls = 0

    def submit(self, work: Callable[[], None]) -> Future[None]:
        self.n_calls += 1
        return self.executor.submit(work)

    async def is_at_rest(self) -> None:
        """Wait until all is done that it was given so far."""
        await asyncio.wrap_future(self.executor.submit(lambda: None))


def run(scenario: Callable[[Thread], Any]) -> None:
    thread = Thread()
    try:
        asyncio.run(asyncio.wait_for(scenario(thread), WAIT))
    finally:
        thread.executor.shutdown()


def stepping(thread: Thread, make: Callable[[], Iterable[int]], *, perform: Any = None) -> ThreadStream[int]:
    return ThreadStream(make, thread.submit, perform=perform or (lambda step: step()))


@pytest.mark.parametrize("n_items", [0, 1, 2, 50])
def test_items_come_in_order_from_the_thread_to_their_end(n_items: int) -> None:
    async def scenario(thread: Thread) -> None:
        def numbers() -> Iterator[int]:
            for number in range(n_items):
                assert threading.current_thread().name == "the thread_0"
                yield number

        steps = stepping(thread, numbers)
        assert [item async for item in steps] == list(range(n_items))
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(steps)

    run(scenario)


def test_nothing_is_done_before_somebody_asks() -> None:
    async def scenario(thread: Thread) -> None:
        steps = stepping(thread, lambda: pytest.fail("nobody asked"))
        await thread.is_at_rest()
        steps.close()
        assert thread.n_calls == 0

    run(scenario)


def test_one_step_is_taken_ahead_and_no_more() -> None:
    async def scenario(thread: Thread) -> None:
        made: list[int] = []

        def numbers() -> Iterator[int]:
            for number in range(100):
                made.append(number)
                yield number

        steps = stepping(thread, numbers)
        for expected in range(20):
            assert await anext(steps) == expected
            await thread.is_at_rest()
            assert len(made) == expected + 2

    run(scenario)


def test_whoever_is_quick_enough_needs_one_call() -> None:
    """The thread goes on for as long as somebody has asked, without being woken for each step."""

    async def scenario(thread: Thread) -> None:
        asked = threading.Semaphore(0)

        def numbers() -> Iterator[int]:
            for number in range(50):
                if number:
                    assert asked.acquire(timeout=WAIT)
                yield number

        steps = stepping(thread, numbers)
        waiting = asyncio.ensure_future(anext(steps))
        for expected in range(49):
            assert await waiting == expected
            waiting = asyncio.ensure_future(anext(steps))
            await asyncio.sleep(0)
            asked.release()
        assert await waiting == 49
        assert thread.n_calls == 1

    run(scenario)


def test_failures_come_after_the_items_before_them_and_stay() -> None:
    async def scenario(thread: Thread) -> None:
        def broken() -> Iterator[int]:
            yield 1
            raise ValueError("lost")

        steps = stepping(thread, broken)
        assert await anext(steps) == 1
        for _ in range(2):
            with pytest.raises(ValueError, match="lost"):
                await anext(steps)

    run(scenario)


def test_what_cannot_be_made_fails_whoever_asked() -> None:
    async def scenario(thread: Thread) -> None:
        def unmakeable() -> Iterator[int]:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await anext(stepping(thread, unmakeable))

    run(scenario)


def test_whoever_performs_steps_may_end_them() -> None:
    async def scenario(thread: Thread) -> None:
        closed = threading.Event()

        def numbers() -> Iterator[int]:
            try:
                yield from range(100)
            finally:
                closed.set()

        performed: list[int] = []

        def perform(step: Callable[[], T]) -> T:
            performed.append(1)
            if len(performed) > 3:
                raise Cancelled
            return step()

        steps = stepping(thread, numbers, perform=perform)
        assert [await anext(steps) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(Cancelled):
            await anext(steps)
        assert not closed.is_set()
        thread.executor.submit(steps.close).result(WAIT)
        assert closed.is_set()

    run(scenario)


def test_a_thread_that_is_refused_fails_whoever_asks() -> None:
    async def scenario(thread: Thread) -> None:
        thread.executor.shutdown()
        steps = stepping(thread, lambda: [1])
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await anext(steps)

    run(scenario)


def test_a_loop_that_has_ended_harms_no_thread() -> None:
    thread = Thread()
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        begun.set()
        assert may_end.wait(WAIT)
        yield 1

    async def scenario() -> None:
        asking = asyncio.ensure_future(anext(stepping(thread, slow)))
        await asyncio.to_thread(begun.wait, WAIT)
        asking.cancel()

    asyncio.run(scenario())
    may_end.set()
    assert thread.executor.submit(lambda: "alive").result(WAIT) == "alive"
    thread.executor.shutdown()
