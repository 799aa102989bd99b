"""Loaded models and which requests may use them: loading once, unloading to make room, clean close.

Knows no request, no audio and no wire. Everything here runs on the event loop; the work itself is done in
threads, see `lease`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from hearsay.domain import ModelCard, RequestContext, Task
from hearsay.engines import registry
from hearsay.engines.protocols import Engine
from hearsay.errors import Overloaded
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.batcher import BatchLimits
from hearsay.scheduling.lease import Lease, LoadedModel, Timings

__all__ = ["BatchLimits", "Lease", "ModelPool", "ModelSource", "Timings"]

_LEAST_RETRY, _MOST_RETRY = 1.0, 300.0
_SMOOTHING = 0.2


class ModelSource(Protocol):
    """Where a pool gets its models from (`models.catalogue.Catalogue`)."""

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Return the model that a name means."""

    def load(self, card: ModelCard) -> Engine:
        """Load a model; blocks."""


@dataclass(slots=True, eq=False)
class _Slot:
    card: ModelCard
    loaded: LoadedModel | None = None
    loading: asyncio.Task[LoadedModel] | None = None
    leases: set[Lease] = field(default_factory=set)
    last_used: float = 0.0
    mean_serving: float = 1.0
    """Moving average of the seconds of the model's time that one lease took."""

    @property
    def is_light(self) -> bool:
        """Whether the model does not count towards those in memory."""
        return registry.spec(self.card).is_light


class ModelPool:
    """The one place where models are loaded, shared and unloaded."""

    def __init__(
        self,
        catalogue: ModelSource,
        *,
        admission: Admission | None = None,
        max_loaded: int = 2,
        idle_seconds: float = 0.0,
        limits: BatchLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an empty pool; `idle_seconds` 0 keeps models for as long as there is room.

        `limits` say how much a model does at once; None leaves that to the model.
        """
        self._catalogue = catalogue
        self.admission = admission or Admission()
        """The limits of the server, of which those on waiting for a model are enforced here."""
        self._max_loaded = max_loaded
        self._idle_seconds = idle_seconds
        self._limits = limits
        self._clock = clock
        self._slots: dict[str, _Slot] = {}
        self._resident: list[_Slot] = []
        self._changed = asyncio.Event()
        self._background: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def lease(
        self,
        wanted: ModelCard | str | None = None,
        task: Task = Task.TRANSCRIBE,
        *,
        context: RequestContext | None = None,
    ) -> Lease:
        """Return the right to use a model, or that of a name, and load the model if need be.

        Requests share the model by the key and the priority of their `context`.

        Raises: `Overloaded` at once when too many wait already, what `Catalogue.card` and `Catalogue.load`
        raise.
        """
        if isinstance(wanted, ModelCard):
            card = wanted
        else:
            card = await asyncio.to_thread(self._catalogue.card, wanted, task)
        slot = self._slots.setdefault(card.id, _Slot(card))
        self._admit(slot)
        begun = self._clock()
        try:
            loaded = await self._loaded(slot)
            self._check_open()
        except BaseException:
            self._leave(slot)
            raise
        leave = partial(self._release, slot)
        lease = Lease(loaded, leave, context=context, loading=self._clock() - begun)
        slot.leases.add(lease)
        return lease

    def loaded(self) -> list[str]:
        """Return the ids of the models that are in memory."""
        return [slot.card.id for slot in self._slots.values() if slot.loaded is not None]

    def has_room(self) -> bool:
        """Return whether one more model could be loaded without another having to go."""
        return len(self._heavy()) < self._max_loaded

    async def unload_idle(self) -> list[str]:
        """Unload every model that was not used for `idle_seconds`, and return their ids."""
        now = self._clock()
        idle = [s for s in self._resident if self._is_idle(s) and now - s.last_used >= self._idle_seconds]
        for slot in idle:
            await self._unload(slot)
        return [slot.card.id for slot in idle]

    async def close(self) -> None:
        """Refuse new requests, end running ones within one window, and unload everything."""
        self._closed = True
        self._wake()
        for slot in self._slots.values():
            for lease in tuple(slot.leases):
                lease.release()
        await asyncio.gather(*(s.loading for s in self._slots.values() if s.loading), return_exceptions=True)
        await asyncio.gather(*self._background, return_exceptions=True)
        for slot in tuple(self._resident):
            await self._unload(slot)

    def _is_idle(self, slot: _Slot) -> bool:
        return self.admission.n_using(slot.card.id) == 0 and slot.loaded is not None

    def _check_open(self) -> None:
        if self._closed:
            raise Overloaded("The server is shutting down.", retry_after=5.0)

    def _admit(self, slot: _Slot) -> None:
        self._check_open()
        retry_after = min(max(slot.mean_serving, _LEAST_RETRY), _MOST_RETRY)
        self.admission.enter_model(slot.card.id, retry_after=retry_after)

    def _release(self, slot: _Slot, lease: Lease) -> None:
        slot.leases.discard(lease)
        if lease.timings.serving > 0:
            slot.mean_serving += _SMOOTHING * (lease.timings.serving - slot.mean_serving)
        self._leave(slot)

    def _leave(self, slot: _Slot) -> None:
        self.admission.leave_model(slot.card.id)
        slot.last_used = self._clock()
        self._wake()
        if self.admission.n_using(slot.card.id) == 0 and self._idle_seconds > 0 and not self._closed:
            asyncio.get_running_loop().call_later(self._idle_seconds, self._start_unloading)

    def _start_unloading(self) -> None:
        if not self._closed:
            task = asyncio.ensure_future(self.unload_idle())
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _loaded(self, slot: _Slot) -> LoadedModel:
        if slot.loaded is not None:
            return slot.loaded
        if slot.loading is None:
            slot.loading = asyncio.ensure_future(self._load(slot))
            slot.loading.add_done_callback(_retrieve)
        # Shielded: a cancelled request must not end the loading that others await.
        return await asyncio.shield(slot.loading)

    async def _load(self, slot: _Slot) -> LoadedModel:
        try:
            await self._make_room(slot)
            thread = ThreadPoolExecutor(1, thread_name_prefix=f"model {slot.card.id}")
            try:
                slot.loaded = await asyncio.wrap_future(thread.submit(self._load_in, thread, slot.card))
            except BaseException:
                self._resident.remove(slot)
                thread.shutdown(wait=False)
                self._wake()
                raise
            return slot.loaded
        finally:
            slot.loading = None

    def _load_in(self, thread: ThreadPoolExecutor, card: ModelCard) -> LoadedModel:
        return LoadedModel(card, self._catalogue.load(card), thread, self._clock, self._limits)

    async def _make_room(self, slot: _Slot) -> None:
        """Wait until one more model may be in memory, and reserve that place."""
        while not slot.is_light and len(heavy := self._heavy()) >= self._max_loaded:
            self._check_open()
            idle = [other for other in heavy if self._is_idle(other)]
            if idle:
                await self._unload(min(idle, key=lambda other: other.last_used))
            else:
                await self._changed.wait()
        self._resident.append(slot)

    def _heavy(self) -> list[_Slot]:
        return [slot for slot in self._resident if not slot.is_light]

    async def _unload(self, slot: _Slot) -> None:
        loaded, slot.loaded = slot.loaded, None
        if loaded is None:
            return
        try:
            await asyncio.wrap_future(loaded.close())
        finally:
            self._resident.remove(slot)
            self._wake()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve a failure that perhaps no request awaits any more, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
