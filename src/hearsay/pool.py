"""Loaded models and who may use them: admission, loading once, one thread per model, unloading, clean close.

Knows no request, no audio and no wire. Everything here runs on the event loop except what callers hand to a
lease, which runs in the model's thread. Streams are worked off one step at a time, so a long recording never
bars the way to a short one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from hearsay.domain import ModelCard, Task
from hearsay.engines.protocols import Recognizer
from hearsay.errors import Cancelled, Overloaded

T = TypeVar("T")

_END: Any = object()
_LEAST_RETRY, _MOST_RETRY = 1.0, 300.0
_SMOOTHING = 0.2


class Source(Protocol):
    """Where a pool gets models from (`models.Catalogue`)."""

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Find the model that a name means."""
        ...

    def load(self, card: ModelCard) -> Recognizer:
        """Load a model; blocks."""
        ...


@dataclass(slots=True)
class Timings:
    """Where the seconds of one lease went; grows while the lease is used."""

    loading: float = 0.0
    """Waiting for the model to be loaded."""
    queued: float = 0.0
    """Waiting for the model's thread while it served others."""
    serving: float = 0.0
    """Working in the model's thread."""


@dataclass(slots=True, eq=False)
class _Loaded:
    recognizer: Recognizer
    thread: ThreadPoolExecutor


@dataclass(slots=True, eq=False)
class _Slot:
    """What the pool knows about one model, loaded or not."""

    card: ModelCard
    loaded: _Loaded | None = None
    loading: asyncio.Task[_Loaded] | None = None
    leases: set[Lease] = field(default_factory=set)
    n_admitted: int = 0
    last_used: float = 0.0
    mean_serving: float = 1.0
    """Moving average of the seconds that one lease kept the thread busy."""


