"""Leases: the right of one request to use a loaded model, and the threads in which it does.

Knows neither how models are loaded nor which requests are admitted. Each request works in a thread of its
own. Those of a recogniser submit their jobs to its batcher's queue, where they meet those of all others; a
synthesizer runs in processes of its own. A slow reader delays no other request: at most one step is computed
ahead of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from hearsay.domain import ModelCard, RequestContext
from hearsay.engines import protocols
from hearsay.engines.protocols import Engine, Synthesizer, WindowRecognizer
from hearsay.errors import Cancelled
from hearsay.scheduling.batcher import Batcher, BatchLimits
from hearsay.scheduling.cancellable_synthesizer import CancellableSynthesizer

T = TypeVar("T")


@dataclass(slots=True)
class Timings:
    """Where the seconds of one lease went."""

    loading: float = 0.0
    """Waiting for the model to be loaded."""
    queued: float = 0.0
    """Waiting for a recogniser while it served others."""
    serving: float = 0.0
    """Seconds of the model's time; of work done together with others, the lease's share."""


class LoadedModel:
    """A model in memory and the threads that work with it."""

    def __init__(
        self,
        card: ModelCard,
        engine: Engine,
        thread: ThreadPoolExecutor,
        clock: Callable[[], float],
        limits: BatchLimits | None = None,
    ) -> None:
        """Make a model ready for requests; `thread` is the one that loaded it, for it alone."""
        self.card = card
        self.engine = engine
        self.clock = clock
        self.synthesizer = engine if isinstance(engine, Synthesizer) else None
        """The model, if it is a synthesizer."""
        self.batcher: Batcher | None = None
        if isinstance(engine, WindowRecognizer):
            self.batcher = Batcher(engine, limits=limits, name=card.id, clock=clock)
        self._thread = thread
        self._request_threads: list[ThreadPoolExecutor] = []
        self._idle: queue.SimpleQueue[ThreadPoolExecutor] = queue.SimpleQueue()

    def borrow_thread(self) -> ThreadPoolExecutor:
        """Return the thread in which a request works; `return_thread` takes it back."""
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"request for {self.card.id}")
        self._request_threads.append(thread)
        return thread

    def return_thread(self, thread: ThreadPoolExecutor, last: Future[Any] | None) -> None:
        """Keep a request's thread for another request, once its last work is done; does not wait."""
        if last is None:
            self._idle.put(thread)
        else:
            last.add_done_callback(lambda _: self._idle.put(thread))

    def close(self) -> Future[None]:
        """Free the memory once all work has ended; what waits ends with `Cancelled`."""
        closing = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        return closing

    def _close(self) -> None:
        if self.batcher is not None:
            self.batcher.close()
        for thread in self._request_threads:
            thread.shutdown(wait=True)
        self.engine.close()


class Lease:
    """The right to use one loaded model; an async context manager that releases it."""

    def __init__(
        self,
        model: LoadedModel,
        leave: Callable[[Lease], None],
        *,
        context: RequestContext | None = None,
        loading: float = 0.0,
    ) -> None:
        """Begin to use a model for a request; `leave` is called once, on release."""
        self.card = model.card
        self.request_queue = (
            None if model.batcher is None else model.batcher.request_queue(self.cancelled, context=context)
        )
        """Where to submit jobs; None for a synthesizer."""
        self._context = context
        self._synthesizer = None if model.synthesizer is None else CancellableSynthesizer(model.synthesizer)
        self._model = model
        self._thread = model.borrow_thread()
        self._last: Future[Any] | None = None
        """What the thread does last for this lease."""
        self._clock = model.clock
        self._timings = Timings(loading)
        self._leave = leave
        self._cancelled = False
        self._released = False

    @property
    def recognizer(self) -> WindowRecognizer:
        """The model, a recogniser. Raises: `UnsupportedOption` for a synthesizer."""
        return protocols.as_recognizer(self._model.engine, self.card)

    @property
    def synthesizer(self) -> Synthesizer:
        """The model, a synthesizer; what it synthesizes for this lease ends with the lease.

        Raises: `UnsupportedOption` for a recogniser.
        """
        return self._synthesizer or protocols.as_synthesizer(self._model.engine, self.card)

    @property
    def timings(self) -> Timings:
        if self.request_queue is None:
            return self._timings
        return Timings(
            self._timings.loading, self.request_queue.timings.queued, self.request_queue.timings.engine
        )

    def cancelled(self) -> bool:
        """Return whether the lease or its request is cancelled; asked between pieces of work."""
        return self._cancelled or (self._context is not None and self._context.is_cancelled())

    def cancel(self) -> None:
        """Let work in progress end at its next check; later work raises `Cancelled`."""
        self._cancelled = True
        if self.request_queue is not None:
            self.request_queue.close()
        if self._synthesizer is not None:
            self._synthesizer.close()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in the lease's thread. Cancelling the task cancels the lease."""
        try:
            return await asyncio.wrap_future(self._submit(lambda: self._perform(lambda: function(*args))))
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def stream(self, make: Callable[[], Iterable[T]]) -> AsyncGenerator[T, None]:
        """Iterate in the lease's thread and yield the items here, at most one step ahead of the reader.

        Closing the generator before its end cancels the lease: the step in progress is the last one.
        """
        steps = ThreadStream(make, self._submit, perform=self._perform)
        has_ended = False
        try:
            async for item in steps:
                yield item
            has_ended = True
        finally:
            if not has_ended:
                self.cancel()
                self._close_later(steps)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Release the model; work in progress is cancelled."""
        if not self._released:
            self._released = True
            self.cancel()
            self._model.return_thread(self._thread, self._last)
            self._leave(self)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        """Run work in the lease's thread; it calls `_perform` for what needs the model."""
        if self.cancelled():
            raise Cancelled
        future = self._thread.submit(work)
        self._last = future
        return future

    def _perform(self, step: Callable[[], T]) -> T:
        """Run a step that needs the model, in the lease's thread, and measure it."""
        if self.cancelled():
            raise Cancelled
        started = self._clock()
        try:
            return step()
        finally:
            self._timings.serving += self._clock() - started

    def _close_later(self, steps: ThreadStream[Any]) -> None:
        """Close a stream after the step in progress."""
        try:
            self._last = self._thread.submit(steps.close)
        except RuntimeError:  # the thread takes no more work, because the model is being unloaded
            if self._last is None:
                steps.close()
            else:
                self._last.add_done_callback(lambda _: steps.close())


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
        perform: Callable[[Callable[[], T]], T],
    ) -> None:
        """Prepare, on the event loop; `make` is called in the thread.

        One call takes all steps that may be taken. `perform` takes a step in the thread, or raises why none
        is to be taken any more.
        """
        self._make = make
        self._submit = submit
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
        goes_on = True
        while goes_on:
            item = self._step()
            is_last = item is _END or isinstance(item, BaseException)
            with self._lock:
                self._n_taken += 1
                goes_on = not is_last and self._may()
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
