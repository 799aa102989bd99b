"""The batcher of one loaded model: the threads that run the jobs of all requests together.

Knows no request and no audio; what is run next, and why, is `queue`'s policy. Models are of two kinds. Of one
that decodes from beginning to end (CTranslate2), a batch forms from what waits whenever the engine is free.
In one that decodes token by token (`ContinuousRecognizer`), new jobs join those being decoded between two
steps and leave as soon as they are done: iteration-level scheduling, as in Orca (Yu et al., OSDI 2022).

Between two such steps at most one call of each other stage is made. A job being decoded is held up by no more
than that, and since only as many windows are encoded as there is room for, by no more of them than take the
places of others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from hearsay.domain import RequestContext
from hearsay.engines.jobs import Job, Stage, run_jobs
from hearsay.engines.protocols import ContinuousBatch, ContinuousRecognizer, IsCancelled, WindowRecognizer
from hearsay.errors import Cancelled, EngineFailed
from hearsay.scheduling.queue import LINGER_SECONDS, BatchLimits, JobQueue, PendingJob, RequestQueue

__all__ = ["BatchLimits", "Batcher", "RequestQueue"]

_log = structlog.get_logger("hearsay.batching")


class Batcher:
    """Runs the jobs that requests submit, in batches, in threads of its own."""

    def __init__(
        self,
        recognizer: WindowRecognizer,
        *,
        limits: BatchLimits | None = None,
        name: str = "model",
        clock: Callable[[], float] = time.monotonic,
        linger: float = LINGER_SECONDS,
    ) -> None:
        """Start the threads of a recogniser, which its owner closes after the batcher.

        The recogniser may say in how many threads at once it is to be called (`n_replicas`), and how many
        windows it decodes together where `limits` leave that to it (`batch_windows`).
        """
        self.recognizer = recognizer
        limits = limits or BatchLimits.of(getattr(recognizer, "batch_windows", 8))
        self._queue = JobQueue(recognizer, limits, clock=clock, linger=linger)
        n_threads = getattr(recognizer, "n_replicas", 1)
        self._threads = [
            threading.Thread(target=self._work, name=f"engine {i} of {name}") for i in range(n_threads)
        ]
        for thread in self._threads:
            thread.start()

    def request_queue(
        self, cancelled: IsCancelled = lambda: False, *, context: RequestContext | None = None
    ) -> RequestQueue:
        """Open the queue of one request, served by the key and the priority of its `context`.

        `cancelled` is asked often, from any thread: it must neither wait nor fail, and once true stay so.
        """
        if context is None:
            return RequestQueue(self._queue, cancelled)
        return RequestQueue(self._queue, cancelled, key=context.key, priority=context.priority)

    def close(self) -> None:
        """End after the calls in progress; waiting jobs fail with `Cancelled`, as do all that come later.

        Waits for the threads, but for the one it is called from.
        """
        self._queue.close(Cancelled("The model is being unloaded."))
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        while not self._queue.closed:
            running: dict[int, PendingJob] = {}
            try:
                self._serve(running)
            except BaseException as error:
                # No request may wait for an engine that is lost; the next ones get a new one.
                _log.exception("engine_lost")
                self._queue.fail(EngineFailed(f"The model failed: {error}"), running.values())

    def _serve(self, running: dict[int, PendingJob]) -> None:
        if isinstance(self.recognizer, ContinuousRecognizer):
            _ContinuousEngine(self._queue, self.recognizer, running).run()
        else:
            _BatchEngine(self._queue).run()


class _BatchEngine:
    """Runs one batch after the other."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def run(self) -> None:
        while self._queue.wait():
            next((stage for stage in Stage if self.run_stage(stage)), None)

    def run_stage(self, stage: Stage, n_running: int = 0) -> bool:
        """Run one batch of a stage; return False where there is none."""
        batch = self._queue.take(stage, n_running)
        if batch:
            begun = self._queue.clock()
            results = run_batch(self._queue.model, [pending.job for pending in batch])
            self._queue.charge(batch, self._queue.clock() - begun)
            self._queue.resolve(batch, results)
        return bool(batch)


