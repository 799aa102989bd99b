"""An iterable that is iterated in a thread while its items are awaited on the event loop.

Knows no model. At most one step is computed ahead of the reader, so a slow reader fills no memory. Between
two steps the thread is free for other work; whether one call takes all steps that may be taken or each step
is a turn of its own is for the owner of the thread to say.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_END: Any = object()

Submit = Callable[[Callable[[], None]], object]
"""Submits a function to the thread; returns at once."""


class ThreadStream(Generic[T]):
    """An async iterator over items that a thread computes; begins with the first `__anext__`."""

    def __init__(
        self,
        make: Callable[[], Iterable[T]],
        submit: Submit,
        *,
        in_turns: bool,
        perform: Callable[[Callable[[], T]], T],
    ) -> None:
        """Prepare, on the event loop; `make` is called in the thread.

        `in_turns` makes each step a call of its own; otherwise one call takes all steps that may be taken.
        `perform` takes a step in the thread, or raises why none is to be taken any more.
        """
        self._make = make
        self._submit = submit
        self._in_turns = in_turns
        self._perform = perform
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._iterator: Iterator[T] | None = None
        self._n_asked = 0
        self._n_taken = 0
        self._is_busy = False
        """Whether steps are being taken, or there are none left."""
        self._made: deque[T | BaseException] = deque()
        self._arrival: asyncio.Future[None] | None = None

    def __aiter__(self) -> ThreadStream[T]:
        return self

    async def __anext__(self) -> T:
        """Return the next item. Raises: what a step or `submit` raised."""
        self._n_asked += 1
        self._go_on()
        while not self._made:
            self._arrival = self._loop.create_future()
            await self._arrival
        item = self._made[0]
        if item is _END:
            raise StopAsyncIteration
        if isinstance(item, BaseException):
            raise item
        self._made.popleft()
        self._go_on()
        return item

    def close(self) -> None:
        """Close the iterator; to be called in the thread, or when no step is in progress."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()

    def _go_on(self) -> None:
        """Submit the next steps, if they may be taken and are not yet."""
        with self._lock:
            if self._is_busy or not self._may():
                return
            self._is_busy = True
        try:
            self._submit(self._work)
        except BaseException:
            self._is_busy = False
            raise

    def _may(self) -> bool:
        return self._n_taken <= self._n_asked

    def _work(self) -> None:
        """Take steps, in the thread."""
        goes_on = True
        while goes_on:
            item = self._step()
            is_last = item is _END or isinstance(item, BaseException)
            with self._lock:
                self._n_taken += 1
                goes_on = not (is_last or self._in_turns) and self._may()
                self._is_busy = goes_on or is_last
            with suppress(RuntimeError):  # the loop has ended, and nobody is there any more
                self._loop.call_soon_threadsafe(self._arrive, item)

    def _step(self) -> T | BaseException:
        try:
            return self._perform(self._next)
        except BaseException as error:
            return error

    def _next(self) -> T:
        if self._iterator is None:
            self._iterator = iter(self._make())
        return next(self._iterator, _END)

    def _arrive(self, item: T | BaseException) -> None:
        self._made.append(item)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
