"""One batcher per loaded model: the threads that take jobs of all requests and do them together.

Knows no request and no audio. What is done next, and why, is `desks`' policy. There are two kinds of model.
Of one that decodes windows only from beginning to end (CTranslate2), a batch forms from what waits the moment
the engine is free. In one that decodes token by token (`ContinuousRecognizer`), newcomers join those being
decoded between two steps and leave as soon as they are done, so that nobody waits for somebody else's end:
iteration-level scheduling, as in Orca (Yu et al., OSDI 2022).

Between two such steps at most one call of each other kind of work is made. A window being decoded is held up
by no more than that, and since only as many windows are encoded as there is room for, it cannot be held up by
more of them than take the places of others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from hearsay.engines.jobs import Decode, Job, perform
from hearsay.engines.protocols import ContinuousRecognizer, Decoding, IsCancelled, WindowRecognizer
from hearsay.errors import Cancelled, EngineFailed
from hearsay.scheduling.queue import LINGER_SECONDS, BatchLimits, JobQueue, PendingJob, RequestQueue, Stage

__all__ = ["BatchLimits", "Batcher", "RequestQueue"]

_log = structlog.get_logger("hearsay.batching")


class Batcher:
    """Does the jobs that are handed in at its desks, in batches, in threads of its own."""

    def __init__(
        self,
        recognizer: WindowRecognizer,
        *,
        limits: BatchLimits | None = None,
        name: str = "model",
        clock: Callable[[], float] = time.monotonic,
        linger: float = LINGER_SECONDS,
    ) -> None:
        """Begin to work for a recogniser, which is closed by whoever made it, after the batcher.

        It may say in how many threads at once it wants to be called (`n_replicas`), and how many windows it
        likes to decode together where `limits` leave that to it (`batch_windows`).
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

    def request_queue(self, cancelled: IsCancelled = lambda: False) -> RequestQueue:
        """Open a desk, one for each request.

        `cancelled` is asked often, from any thread: it must neither wait nor fail, and once true stay so.
        """
        return RequestQueue(self._queue, cancelled)

    def close(self) -> None:
        """End after the calls in progress; what waits fails with `Cancelled`, as does all that comes later.

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
                # Nobody shall wait for an engine that is not there any more; who comes next gets a new one.
                _log.exception("engine_lost")
                self._queue.fail(EngineFailed(f"The model failed: {error}"), running.values())

    def _serve(self, running: dict[int, PendingJob]) -> None:
        if isinstance(self.recognizer, ContinuousRecognizer):
            _Continuous(self._queue, self.recognizer, running).run()
        else:
            _InBatches(self._queue).run()


class _InBatches:
    """An engine that does one batch after the other."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def run(self) -> None:
        """Work until the queue is closed."""
        while self._queue.ready():
            next((stage for stage in Stage if self.serve(stage)), None)

    def serve(self, stage: Stage, n_running: int = 0) -> bool:
        """Do one batch of a kind of work; False where there is none to do."""
        batch = self._queue.take(stage, n_running)
        if batch:
            begun = self._queue.clock()
            results = attempt(self._queue.recognizer, [ticket.job for ticket in batch])
            self._queue.charge(batch, self._queue.clock() - begun)
            self._queue.resolve(batch, results)
        return bool(batch)


class _Continuous:
    """An engine that decodes token by token, and does everything else between two steps."""

    def __init__(
        self, queue: JobQueue, recognizer: ContinuousRecognizer, running: dict[int, PendingJob]
    ) -> None:
        """Begin anew; `running` will always hold what is being decoded."""
        self._queue = queue
        self._recognizer = recognizer
        self._others = _InBatches(queue)
        self._decoding: Decoding = recognizer.decoding()
        self._running = running

    def run(self) -> None:
        """Work until the queue is closed; what is being decoded then fails with `Cancelled`.

        Raises: what the model raises where even a new decoding cannot be had.
        """
        while self._queue.ready(len(self._running)):
            self._leave()
            # All of them: a list, not any().
            served = [self._others.serve(stage, len(self._running)) for stage in _BETWEEN_STEPS]
            # Those who were just answered shall be in the first step.
            if self._running or True not in served:
                self._join()
                self._step()
        self._queue.fail(Cancelled(), self._running.values())

    def _leave(self) -> None:
        """Forget the windows that nobody waits for any more."""
        for number in [n for n, ticket in self._running.items() if ticket.request_queue.is_cancelled()]:
            self._decoding.leave(number)
            self._queue.resolve([self._running.pop(number)], [Cancelled()])

    def _join(self) -> None:
        """Take in as many windows as there is room for."""
        while (ticket := self._queue.take_window(self._fits)) is not None:
            window = _window(ticket)
            try:
                (number,) = self._decoding.join([window])
            except BaseException as error:
                self._queue.resolve([ticket], [error])
            else:
                self._running[number] = ticket

    def _fits(self, ticket: PendingJob) -> bool:
        if not self._running:
            return True
        is_full = len(self._running) >= self._queue.limits.windows
        return not is_full and self._decoding.has_room(_window(ticket))

    def _step(self) -> None:
        if not self._running:
            return
        members = list(self._running.values())
        begun = self._queue.clock()
        try:
            done = self._decoding.step()
        except BaseException as error:
            self._start_over(error)
            done = []
        self._queue.charge(members, self._queue.clock() - begun)
        tickets = [self._running.pop(number) for number, _ in done]
        self._queue.resolve(tickets, [hypothesis for _, hypothesis in done])

    def _start_over(self, error: BaseException) -> None:
        """Decode each window once more, by itself: only what really cannot be decoded shall fail."""
        _log.warning("step_failed", n_windows=len(self._running), error=str(error))
        self._decoding = self._recognizer.decoding()
        tickets = list(self._running.values())
        self._running.clear()
        for ticket in tickets:
            result = (
                Cancelled() if ticket.request_queue.is_cancelled() else alone(self._recognizer, ticket.job)
            )
            self._queue.resolve([ticket], [result])


_BETWEEN_STEPS = (Stage.DETECT, Stage.ALIGN, Stage.ENCODE)


def attempt(recognizer: WindowRecognizer, jobs: Sequence[Job]) -> list[Any]:
    """Do jobs of one kind in one call; if it fails, one by one, so that a bad one fails alone.

    A result that is an exception is what became of that job.
    """
    try:
        return _performed(recognizer, jobs)
    except BaseException as error:  # native code has been seen to raise others than Exception
        if len(jobs) == 1:
            return [error]
        _log.warning("batch_failed", n_jobs=len(jobs), kind=type(jobs[0]).__name__, error=str(error))
    return [alone(recognizer, job) for job in jobs]


def alone(recognizer: WindowRecognizer, job: Job) -> Any:
    """Do one job; give its result or what went wrong."""
    try:
        (result,) = _performed(recognizer, [job])
    except BaseException as error:
        return error
    return result


def _performed(recognizer: WindowRecognizer, jobs: Sequence[Job]) -> list[Any]:
    results = perform(recognizer, jobs)
    if len(results) != len(jobs):
        raise EngineFailed(f"The model gave {len(results)} results for {len(jobs)} jobs.")
    return results


def _window(ticket: PendingJob) -> Any:
    assert isinstance(ticket.job, Decode)
    return ticket.job.window
