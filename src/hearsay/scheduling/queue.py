"""The queue of one loaded model: requests submit jobs, engine threads take batches.

Knows what a job is, and not how one is run: that is `batcher`'s. What is run next is decided here:

- *Priority, then round robin*. Live requests before interactive ones before batches; within a priority round
  robin between API keys, then between the requests of a key. A priority that is passed over gets a place at
  least every `AGING_SECONDS`, and spare places of a batch go to lower priorities.
- *No waiting for jobs that are not known to come.* An engine that is free takes what waits. It waits only for
  requests whose job was done a moment ago, because they are about to submit the next one (what was encoded is
  to be decoded): until they did, or for `LINGER_SECONDS` at most.
- *Stages in order: detect, align, encode, decode.* Detecting and aligning are short, and the first or last
  step of a request. Encoding costs the same whenever it is done, while a decoding step costs little more for
  eight windows than for one: encoding first makes the decoding that follows cheaper.
- *Encode only what can be decoded next*: never more than there is room for among the jobs that are being
  decoded and those that wait to be. So encoding cannot starve decoding, and memory stays bounded.
- *Overtaking is bounded.* In a continuous batch that cannot hold all kinds of jobs together, others may
  overtake a job that does not fit until it has waited `OVERTAKING_SECONDS`; then none joins before it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from hearsay.domain import Priority
from hearsay.engines.jobs import Job, Stage
from hearsay.engines.protocols import ContinuousRecognizer, IsCancelled
from hearsay.errors import Cancelled, HearsayError
from hearsay.scheduling.round_robin import RoundRobin

LINGER_SECONDS = 0.005
"""Longest wait for the next job of a request: long for a thread that has one to submit, short beside any call
of a model."""

OVERTAKING_SECONDS = 1.0
"""How long a job that does not fit into the continuous batch can be overtaken."""

AGING_SECONDS = 1.0
"""How long a priority can be passed over before it gets the next place."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many windows share a call."""

    windows: int = 8
    """Windows decoded together; a window takes as many rows of the decoder as its beam is wide."""
    encodes: int = 4
    """Windows encoded in one call, which is how long those being decoded may be held up at once."""

    def __post_init__(self) -> None:
        if min(self.windows, self.encodes) < 1:
            raise ValueError(f"a batch holds at least one window, not {self}")

    @classmethod
    def of(cls, windows: int) -> BatchLimits:
        """Return the limits of a model that decodes so many windows together."""
        return cls(windows, max(4, windows // 4))


@dataclass(slots=True)
class QueueTimings:
    """Where the seconds of one request went; grows while it is served."""

    queued: float = 0.0
    """Seconds in which jobs waited and none was being run."""
    engine: float = 0.0
    """The request's share of the engine's seconds: those of a batch are divided among its jobs."""


class RequestQueue:
    """Where one request submits its jobs: the unit of fairness and of cancellation."""

    def __init__(
        self,
        queue: JobQueue,
        cancelled: IsCancelled,
        *,
        key: str | None = None,
        priority: Priority = Priority.INTERACTIVE,
    ) -> None:
        """Open a queue of one request; `cancelled` is asked between batches: it neither waits nor fails."""
        self.timings = QueueTimings()
        self.key = key
        """Name of the API key."""
        self.priority = priority
        self._queue = queue
        self._cancelled = cancelled
        self._closed = False
        self._n_waiting = 0
        self._n_running = 0
        self._since = 0.0

    def submit(self, job: Job) -> Future[Any]:
        """Submit a job, from any thread, without waiting, and return the future of its result.

        The future raises `Cancelled` where the request is cancelled or the model is being closed.
        """
        pending = PendingJob(job, self, self._queue.clock())
        try:
            kind = self._queue.kind(job)
        except HearsayError as error:
            pending.future.set_exception(error)
        else:
            self._queue.put(pending, kind)
        return pending.future

    def close(self) -> None:
        """Drop the waiting jobs; running ones are finished, and their results dropped."""
        self._closed = True
        self._queue.drop(self)

    def is_cancelled(self) -> bool:
        """Return whether the results are not wanted any more."""
        return self._closed or self._cancelled()

    def count(self, now: float, *, waiting: int = 0, running: int = 0) -> None:
        """Add to the numbers of waiting and running jobs; called by the queue, under its lock."""
        if self._n_waiting and not self._n_running:
            self.timings.queued += now - self._since
        self._since = now
        self._n_waiting += waiting
        self._n_running += running


@dataclass(slots=True, eq=False)
class PendingJob:
    """A submitted job."""

    job: Job
    request: RequestQueue
    since: float
    """When it was submitted, by the queue's clock."""
    future: Future[Any] = field(default_factory=Future)


class StageQueue:
    """The waiting jobs of one stage: by priority, in each priority round robin."""

    def __init__(self) -> None:
        self._waiting = {priority: RoundRobin[RequestQueue, PendingJob]() for priority in Priority}
        self._served_at = dict.fromkeys(Priority, 0.0)
        """When each priority last got a place, or its first job came."""

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, pending: PendingJob, kind: Hashable) -> None:
        request = pending.request
        jobs = self._waiting[request.priority]
        if not jobs:
            self._served_at[request.priority] = pending.since
        jobs.add(request, pending, kind, request.key)

    def requests(self) -> list[RequestQueue]:
        return [request for jobs in self._waiting.values() for request in jobs.owners()]

    def n_compatible(self, now: float) -> int:
        """Return how many jobs could share a batch with the one whose turn it is, itself included."""
        order = self._order(now)
        if not order:
            return 0
        kind = self._waiting[order[0]].first_kind()
        return sum(jobs.n_of_kind(kind) for jobs in self._waiting.values())

    def take(self, most: int, now: float) -> list[PendingJob]:
        """Take a batch of the kind of the job whose turn it is."""
        order = self._order(now)
        if not order or most < 1:
            return []
        kind = self._waiting[order[0]].first_kind()
        # A priority that was passed over gets one place, and then the rest only in its own turn.
        taken = self._waiting[order[0]].take(1, kind)
        for priority in Priority:
            taken += self._waiting[priority].take(most - len(taken), kind)
        for pending in taken:
            self._served_at[pending.request.priority] = now
        return taken

    def take_fitting(self, fits: Callable[[PendingJob], bool], now: float) -> PendingJob | None:
        """Take the first job that fits in the order of turns; none where one has been overtaken for long."""
        for priority in self._order(now):
            jobs = self._waiting[priority]
            first = jobs.first()
            if first is not None and now - first.since >= OVERTAKING_SECONDS and not fits(first):
                return None
            if (taken := jobs.take_first(fits)) is not None:
                self._served_at[priority] = now
                return taken
        return None

    def drop(self, request: RequestQueue) -> list[PendingJob]:
        return self._waiting[request.priority].drop(request)

    def _order(self, now: float) -> list[Priority]:
        """Return the priorities with waiting jobs: those passed over for too long, then by value."""
        present = [priority for priority in Priority if self._waiting[priority]]
        overdue = [p for p in present[1:] if now - self._served_at[p] >= AGING_SECONDS]
        return [*overdue, *(priority for priority in present if priority not in overdue)]


class JobQueue:
    """All jobs that wait for one model; requests put jobs in, engine threads take batches out."""

    def __init__(
        self,
        model: Any,
        limits: BatchLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        linger: float = LINGER_SECONDS,
    ) -> None:
        """Make an empty queue; `clock` measures, and `linger` are real seconds."""
        self.model = model
        self.limits = limits
        self.clock = clock
        self._linger = linger
        self._changed = threading.Condition()
        self._stages = {stage: StageQueue() for stage in Stage}
        self._expected: dict[RequestQueue, int] = {}
        """How many jobs each request is about to submit, having got as many results."""
        self._linger_until = 0.0
        self._n_idle = 0
        self._closed: HearsayError | None = None
        self._is_continuous = isinstance(model, ContinuousRecognizer)

    def kind(self, job: Job) -> Hashable:
        """Return what jobs of one stage must have in common to share a call. Raises: `UnsupportedOption`.

        Which decoding jobs a continuous batch can hold together is for `ContinuousBatch.has_room` to say.
        """
        return None if self._is_continuous and job.stage is Stage.DECODE else job.kind(self.model)

    def put(self, pending: PendingJob, kind: Hashable) -> None:
        request = pending.request
        with self._changed:
            refused = self._closed or (Cancelled() if request.is_cancelled() else None)
            if refused is None:
                self._stages[pending.job.stage].add(pending, kind)
                request.count(self.clock(), waiting=1)
            self._expect_one_less(request)
            self._changed.notify_all()
        if refused is not None:
            pending.future.set_exception(refused)

    def drop(self, request: RequestQueue) -> None:
        with self._changed:
            dropped = self._remove(request)
            self._expected.pop(request, None)
            self._changed.notify_all()
        fail_jobs(dropped)

    @property
    def closed(self) -> bool:
        return self._closed is not None

    def close(self, reason: HearsayError) -> None:
        """Fail all waiting and all later jobs; engine threads end."""
        with self._changed:
            self._closed = self._closed or reason
        self.fail(reason)

    def fail(self, reason: HearsayError, running: Iterable[PendingJob] = ()) -> None:
        """Fail all waiting jobs, and the given running ones; none that comes later."""
        running = list(running)
        with self._changed:
            dropped = [pending for request in self._requests() for pending in self._remove(request)]
            self._changed.notify_all()
        fail_jobs(dropped, reason)
        self.resolve(running, [reason] * len(running))

    def wait(self, n_running: int = 0) -> bool:
        """Wait until there is something to do, which with running jobs there is; False once closed."""
        while True:
            with self._changed:
                cancelled = self._remove_cancelled()
                is_due = self._closed is not None or n_running > 0 or self._is_due()
                if not (cancelled or is_due):
                    self._sleep()
            fail_jobs(cancelled)
            if is_due:
                return self._closed is None

    def take(self, stage: Stage, n_running: int = 0) -> list[PendingJob]:
        """Take a batch of one stage, if any job waits and there is room for it; never waits."""
        with self._changed:
            jobs, now = self._stages[stage], self.clock()
            # Several idle engine threads share what there is.
            share = math.ceil(jobs.n_compatible(now) / (1 + self._n_idle))
            return self._start(jobs.take(min(self._batch_limit(stage, n_running), share), now))

    def take_fitting(self, fits: Callable[[PendingJob], bool]) -> PendingJob | None:
        """Take the next decoding job that fits into the continuous batch; never waits."""
        with self._changed:
            jobs = self._stages[Stage.DECODE]
            while (taken := jobs.take_fitting(fits, self.clock())) is not None:
                if self._start([taken]):
                    return taken
            return None

    def charge(self, jobs: Iterable[PendingJob], seconds: float) -> None:
        """Divide seconds of the engine among the requests of the jobs that they were spent on."""
        requests = [pending.request for pending in jobs]
        with self._changed:
            for request in requests:
                request.timings.engine += seconds / len(requests)

    def resolve(self, jobs: Sequence[PendingJob], results: Sequence[Any]) -> None:
        """Set the results of running jobs; a result that is an exception is raised by the future."""
        with self._changed:
            now = self.clock()
            for pending in jobs:
                pending.request.count(now, running=-1)
                if not pending.request.is_cancelled():
                    self._expected[pending.request] = self._expected.get(pending.request, 0) + 1
            self._linger_until = time.monotonic() + self._linger
        for pending, result in zip(jobs, results, strict=True):
            if isinstance(result, BaseException):
                pending.future.set_exception(result)
            else:
                pending.future.set_result(result)

    def _is_due(self) -> bool:
        """Return whether to start a batch now: jobs wait, and no more are expected to join it."""
        stage = next((stage for stage in Stage if self._stages[stage] and self._batch_limit(stage, 0)), None)
        if stage is None:
            return False
        if time.monotonic() >= self._linger_until:
            self._expected.clear()
        is_full = self._stages[stage].n_compatible(self.clock()) >= self._batch_limit(stage, 0)
        return is_full or not self._expected

    def _batch_limit(self, stage: Stage, n_running: int) -> int:
        """Return how many jobs of a stage one call may hold now."""
        if stage is Stage.ENCODE:
            room = self.limits.windows - n_running - len(self._stages[Stage.DECODE])
            return max(min(self.limits.encodes, room), 0)
        return self.limits.windows

    def _sleep(self) -> None:
        """Wait for a change, or for the end of lingering."""
        self._n_idle += 1
        lingers = any(self._stages.values())
        self._changed.wait(max(self._linger_until - time.monotonic(), 0.0) if lingers else None)
        self._n_idle -= 1

    def _start(self, jobs: list[PendingJob]) -> list[PendingJob]:
        """Mark jobs as running, and return those whose futures were not cancelled meanwhile."""
        now = self.clock()
        started = [pending for pending in jobs if pending.future.set_running_or_notify_cancel()]
        for pending in jobs:
            pending.request.count(now, waiting=-1, running=int(pending in started))
        return started

    def _requests(self) -> list[RequestQueue]:
        return list({request: None for jobs in self._stages.values() for request in jobs.requests()})

    def _remove_cancelled(self) -> list[PendingJob]:
        return [
            job for request in self._requests() if request.is_cancelled() for job in self._remove(request)
        ]

    def _remove(self, request: RequestQueue) -> list[PendingJob]:
        removed = [pending for jobs in self._stages.values() for pending in jobs.drop(request)]
        request.count(self.clock(), waiting=-len(removed))
        return removed

    def _expect_one_less(self, request: RequestQueue) -> None:
        """Note that a request has submitted one of the jobs that were expected of it."""
        expected = self._expected.pop(request, 0) - 1
        if expected > 0:
            self._expected[request] = expected


def fail_jobs(jobs: Iterable[PendingJob], reason: HearsayError | None = None) -> None:
    """Fail jobs that will not be run, `Cancelled` by default, unless their futures are cancelled."""
    for pending in jobs:
        if pending.future.set_running_or_notify_cancel():
            pending.future.set_exception(reason or Cancelled())
