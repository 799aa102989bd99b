"""Startup tasks, which run beside serving: load the default models, and pull a better one.

Knows no route. A pull runs in a thread that does not keep the process alive, and stops within a block when
the server does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

import structlog

from hearsay.domain import Task
from hearsay.engines import registry
from hearsay.errors import Cancelled, HearsayError, Overloaded
from hearsay.models import hub
from hearsay.models.catalogue import Catalogue
from hearsay.scheduling.model_pool import ModelPool
from hearsay.text import language_id

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
        try:
            async with await pool.lease(card.id, task) as lease:
                seconds, advice = round(lease.timings.loading, 3), catalogue.upgrade_hint(card)
                _log.info("model loaded", model=card.id, seconds=seconds, advice=advice)
                return
        except Overloaded:
            return  # The server is shutting down, or requests have begun to load it already.
        except HearsayError as error:
            _log.error("model not loaded", model=card.id, reason=error.message)
        catalogue.mark_unloadable(card)
        if catalogue.card(None, task).id == card.id:
            return


def upgrade(catalogue: Catalogue) -> StartupTask:
    """Return the task that pulls the model that suits this machine, where none does, as the default."""

    async def pull_better_model(pool: ModelPool) -> None:
        missing = await asyncio.to_thread(catalogue.recommended_missing)
        if missing is None:
            return
        serving = catalogue.card().id
        problem = await asyncio.to_thread(catalogue.hub.problem)
        if problem is not None:
            _log.warning(
                "no better model",
                serving=serving,
                reason=problem,
                advice=catalogue.upgrade_hint(catalogue.card()),
            )
            return
        _log.info(
            "pulling a better model",
            serving=serving,
            pulling=missing.id,
            size_mb=_megabytes(missing.size_bytes),
        )
        stopped = threading.Event()
        log_progress = hub.progress_lines(missing.id, lambda text: _log.info("pulling", progress=text))

        def progress(done: int, total: int) -> None:
            if stopped.is_set():
                raise Cancelled()
            log_progress(done, total)

        try:
            await _in_thread(lambda: catalogue.pull(missing.id, progress))
        except asyncio.CancelledError:
            stopped.set()
            raise
        except HearsayError as error:
            _log.error("pull failed", model=missing.id, reason=error.message, serving=serving)
            return
        try:
            async with await pool.lease(missing.id):
                _log.info("switched over", serving=missing.id, before=serving)
        except HearsayError as error:
            catalogue.mark_unloadable(missing)
            _log.error("not switched over", model=missing.id, reason=error.message, serving=serving)

    return pull_better_model


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
