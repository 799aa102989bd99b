"""Processes that speak: pieces of text go in, in turn; the sound of each comes out by itself.

Knows no model: what a process loads and how it speaks is its own business (`speaking_process` is its frame).
A process reads its piece to the end whoever listens, so that no slow listener holds a process; pieces are
bounded, and so is what is held of one. A process that dies fails the piece that it was at, and another takes
its place.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import queue
import socket
import struct
import subprocess
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hearsay.children import start_module
from hearsay.domain import Pcm, SpeakOptions
from hearsay.engines.frames import (
    FAILED,
    FULL,
    HEADER,
    HUSH,
    PIECE,
    PLACE,
    READY,
    ROOM_BYTES,
    SOUND,
    SPENT,
    START,
    TAKEN,
    frame,
)
from hearsay.errors import Cancelled, EngineFailed

PATIENCE = 120.0
"""Seconds without a sign of life after which a process is taken for hung, by default."""

HUSH_SECONDS = 1.0
"""How long a process may go on with what nobody wants any more before it is killed."""

_NOTHING = np.empty(0, np.uint8)

_TICK = 0.5
"""Seconds between two looks at whether a silent process is overdue."""

_MOST_BYTES = 1 << 20
"""In one frame; whatever announces more is out of its mind, and is not to take our memory with it."""

_LARGEST = 1 << 20
"""Bytes up to which sound that waits is given as one block: every block costs whoever takes it a turn."""


_Samples = npt.NDArray[np.uint8]
"""Sound as it comes: bytes of `s16le`."""

_Item = _Samples | EngineFailed | None
"""Some of a piece's sound, or its end: why there is no more, or None."""


class SpeakingProcesses:
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
        self._line = _Line(name)
        self._mouths = [_Mouth(module, start, name, patience) for _ in range(n_processes)]
        self._finalizer = weakref.finalize(self, _end, self._line, self._mouths)
        self._threads = [
            threading.Thread(target=_work, args=(mouth, self._line), name=f"{name}-{number}", daemon=True)
            for number, mouth in enumerate(self._mouths)
        ]
        for thread in self._threads:
            thread.start()
        for mouth in self._mouths:
            mouth.loaded.wait()
        failures = [mouth.failure for mouth in self._mouths if mouth.failure is not None]
        if failures:
            self.close()
            raise failures[0]
        self.about = self._mouths[0].about

    @property
    def pids(self) -> list[int]:
        """The processes now alive."""
        return [pid for mouth in self._mouths if (pid := mouth.pid) is not None]

    def submit(self, text: str, options: SpeakOptions) -> Piece:
        """Let a piece be spoken when its turn comes; returns at once. Raises `EngineFailed` once closed."""
        if self._line.closed:
            raise self._line.end()
        request = {
            "text": text,
            "voice": options.voice,
            "speed": options.speed,
            "is_awaited": options.is_awaited,
        }
        piece = Piece(json.dumps(request).encode())
        self._line.add(piece, is_awaited=options.is_awaited)
        return piece

    def close(self) -> None:
        """End the processes, what they say and what waits; may be called again."""
        self._finalizer()
        for thread in self._threads:
            thread.join()


