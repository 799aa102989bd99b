"""Processes that synthesize speech: utterances go in, in turn; the audio of each comes out by itself.

Does not know the model: what a process loads and how it synthesizes is for a module of the engine. A process
is read to the end of its utterance whether or not the listener keeps up, so a slow listener holds no process;
utterances are bounded, and so is the audio held of one. A process that is lost fails its utterance alone, and
another takes its place.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any

from hearsay.domain import SynthesisOptions
from hearsay.engines.tts_worker.utterance import Utterance
from hearsay.errors import Cancelled, EngineFailed
from hearsay.processes.protocol import RequestFailed
from hearsay.processes.supervisor import WorkerLost, WorkerProcess

TIME_LIMIT = 120.0
"""Seconds without any audio after which a process is taken for hung, by default."""


class SynthesizerPool:
    """A fixed number of processes with the same model; utterances that are awaited are begun first."""

    about: Mapping[str, Any]
    """What the processes tell of what they loaded."""

    def __init__(
        self,
        module: str,
        settings: Mapping[str, Any],
        *,
        n_processes: int,
        name: str,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        """Start all at once and wait until they are ready; `settings` are sent to each, as JSON.

        `module` is run with `python -m`; `name` is for messages. Raises `EngineFailed`.
        """
        self.name = name
        self._queue = _PriorityQueue(name)
        self._workers = [
            WorkerProcess(module, settings, name=name, time_limit=time_limit, second_chance=True)
            for _ in range(n_processes)
        ]
        self._finalizer = weakref.finalize(self, _close, self._queue, self._workers)
        started: list[Future[None]] = [Future() for _ in self._workers]
        self._threads = [
            threading.Thread(target=_work, args=(worker, self._queue, ready), name=name, daemon=True)
            for worker, ready in zip(self._workers, started, strict=True)
        ]
        for thread in self._threads:
            thread.start()
        wait(started)
        failures = [failure for ready in started if (failure := ready.exception()) is not None]
        if failures:
            self.close()
            raise failures[0]
        self.about = self._workers[0].about

    @property
    def pids(self) -> list[int]:
        """Return the ids of the processes that there are now."""
        return [pid for worker in self._workers if (pid := worker.pid) is not None]

    def submit(self, text: str, options: SynthesisOptions, *, is_awaited: bool = True) -> Utterance:
        """Have a text synthesized when its turn comes; returns at once. Raises `EngineFailed` once closed.

        What is not awaited yet, because audio before it is still being heard, waits for all that is.
        """
        if self._queue.is_closed:
            raise self._queue.closed()
        request = {"text": text, "voice": options.voice, "speed": options.speed}
        utterance = Utterance(json.dumps(request).encode())
        self._queue.put(utterance, is_awaited=is_awaited)
        return utterance

    def close(self) -> None:
        """End the processes, what they synthesize and what waits; may be called again."""
        self._finalizer()
        for thread in self._threads:
            thread.join()


class _PriorityQueue:
    """The utterances that wait: those that are awaited, then the others, each kind in order.

    Only the first utterance of a request is awaited, and it is short, so the others do not wait for long.
    The queues are reentrant, because the garbage collector may close them.
    """

    def __init__(self, name: str) -> None:
        self.is_closed = False
        self._name = name
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """True for each utterance that waits; False once there will be no more."""
        self._awaited: deque[Utterance] = deque()
        self._others: deque[Utterance] = deque()

    def put(self, utterance: Utterance, *, is_awaited: bool) -> None:
        """Put an utterance at the end of its kind; one that comes too late fails."""
        (self._awaited if is_awaited else self._others).append(utterance)
        self._turns.put(True)
        if self.is_closed:
            utterance.end(self.closed())

    def get(self) -> Utterance | None:
        """Wait for the utterance whose turn it is; None when there will be no more."""
        is_more = self._turns.get()
        utterance = self._pop() if is_more else None
        if utterance is None or self.is_closed:
            self._turns.put(False)  # for the next thread
            if utterance is not None:
                utterance.end(self.closed())
            return None
        return utterance

    def close(self) -> None:
        """Take no more, and fail what waits."""
        self.is_closed = True
        while (utterance := self._pop()) is not None:
            utterance.end(self.closed())
        self._turns.put(False)

    def closed(self) -> EngineFailed:
        return EngineFailed(f"{self._name} has been closed.")

    def _pop(self) -> Utterance | None:
        for waiting in (self._awaited, self._others):
            with contextlib.suppress(IndexError):
                return waiting.popleft()
        return None


def _work(worker: WorkerProcess, waiting: _PriorityQueue, ready: Future[None]) -> None:
    """Synthesize one utterance after the other until the queue is closed; holds no `SynthesizerPool`."""
    try:
        worker.start()
        ready.set_result(None)
    except EngineFailed as error:
        ready.set_exception(error)
    while (utterance := waiting.get()) is not None:
        utterance.end(_failure(worker, utterance))
        del utterance  # or it would be held, with its audio, until the next one comes
        with contextlib.suppress(EngineFailed):  # which the next utterance meets again
            worker.start()


def _failure(worker: WorkerProcess, utterance: Utterance) -> EngineFailed | None:
    """Synthesize an utterance; return why it failed, if it did."""
    try:
        worker.run(utterance.request, utterance.add)
    except Cancelled:
        return None
    except EngineFailed as error:
        return error
    except RequestFailed as error:
        return EngineFailed(f"{worker.name} failed: {error}")
    except WorkerLost as error:
        reason = f": {error}" if str(error) else ""
        return EngineFailed(f"The process that runs {worker.name} ended in the middle of its work{reason}.")
    return None


def _close(waiting: _PriorityQueue, workers: Sequence[WorkerProcess]) -> None:
    waiting.close()
    for worker in workers:
        worker.close()
