"""Many window loops over one recording at once: their jobs are submitted together, segments come in order.

Knows no audio, no detector and no model: loops come from an iterator, from which the next one is taken only
when there is room, and jobs go to a `Submit`. Everything runs in the thread that iterates; other threads only
put the loops whose jobs are done into its queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from hearsay.domain import Fallback, Segment
from hearsay.engines.jobs import Job, Jobs, Submit
from hearsay.engines.protocols import IsCancelled, WindowLoop
from hearsay.errors import Cancelled

IN_FLIGHT = 16
"""Windows of one recording in flight: two full batches; 16 MB of features at 80 mels."""

POLL_SECONDS = 0.1
"""Seconds between two looks at whether the request is cancelled, while a job is awaited."""


@dataclass(slots=True, eq=False)
class _InFlight:
    """One running loop, and its results that are not yet returned."""

    loop: WindowLoop | None
    """None once it has ended, so that its features are not kept while others are still ahead of it."""
    jobs: Jobs[None]
    future: Future[Any] | None = None
    """The job in flight."""
    is_held: bool = False
    """Whether its first encoding is ready and it waits until the language is known."""
    progress: float = 0.0
    """Where decoding has come to, in seconds of the recording."""
    segments_by_window: list[list[Segment]] = field(default_factory=list)
    fallbacks: list[Fallback] = field(default_factory=list)


class ParallelWindows:
    """Window loops over the parts of one recording, several in flight; iterate `windows` once.

    Where the language is not known, the first loop detects it; the others have their windows encoded
    meanwhile and wait with the rest.
    """

    def __init__(
        self,
        loops: Iterator[WindowLoop],
        submit: Submit,
        *,
        cancelled: IsCancelled = lambda: False,
        in_flight: int = IN_FLIGHT,
        eager: bool = False,
    ) -> None:
        """Prepare; loops are taken, in order of time, when iteration begins.

        Windows that share a batch all take longer and end at about the same time; where `eager`, the first
        one is submitted alone, so that the first segments come early.
        """
        self.language: str | None = None
        """Code of the language, once known."""
        self.progress = 0.0
        """Seconds of the recording before which everything is decoded."""
        self.n_windows = 0
        """Windows returned, retries not counted."""
        self.fallbacks: list[Fallback] = []
        """Hypotheses that were decoded again in loops that have ended, in order of time."""
        self.warnings: list[str] = []
        """What the client should know, one sentence each."""
        self._loops = loops
        self._has_more = True
        self._submit = submit
        self._cancelled = cancelled
        self._in_flight = in_flight
        self._eager = eager
        self._in_flight_loops: deque[_InFlight] = deque()
        self._n_running = 0
        self._finished: SimpleQueue[_InFlight] = SimpleQueue()

    def windows(self) -> Generator[list[Segment], None, None]:
        """Return the segments of each window in order of time, as soon as nothing before them is missing.

        Ending the iteration early, an error of any job, and a cancellation end all that is in flight.
        Raises: `Cancelled`, and what a job raises.
        """
        try:
            while self._step():
                yield from self._take()
        finally:
            self._cancel_all()

    def _step(self) -> bool:
        """Continue a loop whose job is done, else begin another, else wait; False when all is done."""
        most = 1 if self._eager and not self.n_windows else self._in_flight
        has_room = self._has_more and self._n_running < most
        if not has_room and not self._in_flight_loops:
            return False
        running = self._next_finished(wait=not has_room)
        if running is not None:
            self._receive(running)
        else:
            self._begin()
        return True

    def _next_finished(self, *, wait: bool) -> _InFlight | None:
        while True:
            try:
                return self._finished.get(block=wait, timeout=POLL_SECONDS)
            except Empty:
                if not wait:
                    return None
                self._check_cancelled()

    def _begin(self) -> None:
        loop = next(self._loops, None)
        if loop is None:
            self._has_more = False
            return
        self.warnings += [warning for warning in loop.warnings if warning not in self.warnings]
        running = _InFlight(loop, loop.jobs())
        self._in_flight_loops.append(running)
        self._n_running += 1
        self._advance(running, None)

    def _receive(self, running: _InFlight) -> None:
        """Send a loop the result of its job, unless it has to wait until the language is known."""
        result = _result_of(running)
        loop = running.loop
        assert loop is not None, "a loop that has ended has no job"
        if loop.language is None and self.language is None and running is not self._in_flight_loops[0]:
            running.is_held = True
            return
        self._advance(running, result)

    def _advance(self, running: _InFlight, result: Any) -> None:
        """Run a loop up to its next job, and submit that."""
        loop = running.loop
        assert loop is not None, "a loop that has ended cannot continue"
        loop.language = loop.language or self.language
        job = _next_job(running.jobs, result)
        self.language = self.language or loop.language
        running.segments_by_window += loop.segments_by_window
        loop.segments_by_window.clear()
        running.progress = loop.seek_seconds
        if job is None:
            running.fallbacks, running.loop, running.future = loop.fallbacks, None, None
            self._n_running -= 1
        else:
            self._submit_job(running, job)

    def _submit_job(self, running: _InFlight, job: Job) -> None:
        self._check_cancelled()
        running.future = self._submit(job)
        running.future.add_done_callback(lambda _: self._finished.put(running))

    def _take(self) -> Iterator[list[Segment]]:
        """Yield what is complete from the beginning on; loops that have ended make room for the next."""
        while self._in_flight_loops:
            first = self._in_flight_loops[0]
            self.progress = max(self.progress, first.progress)
            found, first.segments_by_window = first.segments_by_window, []
            for segments in found:
                self.n_windows += 1
                yield segments
            if first.loop is not None:
                break
            self.fallbacks += first.fallbacks
            self._in_flight_loops.popleft()
        self._release_held()

    def _release_held(self) -> None:
        """Continue the loops that wait for the language once it is known, and the first one in any case."""
        for place, running in enumerate(tuple(self._in_flight_loops)):
            if running.is_held and (place == 0 or self.language is not None):
                running.is_held = False
                self._advance(running, _result_of(running))

    def _cancel_all(self) -> None:
        in_flight = tuple(self._in_flight_loops)
        self._in_flight_loops.clear()
        for running in in_flight:
            if running.future is not None:
                running.future.cancel()
            running.jobs.close()
            running.loop = running.future = None
        close = getattr(self._loops, "close", None)
        if close is not None:
            close()

    def _check_cancelled(self) -> None:
        if self._cancelled():
            raise Cancelled


def detect_language(loop: WindowLoop, submit: Submit, cancelled: IsCancelled) -> str | None:
    """Return the language that a loop detects, and run its jobs no further; None where it detects none.

    Raises: `Cancelled`, and what a job raises.
    """
    result = None
    with closing(loop.jobs()) as jobs:
        while loop.language is None and not loop.segments_by_window:
            job = _next_job(jobs, result)
            if job is None or loop.language is not None:
                break
            future = submit(job)
            while not wait([future], POLL_SECONDS).done:
                if cancelled():
                    future.cancel()
                    raise Cancelled
            result = _result(future)
    return loop.language


def _next_job(jobs: Jobs[None], result: Any) -> Job | None:
    """Send a result, None to begin; return the next job, or None at the loop's end."""
    try:
        return jobs.send(result)
    except StopIteration:
        return None


def _result_of(running: _InFlight) -> Any:
    assert running.future is not None, "no job was submitted"
    return _result(running.future)


def _result(future: Future[Any]) -> Any:
    """Return the result of a finished job. Raises: `Cancelled` where it was cancelled, and what it raised."""
    try:
        return future.result()
    except CancelledError:
        raise Cancelled from None
