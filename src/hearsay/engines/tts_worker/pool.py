"""Processes that speak: pieces of text go in, in turn; the sound of each comes out by itself.

Knows no model: what a process loads and how it speaks is its own business (`speaking_process` is its frame).
A process reads its piece to the end whoever listens, so that no slow listener holds a process; pieces are
bounded, and so is what is held of one. A process that dies fails the piece that it was at, and another takes
its place.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any

from hearsay.domain import SynthesisOptions
from hearsay.engines.tts_worker.child import Child, Hung, Lost
from hearsay.engines.tts_worker.utterance import Utterance
from hearsay.errors import EngineFailed

PATIENCE = 120.0
"""Seconds without a sign of life after which a process is taken for hung, by default."""


class SynthesizerPool:
    """A fixed number of processes with the same model; pieces that somebody waits for are begun first."""

    about: Mapping[str, Any]
    """What the processes say of what they loaded."""

    def __init__(
        self,
        module: str,
        start: Mapping[str, Any],
        *,
        n_processes: int,
        name: str,
        patience: float = PATIENCE,
    ) -> None:
        """Start all at once and wait until they are ready; `start` is told to each, in JSON.

        `module` is run with `python -m`; `name` is for messages. Raises `EngineFailed`.
        """
        self.name = name
        self._line = _PriorityQueue(name)
        self._children = [Child(module, start, name, patience) for _ in range(n_processes)]
        self._finalizer = weakref.finalize(self, _end, self._line, self._children)
        self._threads = [
            threading.Thread(target=_work, args=(child, self._line), name=f"{name}-{number}", daemon=True)
            for number, child in enumerate(self._children)
        ]
        for thread in self._threads:
            thread.start()
        for child in self._children:
            child.loaded.wait()
        failures = [child.failure for child in self._children if child.failure is not None]
        if failures:
            self.close()
            raise failures[0]
        self.about = self._children[0].about

    @property
    def pids(self) -> list[int]:
        """The processes now alive."""
        return [pid for child in self._children if (pid := child.pid) is not None]

    def submit(self, text: str, options: SynthesisOptions) -> Utterance:
        """Let a piece be spoken when its turn comes; returns at once. Raises `EngineFailed` once closed."""
        if self._line.closed:
            raise self._line.end()
        request = {
            "text": text,
            "voice": options.voice,
            "speed": options.speed,
            "is_awaited": options.is_awaited,
        }
        piece = Utterance(json.dumps(request).encode())
        self._line.add(piece, is_awaited=options.is_awaited)
        return piece

    def close(self) -> None:
        """End the processes, what they say and what waits; may be called again."""
        self._finalizer()
        for thread in self._threads:
            thread.join()


class _PriorityQueue:
    """The pieces that wait: those that somebody waits for, then the others, each in order.

    Only the first piece of a request is waited for, and it is short, so nobody is held up for long. Queues
    are reentrant, because the garbage collector may close them.
    """

    def __init__(self, name: str) -> None:
        self.closed = False
        self.name = name
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """True for each piece that waits; False once there will be no more."""
        self._awaited: deque[Utterance] = deque()
        self._others: deque[Utterance] = deque()

    def add(self, piece: Utterance, *, is_awaited: bool) -> None:
        """Put a piece at the end of its kind; one that comes too late fails."""
        (self._awaited if is_awaited else self._others).append(piece)
        self._turns.put(True)
        if self.closed:
            piece.end(self.end())

    def next(self) -> Utterance | None:
        """Wait for the piece whose turn it is; None when there will be no more."""
        is_more = self._turns.get()
        piece = self._pop() if is_more else None
        if piece is None or self.closed:
            self._turns.put(False)  # for the next thread
            if piece is not None:
                piece.end(self.end())
            return None
        return piece

    def close(self) -> None:
        """Take no more, and fail what waits."""
        self.closed = True
        while (piece := self._pop()) is not None:
            piece.end(self.end())
        self._turns.put(False)

    def _pop(self) -> Utterance | None:
        for pieces in (self._awaited, self._others):
            with contextlib.suppress(IndexError):
                return pieces.popleft()
        return None

    def end(self) -> EngineFailed:
        """Return the reason why nothing is spoken any more."""
        return EngineFailed(f"{self.name} has been closed.")


def _work(child: Child, line: _PriorityQueue) -> None:
    """Say piece after piece with one process until the line is closed; holds no `SynthesizerPool`."""
    child.start()
    child.loaded.set()
    while (piece := line.next()) is not None:
        _say(child, line, piece)
        del piece  # or it would be held, with its sound, until the next one comes
        if not (child.is_ready or line.closed):
            child.start()
    child.dispose()


def _say(child: Child, line: _PriorityQueue, piece: Utterance) -> None:
    """Have a piece said, or fail it; one of which nothing came gets a second chance with a new process."""
    for is_last_chance in (False, True):
        if not child.is_ready:
            child.start()
        if child.failure is not None:
            return piece.end(line.end() if line.closed else child.failure)
        try:
            return child.say(piece)
        except (OSError, Lost) as error:
            piece.leave()
            child.dispose()
            if line.closed:
                return piece.end(line.end())
            if is_last_chance or piece.is_begun or isinstance(error, Hung):
                return piece.end(_broken(line, error))
    raise AssertionError("a piece has two chances")


def _broken(line: _PriorityQueue, error: Exception) -> EngineFailed:
    reason = f": {error}" if str(error) else ""
    return EngineFailed(f"The process that runs {line.name} ended in the middle of its work{reason}.")


def _end(line: _PriorityQueue, children: list[Child]) -> None:
    line.close()
    for child in children:
        child.kill()
