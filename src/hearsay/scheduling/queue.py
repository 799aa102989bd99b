"""Where callers hand in jobs for one loaded model, and the queue behind, from which its engine takes batches.

Knows what a job is, and no way to do one: that is `batching`'s. What may be done next is decided here, in
`JobQueue`; how a batch is shared out fairly is `turns`'.

The policy, and why:

- *Nothing waits for company that is not known to come.* An engine that is free takes what waits. Only those
  who were answered a moment ago are waited for, because they are about to ask for the next thing (what was
  encoded is to be decoded): until they did, or for `LINGER_SECONDS` at most.
- *Detect, align, encode, decode, in this order.* Detecting and aligning are short, and somebody's next or
  last step hangs on them. Encoding costs the same whenever it is done, while a decoding step costs little
  more for eight windows than for one: whatever is encoded first makes the decoding that follows cheaper.
- *Encode only what can be decoded next*: never more windows than there is room for among those being decoded
  and those waiting to be. So encoding cannot starve decoding, memory stays bounded, and whoever arrives while
  the decoding is full loses nothing: his turn to be encoded comes with the first place that becomes free.
- *Round robin between desks*, for every kind of work by itself. In a decoding that takes windows in one by
  one but not all sorts of them together, others may overtake one that does not fit, but not for long: when it
  has waited `OVERTAKING_SECONDS`, nobody joins before it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hearsay.domain import Window
from hearsay.engines.jobs import Align, Decode, DetectLanguage, Encode, Job
from hearsay.engines.protocols import ContinuousRecognizer, IsCancelled, SortingRecognizer, WindowRecognizer
from hearsay.errors import Cancelled, HearsayError
from hearsay.scheduling.round_robin import RoundRobin

LINGER_SECONDS = 0.005
"""Longest wait for those who were just answered: much for a thread that has a job to hand in, and little
beside any call of a model."""


OVERTAKING_SECONDS = 1.0
"""How long a window that does not fit among those being decoded lets others go before it."""


class Stage(Enum):
    """Kinds of work, in the order in which they are done."""

    DETECT = "detect"
    ALIGN = "align"
    ENCODE = "encode"
    DECODE = "decode"


_STAGES: dict[type[Job], Stage] = {
    DetectLanguage: Stage.DETECT,
    Align: Stage.ALIGN,
    Encode: Stage.ENCODE,
    Decode: Stage.DECODE,
}


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much is done at once."""

    windows: int = 8
    """Windows decoded together; rows are windows times beam width."""
    encodes: int = 4
    """Windows encoded in one call, which is how long those being decoded may be held up at once."""

    def __post_init__(self) -> None:
        if min(self.windows, self.encodes) < 1:
            raise ValueError(f"a batch holds at least one window, not {self}")

    @classmethod
    def of(cls, windows: int) -> BatchLimits:
        """Make limits for an engine that decodes so many windows together; large ones encode more, too."""
        return cls(windows, max(4, windows // 4))


@dataclass(slots=True)
class QueueTimings:
    """Where the seconds of one desk went; grows while it is used."""

    queued: float = 0.0
    """Seconds in which jobs waited and none was being done."""
    engine: float = 0.0
    """The desk's share of the engine's seconds: those of a batch are divided among its jobs."""


class RequestQueue:
    """Where one request hands in its jobs: the unit of fairness and of cancellation."""

    def __init__(self, queue: JobQueue, cancelled: IsCancelled) -> None:
        """Open a desk; `cancelled` is asked between batches and must neither wait nor fail."""
        self.recognizer = queue.recognizer
        """For features, text and constants; what computes is called by the batcher alone."""
        self.timings = QueueTimings()
        self._queue = queue
        self._cancelled = cancelled
        self._closed = False
        self._n_waiting = 0
        self._n_taken = 0
        self._since = 0.0

    def submit(self, job: Job) -> Future[Any]:
        """Hand a job in, from any thread, without waiting; the future raises what went wrong.

        That is `Cancelled` where the caller has gone or the model is being closed.
        """
        ticket = PendingJob(job, self, self._queue.clock())
        try:
            kind = self._queue.kind(job)
        except HearsayError as error:
            ticket.future.set_exception(error)
        else:
            self._queue.put(ticket, kind)
        return ticket.future

    def close(self) -> None:
        """Drop what still waits; what is being done goes on, for nobody."""
        self._closed = True
        self._queue.drop(self)

    def is_cancelled(self) -> bool:
        """Return whether nobody waits for the results any more."""
        return self._closed or self._cancelled()

    def count(self, now: float, *, waiting: int = 0, taken: int = 0) -> None:
        """Note that so many more jobs wait or are being done; only the queue calls this, under its lock."""
        if self._n_waiting and not self._n_taken:
            self.timings.queued += now - self._since
        self._since = now
        self._n_waiting += waiting
        self._n_taken += taken


@dataclass(slots=True, eq=False)
class PendingJob:
    """One job that was handed in."""

    job: Job
    request_queue: RequestQueue
    since: float
    """When, by the queue's clock."""
    future: Future[Any] = field(default_factory=Future)

    @property
    def stage(self) -> Stage:
        """What kind of work it is."""
        return _STAGES[type(self.job)]


class JobQueue:
    """All that waits for one model; desks put tickets in and engine threads take batches out."""

    def __init__(
        self,
        recognizer: WindowRecognizer,
        limits: BatchLimits,
        *,
        clock: Callable[[], float] = time.monotonic,
        linger: float = LINGER_SECONDS,
    ) -> None:
        """Make an empty queue; `clock` measures, and `linger` are real seconds."""
        self.recognizer = recognizer
        self.limits = limits
        self.clock = clock
        self._linger = linger
        self._changed = threading.Condition()
        self._round_robin: dict[Stage, RoundRobin[RequestQueue, PendingJob]] = {
            stage: RoundRobin() for stage in Stage
        }
        self._expected: dict[RequestQueue, int] = {}
        self._linger_until = 0.0
        self._n_idle = 0
        self._closed: HearsayError | None = None
        self._kind_of_window = window_kind(recognizer)

    def kind(self, job: Job) -> Hashable:
        """Return what jobs of one stage must have in common to share a call. Raises `UnsupportedOption`.

        Of encodings nothing is known, but arrays of different shapes cannot be put together.
        """
        match job:
            case Encode():
                return job.features.shape
            case DetectLanguage():
                return getattr(job.encoding, "shape", None)
            case Align():
                return getattr(job.window.encoding, "shape", None)
            case Decode():
                return self._kind_of_window(job.window)

    def put(self, ticket: PendingJob, kind: Hashable) -> None:
        """Let a ticket wait for its turn."""
        with self._changed:
            refused = self._closed or (Cancelled() if ticket.request_queue.is_cancelled() else None)
            if refused is None:
                self._round_robin[ticket.stage].add(ticket.request_queue, ticket, kind)
                ticket.request_queue.count(self.clock(), waiting=1)
            self._note_resubmission(ticket.request_queue)
            self._changed.notify_all()
        if refused is not None:
            ticket.future.set_exception(refused)

    def drop(self, desk: RequestQueue) -> None:
        """Fail what a desk has waiting."""
        with self._changed:
            dropped = self._remove(desk)
            self._expected.pop(desk, None)
            self._changed.notify_all()
        fail_jobs(dropped)

    @property
    def closed(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._closed is not None

    def close(self, reason: HearsayError) -> None:
        """Fail all that waits and whatever comes; engine threads end."""
        with self._changed:
            self._closed = self._closed or reason
        self.fail(reason)

    def fail(self, reason: HearsayError, taken: Iterable[PendingJob] = ()) -> None:
        """Fail all that waits, and tickets that were taken; nothing that comes later."""
        taken = list(taken)
        with self._changed:
            dropped = [ticket for desk in self._desks() for ticket in self._remove(desk)]
            self._changed.notify_all()
        fail_jobs(dropped, reason)
        self.resolve(taken, [reason] * len(taken))

    def ready(self, n_running: int = 0) -> bool:
        """Wait until there is something to do; False when the queue is closed.

        With windows being decoded there always is.
        """
        while True:
            with self._changed:
                gone = self._remove_cancelled()
                is_ready = self._closed is not None or n_running > 0 or self._is_due()
                if not (gone or is_ready):
                    self._wait()
            fail_jobs(gone)
            if is_ready:
                return self._closed is None

    def take(self, stage: Stage, n_running: int = 0) -> list[PendingJob]:
        """Take a batch of one kind of work, if any waits and there is room for it; never waits."""
        with self._changed:
            turns = self._round_robin[stage]
            # Several engines that have nothing to do share what there is.
            share = math.ceil(turns.n_compatible() / (1 + self._n_idle))
            return self._begin(turns.take(min(self._batch_limit(stage, n_running), share)))

    def take_window(self, fits: Callable[[PendingJob], bool]) -> PendingJob | None:
        """Take the window whose turn it is to be decoded, or for a while another where that does not fit."""
        with self._changed:
            while (taken := self._next_window(fits)) is not None:
                if self._begin([taken]):
                    return taken
            return None

    def charge(self, tickets: Iterable[PendingJob], seconds: float) -> None:
        """Share seconds of the engine out among the tickets they were spent on."""
        desks = [ticket.request_queue for ticket in tickets]
        with self._changed:
            for desk in desks:
                desk.timings.engine += seconds / len(desks)

    def resolve(self, tickets: Sequence[PendingJob], results: Sequence[Any]) -> None:
        """Answer tickets; a result that is an exception is raised where it is waited for."""
        with self._changed:
            now = self.clock()
            for ticket in tickets:
                ticket.request_queue.count(now, taken=-1)
                if not ticket.request_queue.is_cancelled():
                    self._expected[ticket.request_queue] = self._expected.get(ticket.request_queue, 0) + 1
            self._linger_until = time.monotonic() + self._linger
        for ticket, result in zip(tickets, results, strict=True):
            if isinstance(result, BaseException):
                ticket.future.set_exception(result)
            else:
                ticket.future.set_result(result)

    def _is_due(self) -> bool:
        """Return whether to begin now: something waits, and nobody is about to join it."""
        stage = next(
            (stage for stage in Stage if self._round_robin[stage] and self._batch_limit(stage, 0)), None
        )
        if stage is None:
            return False
        if time.monotonic() >= self._linger_until:
            self._expected.clear()
        return not self._expected or self._round_robin[stage].n_compatible() >= self._batch_limit(stage, 0)

    def _batch_limit(self, stage: Stage, n_running: int) -> int:
        """Return how many jobs of a kind one call may hold now."""
        if stage is Stage.ENCODE:
            room = self.limits.windows - n_running - len(self._round_robin[Stage.DECODE])
            return max(min(self.limits.encodes, room), 0)
        return self.limits.windows

    def _next_window(self, fits: Callable[[PendingJob], bool]) -> PendingJob | None:
        turns = self._round_robin[Stage.DECODE]
        first = turns.first()
        if first is None or (self.clock() - first.since >= OVERTAKING_SECONDS and not fits(first)):
            return None
        return turns.take_first(fits)

    def _wait(self) -> None:
        self._n_idle += 1
        waiting = any(self._round_robin.values())
        self._changed.wait(max(self._linger_until - time.monotonic(), 0.0) if waiting else None)
        self._n_idle -= 1

    def _begin(self, tickets: list[PendingJob]) -> list[PendingJob]:
        now = self.clock()
        begun = [ticket for ticket in tickets if ticket.future.set_running_or_notify_cancel()]
        for ticket in tickets:
            ticket.request_queue.count(now, waiting=-1, taken=int(ticket in begun))
        return begun

    def _desks(self) -> list[RequestQueue]:
        return list({desk: None for turns in self._round_robin.values() for desk in turns.owners()})

    def _remove_cancelled(self) -> list[PendingJob]:
        """Remove what nobody waits for any more."""
        return [ticket for desk in self._desks() if desk.is_cancelled() for ticket in self._remove(desk)]

    def _remove(self, desk: RequestQueue) -> list[PendingJob]:
        removed = [ticket for turns in self._round_robin.values() for ticket in turns.drop(desk)]
        desk.count(self.clock(), waiting=-len(removed))
        return removed

    def _note_resubmission(self, desk: RequestQueue) -> None:
        """Note that a desk that was answered has handed in what it was going to."""
        owed = self._expected.pop(desk, 0) - 1
        if owed > 0:
            self._expected[desk] = owed


def window_kind(recognizer: WindowRecognizer) -> Callable[[Window], Hashable]:
    """Find out how a recogniser tells which windows it can decode together."""
    # Of those that take windows in one by one, `Decoding.has_room` decides.
    if isinstance(recognizer, SortingRecognizer) and not isinstance(recognizer, ContinuousRecognizer):
        return recognizer.kind
    return lambda window: None


def fail_jobs(tickets: Iterable[PendingJob], reason: HearsayError | None = None) -> None:
    """Fail tickets that will not be worked on, unless whoever waits has cancelled them himself."""
    for ticket in tickets:
        if ticket.future.set_running_or_notify_cancel():
            ticket.future.set_exception(reason or Cancelled())
