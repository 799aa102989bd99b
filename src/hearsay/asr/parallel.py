"""Many window loops over one recording at once: their jobs go out together, segments come in order of time.

Knows no audio, no detector and no model: loops come from an iterator, which is asked for the next one only
when there is room, and jobs go to a `Submit`. Everything happens in the thread that iterates; others only
tell it through a queue which of its jobs are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from hearsay.domain import Fallback, Segment
from hearsay.engines.jobs import Job, Jobs, Submit
from hearsay.engines.protocols import IsCancelled
from hearsay.engines.whisper.window_loop import WindowLoop
from hearsay.errors import Cancelled

IN_FLIGHT = 16
"""Windows of one recording that are worked on at once: two full batches; 16 MB of features at 80 mels."""

POLL_SECONDS = 0.1
"""Seconds after which whoever waits for a job looks whether the caller is still there."""


@dataclass(slots=True, eq=False)
class _InFlight:
    """One loop at work, and what of its results is not given yet."""

    loop: WindowLoop | None
    """None once it has ended, so that its features are not kept while others are still ahead of it."""
    jobs: Jobs[None]
    future: Future[Any] | None = None
    """The job in flight."""
    is_held: bool = False
    """Whether its first encoding is there and it waits for somebody else to learn the language."""
    progress: float = 0.0
    """Where decoding has come to, in seconds of the recording."""
    segments_by_window: list[list[Segment]] = field(default_factory=list)
    fallbacks: list[Fallback] = field(default_factory=list)


class ParallelWindows:
    """Loops over the parts of one recording, several at work at once; iterate `windows` once.

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
        """Prepare; loops are asked for, in order of time, when iteration begins.

        Windows that share a decoding all take longer and end at about the same time; where `eager`, the
        first one has the model for itself, so that there is something to show early.
        """
        self.language: str | None = None
        """Code of the language, once known."""
        self.progress = 0.0
        """Seconds of the recording before which everything is decoded."""
        self.n_windows = 0
        """Windows given, retries not counted."""
        self.fallbacks: list[Fallback] = []
        """Hypotheses that were refused in loops that have ended, in order of time."""
        self.warnings: list[str] = []
        """What the loops have to say to the caller, each sentence once."""
        self._loops = loops
        self._more = True
        self._submit = submit
        self._cancelled = cancelled
        self._in_flight = in_flight
        self._eager = eager
        self._lanes: deque[_InFlight] = deque()
        self._n_working = 0
        self._arrived: SimpleQueue[_InFlight] = SimpleQueue()

    def windows(self) -> Generator[list[Segment], None, None]:
        """Return the segments of each window in order of time, as soon as nothing before them is missing.

        Ending the iteration early, an error of any job, and a caller who has gone end all that is in flight.
        Raises: `Cancelled`, and whatever a job raises.
        """
        try:
            while self._step():
                yield from self._take()
        finally:
            self._abandon()

    def _step(self) -> bool:
        """Go on with a loop whose job is done, else begin another, else wait; False when all is done."""
        most = 1 if self._eager and not self.n_windows else self._in_flight
        has_room = self._more and self._n_working < most
        if not has_room and not self._lanes:
            return False
        lane = self._next_arrived(wait=not has_room)
        if lane is not None:
            self._receive(lane)
        else:
            self._begin()
        return True

    def _next_arrived(self, *, wait: bool) -> _InFlight | None:
        while True:
            try:
                return self._arrived.get(block=wait, timeout=POLL_SECONDS)
            except Empty:
                if not wait:
                    return None
                self._check()

    def _begin(self) -> None:
        """Set the next loop to work, or learn that there is none."""
        loop = next(self._loops, None)
        if loop is None:
            self._more = False
            return
        self.warnings += [warning for warning in loop.warnings if warning not in self.warnings]
        lane = _InFlight(loop, loop.jobs())
        self._lanes.append(lane)
        self._n_working += 1
        self._go_on(lane, None)

    def _receive(self, lane: _InFlight) -> None:
        """Send a loop what it asked for, unless it has to wait until the first one knows the language."""
        result = _result_of(lane)
        loop = lane.loop
        assert loop is not None, "a loop that has ended asks for nothing"
        if loop.language is None and self.language is None and lane is not self._lanes[0]:
            lane.is_held = True
            return
        self._go_on(lane, result)

    def _go_on(self, lane: _InFlight, result: Any) -> None:
        """Run a loop up to its next job, and hand that in."""
        loop = lane.loop
        assert loop is not None, "a loop that has ended cannot go on"
        loop.language = loop.language or self.language
        job = _next_job(lane.jobs, result)
        self.language = self.language or loop.language
        lane.segments_by_window += loop.segments_by_window
        loop.segments_by_window.clear()
        lane.progress = loop.seek_seconds
        if job is None:
            lane.fallbacks, lane.loop, lane.future = loop.fallbacks, None, None
            self._n_working -= 1
        else:
            self._hand_in(lane, job)

    def _hand_in(self, lane: _InFlight, job: Job) -> None:
        self._check()
        lane.future = self._submit(job)
        lane.future.add_done_callback(lambda _: self._arrived.put(lane))

    def _take(self) -> Iterator[list[Segment]]:
        """Return what is complete from the beginning on; loops that have ended make room for the next."""
        while self._lanes:
            first = self._lanes[0]
            self.progress = max(self.progress, first.progress)
            found, first.segments_by_window = first.segments_by_window, []
            for segments in found:
                self.n_windows += 1
                yield segments
            if first.loop is not None:
                break
            self.fallbacks += first.fallbacks
            self._lanes.popleft()
        self._release()

    def _release(self) -> None:
        """Let loops go on that waited for the language, or the first where nobody else can find it."""
        for place, lane in enumerate(tuple(self._lanes)):
            if lane.is_held and (place == 0 or self.language is not None):
                lane.is_held = False
                self._go_on(lane, _result_of(lane))

    def _abandon(self) -> None:
        """Return up everything in flight."""
        lanes = tuple(self._lanes)
        self._lanes.clear()
        for lane in lanes:
            if lane.future is not None:
                lane.future.cancel()
            lane.jobs.close()
            lane.loop = lane.future = None
        close = getattr(self._loops, "close", None)
        if close is not None:
            close()

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled


def _next_job(jobs: Jobs[None], result: Any) -> Job | None:
    """Send a result, None to begin; give the next job, or None at the loop's end."""
    try:
        return jobs.send(result)
    except StopIteration:
        return None


def _result_of(lane: _InFlight) -> Any:
    """Return what a finished job brought. Raises `Cancelled` where it was given up, and what it raised."""
    assert lane.future is not None, "nothing was asked for"
    try:
        return lane.future.result()
    except CancelledError:
        raise Cancelled from None