class Lease:
    """The right to use one loaded model; an async context manager that gives the right back."""

    def __init__(
        self, slot: _Slot, loaded: _Loaded, clock: Callable[[], float], leave: Callable[[Lease], None]
    ) -> None:
        self.card = slot.card
        self.recognizer = loaded.recognizer
        self.timings = Timings()
        self._thread = loaded.thread
        self._clock = clock
        self._leave = leave
        self._cancelled = False
        self._released = False

    def cancelled(self) -> bool:
        """Tell whether the caller has gone; hand this to whatever works in the model's thread."""
        return self._cancelled

    def cancel(self) -> None:
        """Tell work in progress to end at its next chance; later work raises `Cancelled`."""
        self._cancelled = True

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in the model's thread, in turn. Cancelling the task cancels the lease."""
        try:
            return await asyncio.wrap_future(self._submit(function, *args))
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def stream(self, make: Callable[[], Iterable[T]]) -> AsyncGenerator[T, None]:
        """Iterate in the model's thread and give the items here.

        Each step is a turn of its own in the thread's queue, and at most one step is taken ahead of the
        caller: a slow caller holds up nobody. Closing the generator before its end cancels the lease: the
        step in progress is the last one.
        """
        iterator: Iterator[T] | None = None
        try:
            iterator = await self.run(lambda: iter(make()))
            step = self._submit(next, iterator, _END)
            while (item := await asyncio.wrap_future(step)) is not _END:
                step = self._submit(next, iterator, _END)
                yield item
            iterator = None
        finally:
            if iterator is not None:
                self.cancel()
                self._close_later(iterator)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the permit back; work that is still going on is told to end."""
        if not self._released:
            self._released = True
            self.cancel()
            self._leave(self)

    def _submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        if self._cancelled:
            raise Cancelled()
        submitted = self._clock()

        def job() -> T:
            started = self._clock()
            self.timings.queued += started - submitted
            if self._cancelled:
                raise Cancelled()
            try:
                return function(*args)
            finally:
                self.timings.serving += self._clock() - started

        return self._thread.submit(job)

    def _close_later(self, iterator: Iterator[Any]) -> None:
        close = getattr(iterator, "close", None)
        if close is not None:
            # Queued behind the step in progress, because a generator can only be closed by the
            # thread that is not running it.
            with suppress(RuntimeError):
                self._thread.submit(close)


class ModelPool:
    """The one place where models are loaded, shared and unloaded."""

    def __init__(
        self,
        catalogue: Source,
        *,
        max_waiting: int = 32,
        max_loaded: int = 2,
        idle_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an empty pool; `idle_seconds` 0 keeps models for as long as there is room."""
        self._catalogue = catalogue
        self._max_waiting = max_waiting
        self._max_loaded = max_loaded
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._slots: dict[str, _Slot] = {}
        self._resident: list[_Slot] = []
        self._changed = asyncio.Event()
        self._chores: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def lease(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> Lease:
        """Admit a request to the model of that name and load the model if need be.

        Raises: `Overloaded` at once when too many wait already, what `Catalogue.card` and `Catalogue.load`
        raise.
        """
        card = await asyncio.to_thread(self._catalogue.card, name, task)
        slot = self._slots.setdefault(card.id, _Slot(card))
        self._admit(slot)
        begun = self._clock()
        try:
            loaded = await self._loaded(slot)
        except BaseException:
            self._leave(slot)
            raise
        lease = Lease(slot, loaded, self._clock, lambda lease: self._release(slot, lease))
        lease.timings.loading = self._clock() - begun
        slot.leases.add(lease)
        return lease

    def loaded(self) -> list[str]:
        """Name the models that are in memory now."""
        return [slot.card.id for slot in self._slots.values() if slot.loaded is not None]

    def admitted(self) -> int:
        """Count the requests that hold or await a model."""
        return sum(slot.n_admitted for slot in self._slots.values())

    async def unload_idle(self) -> list[str]:
        """Unload every model that nobody has used for `idle_seconds`, and name them."""
        now = self._clock()
        idle = [s for s in self._resident if _is_idle(s) and now - s.last_used >= self._idle_seconds]
        for slot in idle:
            await self._unload(slot)
        return [slot.card.id for slot in idle]

    async def close(self) -> None:
        """Refuse newcomers, end what is going on within one window, and unload everything."""
        self._closed = True
        self._wake()
        for slot in self._slots.values():
            for lease in tuple(slot.leases):
                lease.release()
        await asyncio.gather(*(s.loading for s in self._slots.values() if s.loading), return_exceptions=True)
        await asyncio.gather(*self._chores, return_exceptions=True)
        for slot in tuple(self._resident):
            await self._unload(slot)

    def _admit(self, slot: _Slot) -> None:
        if self._closed:
            raise Overloaded("The server is shutting down.", retry_after=5.0)
        if slot.n_admitted > self._max_waiting:
            wait = min(max(slot.mean_serving, _LEAST_RETRY), _MOST_RETRY)
            raise Overloaded(
                f"{self._max_waiting} requests wait for {slot.card.id} already; try again in {wait:.0f} s.",
                retry_after=wait,
            )
        slot.n_admitted += 1

    def _release(self, slot: _Slot, lease: Lease) -> None:
        slot.leases.discard(lease)
        if lease.timings.serving > 0:
            slot.mean_serving += _SMOOTHING * (lease.timings.serving - slot.mean_serving)
        self._leave(slot)

    def _leave(self, slot: _Slot) -> None:
        slot.n_admitted -= 1
        slot.last_used = self._clock()
        self._wake()
        if slot.n_admitted == 0 and self._idle_seconds > 0 and not self._closed:
            asyncio.get_running_loop().call_later(self._idle_seconds, self._start_unloading)

    def _start_unloading(self) -> None:
        if not self._closed:
            chore = asyncio.ensure_future(self.unload_idle())
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _loaded(self, slot: _Slot) -> _Loaded:
        if slot.loaded is not None:
            return slot.loaded
        if slot.loading is None:
            slot.loading = asyncio.ensure_future(self._load(slot))
            slot.loading.add_done_callback(_retrieve)
        # Shielded: a caller that goes away must not take the model from the others who wait for it.
        return await asyncio.shield(slot.loading)

    async def _load(self, slot: _Slot) -> _Loaded:
        try:
            await self._make_room(slot)
            thread = ThreadPoolExecutor(1, thread_name_prefix=f"model {slot.card.id}")
            try:
                loop = asyncio.get_running_loop()
                recognizer = await loop.run_in_executor(thread, self._catalogue.load, slot.card)
            except BaseException:
                self._resident.remove(slot)
                thread.shutdown(wait=False)
                self._wake()
                raise
            slot.loaded = _Loaded(recognizer, thread)
            return slot.loaded
        finally:
            slot.loading = None

    async def _make_room(self, slot: _Slot) -> None:
        """Wait until one more model may be in memory, and claim that place."""
        while len(self._resident) >= self._max_loaded:
            if self._closed:
                raise Overloaded("The server is shutting down.", retry_after=5.0)
            idle = [other for other in self._resident if _is_idle(other)]
            if idle:
                await self._unload(min(idle, key=lambda other: other.last_used))
            else:
                await self._changed.wait()
        self._resident.append(slot)

    async def _unload(self, slot: _Slot) -> None:
        loaded, slot.loaded = slot.loaded, None
        if loaded is None:
            return
        try:
            await asyncio.wrap_future(loaded.thread.submit(loaded.recognizer.close))
        finally:
            loaded.thread.shutdown(wait=False)
            self._resident.remove(slot)
            self._wake()


def _is_idle(slot: _Slot) -> bool:
    return slot.n_admitted == 0 and slot.loaded is not None


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Look at a failure that perhaps nobody waits for any more; those who wait get it all the same."""
    if not task.cancelled():
        task.exception()
