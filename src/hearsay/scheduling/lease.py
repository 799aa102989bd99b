"""The right of one request to use a loaded model: work in threads, its results here, its end.

Knows neither how models are loaded nor who may have them. A model that takes windows has a batcher: each
request works in a thread of its own and hands its jobs in at a desk, where they meet those of all others. One
that speaks does so in processes of its own; there too each request has a thread, and a booth that ends what
it began. A model that takes whole utterances has one thread, in which requests take turns, one step at a
time. In any case a slow reader holds up nobody: at most one step is taken ahead of him.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from hearsay.domain import ModelCard, RequestContext
from hearsay.engines import registry
from hearsay.engines.protocols import Engine, Recognizer, Synthesizer, WindowRecognizer
from hearsay.errors import Cancelled
from hearsay.scheduling.batcher import Batcher, BatchLimits
from hearsay.scheduling.cancellable_synthesizer import CancellableSynthesizer
from hearsay.scheduling.thread_stream import ThreadStream

T = TypeVar("T")


@dataclass(slots=True)
class Timings:
    """Where the seconds of one lease went."""

    loading: float = 0.0
    """Waiting for the model to be loaded."""
    queued: float = 0.0
    """Waiting for the model while it served others."""
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
        """Make a model ready for work; `thread` is the one that loaded it, for it alone."""
        self.card = card
        self.engine = engine
        self.clock = clock
        self.batcher: Batcher | None = None
        if isinstance(engine, WindowRecognizer):
            self.batcher = Batcher(engine, limits=limits, name=card.id, clock=clock)
        self.synthesizer = engine if isinstance(engine, Synthesizer) else None
        """The model, if it is one that speaks."""
        self.in_turns = self.batcher is None and self.synthesizer is None
        """Whether requests share the model's thread."""
        self._thread = thread
        self._request_threads: list[ThreadPoolExecutor] = []
        self._idle: queue.SimpleQueue[ThreadPoolExecutor] = queue.SimpleQueue()

    def borrow_thread(self) -> ThreadPoolExecutor:
        """Return a request the thread in which its work is to be done; `return_thread` takes it back."""
        if self.in_turns:
            return self._thread
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"request for {self.card.id}")
        self._request_threads.append(thread)
        return thread

    def return_thread(self, thread: ThreadPoolExecutor, last: Future[Any] | None) -> None:
        """Keep a request's thread for another one, once its last work is done; does not wait."""
        if thread is self._thread:
            return
        if last is None:
            self._idle.put(thread)
        else:
            last.add_done_callback(lambda _: self._idle.put(thread))

    def close(self) -> Future[None]:
        """Return the memory back once all work has come to its end, which for what waits is `Cancelled`."""
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
    """The right to use one loaded model; an async context manager that gives the right back."""

    def __init__(
        self,
        model: LoadedModel,
        leave: Callable[[Lease], None],
        *,
        loading: float = 0.0,
        context: RequestContext | None = None,
    ) -> None:
        """Take a place at a model; `leave` is called once, when it is given back."""
        self.card = model.card
        self.context = context
        self.request_queue = None if model.batcher is None else model.batcher.request_queue(self.cancelled)
        """Where to hand jobs in; None for models that do not take windows."""
        self._booth = None if model.synthesizer is None else CancellableSynthesizer(model.synthesizer)
        self._model = model
        self._thread = model.borrow_thread()
        self._last: Future[Any] | None = None
        """What the thread was last given to do for this lease."""
        self._clock = model.clock
        self._timings = Timings(loading)
        self._leave = leave
        self._cancelled = False
        self._released = False

    @property
    def recognizer(self) -> Recognizer:
        """The model, which listens. Raises: `UnsupportedOption` for one that speaks."""
        return registry.recognizer(self._model.engine, self.card)

    @property
    def synthesizer(self) -> Synthesizer:
        """The model, which speaks; what it is saying for this lease ends with it.

        Raises: `UnsupportedOption` for one that listens.
        """
        return self._booth or registry.synthesizer(self._model.engine, self.card)

    @property
    def timings(self) -> Timings:
        """Where the time went so far."""
        if self.request_queue is None:
            return self._timings
        return Timings(
            self._timings.loading, self.request_queue.timings.queued, self.request_queue.timings.engine
        )

    def cancelled(self) -> bool:
        """Return whether the caller has gone; hand this to whatever works for this lease."""
        return self._cancelled

    def cancel(self) -> None:
        """Tell work in progress to end at its next chance; later work raises `Cancelled`."""
        self._cancelled = True
        if self.request_queue is not None:
            self.request_queue.close()
        if self._booth is not None:
            self._booth.close()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in the lease's thread, in turn. Cancelling the task cancels the lease."""
        try:
            return await asyncio.wrap_future(self._submit(lambda: self._perform(lambda: function(*args))))
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def stream(self, make: Callable[[], Iterable[T]]) -> AsyncGenerator[T, None]:
        """Iterate in the lease's thread and give the items here, at most one step ahead of the caller.

        Where requests share the thread, each step is a turn of its own. Closing the generator before its end
        cancels the lease: the step in progress is the last one.
        """
        steps = ThreadStream(make, self._submit, in_turns=self._model.in_turns, perform=self._perform)
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
        """Return the permit back; work that is still going on is told to end."""
        if not self._released:
            self._released = True
            self.cancel()
            self._model.return_thread(self._thread, self._last)
            self._leave(self)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        """Have work done in the lease's thread; `_perform` is for it to call."""
        if self._cancelled:
            raise Cancelled
        submitted = self._clock()

        def job() -> T:
            self._timings.queued += self._clock() - submitted
            return work()

        future = self._thread.submit(job)
        self._last = future
        return future

    def _perform(self, step: Callable[[], T]) -> T:
        """Do something that the model is needed for, in the lease's thread, and measure it."""
        if self._cancelled:
            raise Cancelled
        started = self._clock()
        try:
            return step()
        finally:
            self._timings.serving += self._clock() - started

    def _close_later(self, steps: ThreadStream[Any]) -> None:
        """Close what is stepped through after the step in progress."""
        try:
            self._last = self._thread.submit(steps.close)
        except RuntimeError:  # the thread takes no more work, because the model is being unloaded
            if self._last is None:
                steps.close()
            else:
                self._last.add_done_callback(lambda _: steps.close())