class Piece:
    """One piece of text being spoken: a `Speaking`."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        # Reentrant, which a lock is not: pieces may be failed by the garbage collector, in any thread.
        self._sound: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._mouth: _Mouth | None = None
        self._stopped_at: float | None = None
        self.is_begun = False
        """Whether any of its sound has come."""

    def __iter__(self) -> Iterator[Pcm]:
        """Give `int16[n]` blocks as they are made, once. Raises `EngineFailed`, `Cancelled` once stopped."""
        while True:
            sound, item = self._waiting()
            if self._stopped_at is not None:
                self._sound.put(None)  # for whoever asks again
                raise Cancelled
            if not isinstance(item, np.ndarray):
                self._sound.put(item)  # for the next turn
            if len(sound):
                yield sound.view("<i2").astype(np.int16, copy=False)
            elif item is None:
                return
            elif isinstance(item, EngineFailed):
                raise item

    def stop(self) -> None:
        """Say no more of it and forget what was said."""
        with self._lock:
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
            if self._mouth is not None:
                self._mouth.hush()
        with contextlib.suppress(queue.Empty):
            while True:
                self._sound.get_nowait()
        self._sound.put(None)

    def begin(self, mouth: _Mouth) -> bool:
        """Have it said by a process; False when nobody wants it. Raises `OSError` if the process is gone."""
        with self._lock:
            if self._stopped_at is not None:
                return False
            mouth.send(PIECE, self._request)
            self._mouth = mouth
            return True

    def add(self, sound: _Samples) -> None:
        """Take some of its sound (bytes of `s16le`), which it may change."""
        self.is_begun = True
        if self._stopped_at is None:
            self._sound.put(sound)

    def end(self, failure: EngineFailed | None = None) -> None:
        """Take note that there is no more."""
        self.leave()
        self._sound.put(failure)

    def leave(self) -> None:
        """Forget the process, which has done its work or is gone; it is not to be hushed any more."""
        with self._lock:
            self._mouth = None

    def is_unwanted(self, *, seconds: float) -> bool:
        """Say whether it was stopped so long ago."""
        return self._stopped_at is not None and time.monotonic() - self._stopped_at > seconds

    def _waiting(self) -> tuple[_Samples, _Item]:
        """Wait for sound or its end; take what is there of it already, and give the last thing taken."""
        sound: list[_Samples] = []
        n_bytes = 0
        item = self._sound.get()
        with contextlib.suppress(queue.Empty):
            while isinstance(item, np.ndarray):
                sound.append(item)
                n_bytes += len(item)
                if n_bytes >= _LARGEST:
                    break
                item = self._sound.get_nowait()
        return sound[0] if len(sound) == 1 else np.concatenate([_NOTHING, *sound]), item


class _Line:
    """The pieces that wait: those that somebody waits for, then the others, each in order.

    Only the first piece of a request is waited for, and it is short, so nobody is held up for long. Queues
    are reentrant, because the garbage collector may close them.
    """

    def __init__(self, name: str) -> None:
        self.closed = False
        self.name = name
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """True for each piece that waits; False once there will be no more."""
        self._awaited: deque[Piece] = deque()
        self._others: deque[Piece] = deque()

    def add(self, piece: Piece, *, is_awaited: bool) -> None:
        """Put a piece at the end of its kind; one that comes too late fails."""
        (self._awaited if is_awaited else self._others).append(piece)
        self._turns.put(True)
        if self.closed:
            piece.end(self.end())

    def next(self) -> Piece | None:
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

    def _pop(self) -> Piece | None:
        for pieces in (self._awaited, self._others):
            with contextlib.suppress(IndexError):
                return pieces.popleft()
        return None

    def end(self) -> EngineFailed:
        """Give the reason why nothing is spoken any more."""
        return EngineFailed(f"{self.name} has been closed.")


class _Lost(Exception):
    """A process that is no longer there."""


class _Hung(_Lost):
    """A process that is no longer of use."""


class _Mouth:
    """One process, started again should it be lost; used by one thread, but for `hush` and `kill`."""

    def __init__(self, module: str, start: Mapping[str, Any], name: str, patience: float) -> None:
        self.loaded = threading.Event()
        """Set once the first process is ready or has failed."""
        self.failure: EngineFailed | None = None
        """Why there is no process, where there is none."""
        self.about: Mapping[str, Any] = {}
        self._module = module
        self._start = json.dumps(dict(start)).encode()
        self._name = name
        self._patience = patience
        self._lock = threading.RLock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._room: mmap.mmap | None = None
        """Where the process puts its sound."""

    @property
    def is_ready(self) -> bool:
        """Whether there is a process."""
        return self._channel is not None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Start a process and wait until it is ready; `failure` tells if that did not work."""
        try:
            self._launch()
            kind, payload = self._receive(None)
            if kind != READY:
                self.failure = EngineFailed(f"{self._name} could not be started: {_text(payload)}")
                self.dispose()
                return
            self.about = json.loads(_text(payload))
            self.failure = None
        except (OSError, ValueError, _Lost) as error:
            reason = str(error) or "the process ended at once; the log says why"
            self.failure = EngineFailed(f"{self._name} could not be started: {reason}.")
            self.dispose()

    def say(self, piece: Piece) -> None:
        """Have a piece said to its end. Raises `_Lost`, `OSError` when the process is."""
        if not piece.begin(self):
            return
        while True:
            kind, payload = self._receive(piece)
            if kind == SOUND:
                piece.add(self._sound(payload))
            elif kind == FULL:
                self.send(TAKEN)
            else:
                break
        if kind == SPENT:
            self.dispose()
        piece.end(EngineFailed(f"{self._name} failed: {_text(payload)}") if kind == FAILED else None)

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send a frame. Raises `OSError`."""
        if self._channel is None:
            raise ConnectionResetError("there is no process")
        self._channel.sendall(frame(kind, payload))

    def hush(self) -> None:
        """Let the process know that nobody wants the rest of its piece; it does not matter if it is gone."""
        with contextlib.suppress(OSError):
            self.send(HUSH)

    def kill(self) -> None:
        """End the process for good, from any thread; its own thread notices and cleans up."""
        self._closed = True
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def dispose(self) -> None:
        """End the process, and forget it."""
        with self._lock:
            process, channel = self._process, self._channel
            self._process = self._channel = self._room = None
        if process is not None:
            process.kill()
            process.wait()
        if channel is not None:
            channel.close()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            # Python's own timeout would cost a further call for each read.
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(_TICK))
            self._channel = ours
            self._process = start_module(self._module, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
            if self._closed:
                raise _Lost("it has been closed")
        with _memory(ROOM_BYTES) as memory:
            self._room = mmap.mmap(memory.fileno(), ROOM_BYTES, prot=mmap.PROT_READ)
            # Less than any socket holds, so all of it is sent.
            socket.send_fds(ours, [frame(START, self._start)], [memory.fileno()])

    def _receive(self, piece: Piece | None) -> tuple[bytes, _Samples]:
        kind, length = HEADER.unpack(self._exactly(HEADER.size, piece).data)
        if length > _MOST_BYTES:
            raise _Hung("it said what makes no sense")
        return kind, self._exactly(length, piece)

    def _sound(self, place: _Samples) -> _Samples:
        """Take a copy of the sound of which the process told."""
        start, n_bytes = PLACE.unpack(place.data)
        if start + n_bytes > ROOM_BYTES:
            raise _Hung("it said what makes no sense")
        assert self._room is not None
        return np.frombuffer(self._room, np.uint8, n_bytes, start).copy()

    def _exactly(self, n_bytes: int, piece: Piece | None) -> _Samples:
        data = np.empty(n_bytes, np.uint8)
        rest = data.data
        silent_since = time.monotonic()
        channel = self._channel
        assert channel is not None
        while rest:
            try:
                n_read = channel.recv_into(rest, 0, socket.MSG_WAITALL)
            except BlockingIOError:  # nothing came for a tick
                if piece is not None and piece.is_unwanted(seconds=HUSH_SECONDS):
                    raise _Hung("it went on with what nobody wanted") from None
                if time.monotonic() - silent_since > self._patience:
                    raise _Hung(f"it gave no sign of life for {self._patience:g} s") from None
                continue
            if not n_read:
                raise _Lost
            rest = rest[n_read:]
        return data


def _memory(n_bytes: int) -> BinaryIO:
    """Make a file that is only memory, or, where the system has no such thing, a nameless one."""
    if hasattr(os, "memfd_create"):
        file: BinaryIO = open(os.memfd_create("sound"), "w+b", buffering=0)  # noqa: PTH123, SIM115
    else:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
    file.truncate(n_bytes)
    return file


def _text(payload: _Samples) -> str:
    return payload.tobytes().decode("utf-8", "replace")


def _timeval(seconds: float) -> bytes:
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    return struct.pack("@ll", whole, rest)


def _work(mouth: _Mouth, line: _Line) -> None:
    """Say piece after piece with one process until the line is closed; holds no `SpeakingProcesses`."""
    mouth.start()
    mouth.loaded.set()
    while (piece := line.next()) is not None:
        _say(mouth, line, piece)
        del piece  # or it would be held, with its sound, until the next one comes
        if not (mouth.is_ready or line.closed):
            mouth.start()
    mouth.dispose()


def _say(mouth: _Mouth, line: _Line, piece: Piece) -> None:
    """Have a piece said, or fail it; one of which nothing came gets a second chance with a new process."""
    for is_last_chance in (False, True):
        if not mouth.is_ready:
            mouth.start()
        if mouth.failure is not None:
            return piece.end(line.end() if line.closed else mouth.failure)
        try:
            return mouth.say(piece)
        except (OSError, _Lost) as error:
            piece.leave()
            mouth.dispose()
            if line.closed:
                return piece.end(line.end())
            if is_last_chance or piece.is_begun or isinstance(error, _Hung):
                return piece.end(_broken(line, error))
    raise AssertionError("a piece has two chances")


def _broken(line: _Line, error: Exception) -> EngineFailed:
    reason = f": {error}" if str(error) else ""
    return EngineFailed(f"The process that runs {line.name} ended in the middle of its work{reason}.")


def _end(line: _Line, mouths: list[_Mouth]) -> None:
    line.close()
    for mouth in mouths:
        mouth.kill()