class _ContinuousEngine:
    """Decodes token by token, and runs all other stages between two steps."""

    def __init__(
        self, queue: JobQueue, recognizer: ContinuousRecognizer, running: dict[int, PendingJob]
    ) -> None:
        """Begin with a new batch; `running` will always hold the jobs in it."""
        self._queue = queue
        self._recognizer = recognizer
        self._others = _BatchEngine(queue)
        self._batch: ContinuousBatch = recognizer.continuous_batch()
        self._running = running

    def run(self) -> None:
        """Work until the queue is closed; jobs being decoded then fail with `Cancelled`.

        Raises: what the model raises where even a new batch cannot be had.
        """
        while self._queue.wait(len(self._running)):
            self._leave()
            # All of them: a list, not any().
            ran = [self._others.run_stage(stage, len(self._running)) for stage in _BETWEEN_STEPS]
            # Requests whose job was just done are to be in the first step.
            if self._running or True not in ran:
                self._join()
                self._step()
        self._queue.fail(Cancelled(), self._running.values())

    def _leave(self) -> None:
        """Drop the jobs of cancelled requests."""
        for number in [n for n, pending in self._running.items() if pending.request.is_cancelled()]:
            self._batch.leave(number)
            self._queue.resolve([self._running.pop(number)], [Cancelled()])

    def _join(self) -> None:
        while (pending := self._queue.take_fitting(self._fits)) is not None:
            try:
                number = self._batch.join(pending.job)
            except BaseException as error:
                self._queue.resolve([pending], [error])
            else:
                self._running[number] = pending

    def _fits(self, pending: PendingJob) -> bool:
        if not self._running:
            return True
        is_full = len(self._running) >= self._queue.limits.windows
        return not is_full and self._batch.has_room(pending.job)

    def _step(self) -> None:
        if not self._running:
            return
        members = list(self._running.values())
        begun = self._queue.clock()
        try:
            done = self._batch.step()
        except BaseException as error:
            self._restart(error)
            done = []
        self._queue.charge(members, self._queue.clock() - begun)
        jobs = [self._running.pop(number) for number, _ in done]
        self._queue.resolve(jobs, [result for _, result in done])

    def _restart(self, error: BaseException) -> None:
        """Run each job once more, alone, so that only those fail that cannot be decoded."""
        _log.warning("step_failed", n_windows=len(self._running), error=str(error))
        self._batch = self._recognizer.continuous_batch()
        jobs = list(self._running.values())
        self._running.clear()
        for pending in jobs:
            cancelled = pending.request.is_cancelled()
            self._queue.resolve(
                [pending], [Cancelled() if cancelled else run_one(self._recognizer, pending.job)]
            )


_BETWEEN_STEPS = (Stage.DETECT, Stage.ALIGN, Stage.ENCODE)


def run_batch(model: Any, jobs: Sequence[Job]) -> list[Any]:
    """Return the results of jobs of one kind from one call; if it fails, from one call for each job.

    A result that is an exception is why that job failed.
    """
    try:
        return _checked(model, jobs)
    except BaseException as error:  # native code has been seen to raise others than Exception
        if len(jobs) == 1:
            return [error]
        _log.warning("batch_failed", n_jobs=len(jobs), kind=type(jobs[0]).__name__, error=str(error))
    return [run_one(model, job) for job in jobs]


def run_one(model: Any, job: Job) -> Any:
    """Return the result of one job, or the exception that it raised."""
    try:
        (result,) = _checked(model, [job])
    except BaseException as error:
        return error
    return result


def _checked(model: Any, jobs: Sequence[Job]) -> list[Any]:
    results = run_jobs(model, jobs)
    if len(results) != len(jobs):
        raise EngineFailed(f"The model gave {len(results)} results for {len(jobs)} jobs.")
    return results
