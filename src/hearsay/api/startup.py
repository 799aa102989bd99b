"""Startup tasks, which run beside serving: load the default models, and pull the missing one.

Knows no route. A pull runs in a thread that does not keep the process alive, and stops within a block when
the server does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

import structlog

from hearsay.domain import Task
from hearsay.engines import registry
from hearsay.errors import Cancelled, HearsayError, Overloaded
from hearsay.models import hub
from hearsay.scheduling.model_pool import ModelPool
from hearsay.text import language_id

if TYPE_CHECKING:
    from hearsay.models.catalogue import Catalogue

T = TypeVar("T")

_log = structlog.get_logger("hearsay.models")

StartupTask = Callable[[ModelPool], Awaitable[None]]
"""What runs beside serving, from the server's start; a failure is logged and ends only the task."""


def preload(catalogue: Catalogue) -> StartupTask:
    """Return the task that loads the default models, the recognizer first, so that no request waits for them.

    Where the best installed one cannot be loaded, the next best becomes the default; one that the operator
    has named stays it. A neural voice is loaded only where no other model has to be unloaded for it.
    """

    async def preload_defaults(pool: ModelPool) -> None:
        await _preload(catalogue, pool, Task.TRANSCRIBE)
        card = await asyncio.to_thread(catalogue.card, None, Task.SYNTHESIZE)
        if registry.spec(card).is_embedded or pool.has_room():
            await _preload(catalogue, pool, Task.SYNTHESIZE)
        # What the choice of a voice needs takes longer to load than the embedded voice itself.
        await asyncio.to_thread(catalogue.voices, card)
        await asyncio.to_thread(language_id.prepare)

    return preload_defaults


async def _preload(catalogue: Catalogue, pool: ModelPool, task: Task) -> None:
    while True:
        card = await asyncio.to_thread(catalogue.card, None, task)
        if not await asyncio.to_thread(catalogue.installed, card):
            return
        try:
            async with await pool.lease(card.id, task) as lease:
                _log.info("model loaded", model=card.id, seconds=round(lease.timings.loading, 3))
                return
        except Overloaded:
            return  # The server is shutting down, or requests have begun to load it already.
        except HearsayError as error:
            _log.error("model not loaded", model=card.id, reason=error.message)
        catalogue.mark_unloadable(card)
        if catalogue.card(None, task).id == card.id:
            return


def install(catalogue: Catalogue) -> StartupTask:
    """Return the task that pulls and loads the default recogniser where it is not installed.

    Until then requests for it are answered with how far that is.
    """

    async def install_default(pool: ModelPool) -> None:
        card = await asyncio.to_thread(catalogue.missing_default)
        if card is None:
            return
        _log.info("pulling", model=card.id, size_mb=_megabytes(card.size_bytes))
        stopped = threading.Event()
        log_progress = hub.progress_lines(card.id, lambda text: _log.info("pulling", progress=text))

        def progress(done: int, total: int) -> None:
            if stopped.is_set():
                raise Cancelled()
            log_progress(done, total)

        try:
            await _in_thread(lambda: catalogue.pull(card.id, progress))
        except asyncio.CancelledError:
            stopped.set()
            raise
        except HearsayError as error:
            _log.error("pull failed", model=card.id, reason=error.message)
            return
        await _preload(catalogue, pool, Task.TRANSCRIBE)

    return install_default


async def _in_thread(function: Callable[[], T]) -> T:
    """Call a function in a daemon thread: a download that hangs must not keep the process from ending."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="pull", daemon=True).start()
    return await asyncio.wrap_future(future)


def _megabytes(n_bytes: int | None) -> int | None:
    return round(n_bytes / 1e6) if n_bytes is not None else None
