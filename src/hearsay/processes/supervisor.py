"""Supervision of one child process: started, asked, cancelled, killed where it hangs, replaced where lost.

Does not know what the process does (`processes.worker` is its side), and has no queue: one thread at a time
asks it, while any thread may cancel a request or close the worker.

Not `concurrent.futures` or `multiprocessing`: there a crash breaks the whole pool, and a running request
cannot be stopped. Not `pebble`, which stops requests but cannot hand over open files.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hearsay.errors import Cancelled, EngineFailed
from hearsay.processes.protocol import (
    CANCEL,
    DATA,
    FAILED,
    READY,
    REQUEST,
    SPENT,
    START,
    Frame,
    RequestFailed,
    receive_frame,
    send_frame,
)

START_SECONDS = 120.0
"""How long a process may take to load."""

CANCEL_SECONDS = 1.0
"""How long a process may go on with a cancelled request before it is killed, by default."""

_TICK = 0.5
"""Seconds between two looks at whether a silent process is overdue."""


class WorkerLost(Exception):
    """The process ended in the middle of a request."""


class WorkerHung(WorkerLost):
    """The process gave no sign of life in time, or went on with a cancelled request, and was killed."""


class WorkerRequest:
    """A request on its way to or through a worker; any thread may cancel it, at any time, and again."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.has_data = False
        """Whether any block of the response has come."""
        # Reentrant, because the garbage collector may cancel a request in any thread.
        self._lock = threading.RLock()
        self._worker: WorkerProcess | None = None
        self._cancelled_at: float | None = None

    @property
    def is_cancelled(self) -> bool:
        """Return whether the response is not wanted any more."""
        return self._cancelled_at is not None

    @property
    def overdue_seconds(self) -> float:
        """Return how long ago it was cancelled; 0 where it was not."""
        return 0.0 if self._cancelled_at is None else time.monotonic() - self._cancelled_at

    def cancel(self) -> None:
        """Keep it from being begun, or end it."""
        with self._lock:
            if self._cancelled_at is None:
                self._cancelled_at = time.monotonic()
            if self._worker is not None:
                self._worker.cancel()

    @contextlib.contextmanager
    def sent(
        self, worker: WorkerProcess, channel: socket.socket, descriptors: Sequence[int]
    ) -> Iterator[None]:
        """Send it, and let cancellations reach the worker meanwhile. Raises `Cancelled`, `OSError`."""
        try:
            with self._lock:
                if self.is_cancelled:
                    raise Cancelled
                self._worker = worker
                send_frame(channel, REQUEST, self.payload, descriptors)
            yield
        finally:
            with self._lock:
                self._worker = None


class WorkerProcess:
    """A child process, started when first needed, and again should it be lost."""

    def __init__(
        self,
        module: str,
        settings: Mapping[str, Any] | None = None,
        *,
        name: str,
        time_limit: float = math.inf,
        cancel_seconds: float = CANCEL_SECONDS,
        second_chance: bool = False,
    ) -> None:
        """Prepare; `module` is run with `python -m`, and `name` is for messages.

        A process that sends nothing for `time_limit` seconds is killed; so is one that goes on for
        `cancel_seconds` with a cancelled request (0: at once). With a `second_chance`, a request whose
        process is lost before anything of the response has come is sent to a new one.
        """
        self.name = name
        self.about: Mapping[str, Any] = {}
        """What the process told of what it loaded."""
        self.n_requests = 0
        """Sent to the process that there is now."""
        self.is_closed = False
        self._module = module
        self._settings = json.dumps(dict(settings or {})).encode()
        self._time_limit = time_limit
        self._cancel_seconds = cancel_seconds
        self._second_chance = second_chance
        # Reentrant, because the garbage collector may close a worker in any thread.
        self._lock = threading.RLock()
        self._is_in_use = False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, while there is one."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Wait until there is a process that is ready. Raises `EngineFailed`."""
        with self._in_use():
            self._ready_channel()

    def run(
        self,
        request: WorkerRequest,
        take: Callable[[bytearray], None] = lambda block: None,
        *,
        descriptors: Sequence[int] = (),
    ) -> bytes:
        """Return the result of a request, after passing each block of the response to `take`.

        `descriptors` are of open files, sent with the request.
        Raises `RequestFailed` with the child's own reason, `WorkerLost` (`WorkerHung`), `Cancelled`,
        `EngineFailed` where no process can be started or the worker is closed.
        """
        with self._in_use():
            try:
                return self._run(request, take, descriptors)
            except WorkerLost as error:
                if not self._second_chance or request.has_data or isinstance(error, WorkerHung):
                    raise
            return self._run(request, take, descriptors)

    def cancel(self) -> None:
        """Let the process know that the rest of its response is not wanted; for `WorkerRequest` alone."""
        if self._cancel_seconds <= 0:
            self._kill()
        elif (channel := self._channel) is not None:
            with contextlib.suppress(OSError):  # the process is gone
                send_frame(channel, CANCEL)

    def end_process(self) -> None:
        """End the process, if there is one; the next request starts another."""
        with self._lock:
            process, channel = self._process, self._channel
            self._process = self._channel = None
        if process is not None:
            process.kill()
            process.wait()
        if channel is not None:
            channel.close()

    def close(self) -> None:
        """End the process for good, from any thread; a request that it is at fails."""
        with self._lock:
            self.is_closed = True
            self._kill()
            if not self._is_in_use:
                self.end_process()

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep `close` from taking the process from under the thread that uses it. Raises `EngineFailed`."""
        with self._lock:
            if self.is_closed:
                raise self._closed()
            self._is_in_use = True
        try:
            yield
        finally:
            with self._lock:
                self._is_in_use = False
                if self.is_closed:
                    self.end_process()

    def _ready_channel(self) -> socket.socket:
        """Return the channel to a process that is ready; start one where there is none."""
        if self._process is not None and self._channel is not None and self._process.poll() is None:
            return self._channel
        self.end_process()
        try:
            channel = self._launch()
            send_frame(channel, START, self._settings)
            kind, payload, _ = self._receive(channel, START_SECONDS)
            if kind != READY:
                raise RequestFailed(payload.decode("utf-8", "replace"))
            self.about = json.loads(payload)
        except (OSError, EOFError, ValueError, RequestFailed, WorkerLost) as error:
            self.end_process()
            if self.is_closed:
                raise self._closed() from error
            reason = _reason(error) or "the process ended at once; the log says why"
            reason = reason if isinstance(error, RequestFailed) else f"{reason}."
            raise EngineFailed(f"{self.name} could not be started: {reason}") from error
        return channel

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            self._channel = ours
            self.n_requests = 0
            self._process = start_module(self._module, stdin=theirs.fileno())
            if self.is_closed:
                self._kill()
        return ours

    def _run(
        self, request: WorkerRequest, take: Callable[[bytearray], None], descriptors: Sequence[int]
    ) -> bytes:
        channel = self._ready_channel()
        self.n_requests += 1
        try:
            with request.sent(self, channel, descriptors):
                kind, payload, _ = self._receive(channel, self._time_limit, request)
                while kind == DATA:
                    request.has_data = True
                    take(payload)
                    kind, payload, _ = self._receive(channel, self._time_limit, request)
        except (OSError, EOFError, WorkerLost) as error:
            self.end_process()
            if self.is_closed:
                raise self._closed() from error
            if request.is_cancelled:
                raise Cancelled from error
            raise error if isinstance(error, WorkerLost) else WorkerLost(_reason(error)) from error
        if kind == SPENT or (request.is_cancelled and self._cancel_seconds <= 0):  # killed at its very end
            self.end_process()
        if kind == FAILED:
            raise RequestFailed(payload.decode("utf-8", "replace"))
        return bytes(payload)

    def _receive(self, channel: socket.socket, seconds: float, request: WorkerRequest | None = None) -> Frame:
        """Return the next frame. Raises `WorkerLost`, `EOFError`, `OSError`."""
        deadline = time.monotonic() + seconds
        incoming = select.poll()
        incoming.register(channel, select.POLLIN)

        def wait() -> None:
            while not incoming.poll(1000 * max(min(_TICK, deadline - time.monotonic()), 0.001)):
                if request is not None and request.overdue_seconds > self._cancel_seconds:
                    raise WorkerHung("it went on with a cancelled request")
                if time.monotonic() >= deadline:
                    raise WorkerHung(f"it gave no sign of life for {seconds:g} s")

        try:
            return receive_frame(channel, wait=wait)
        except ValueError as error:
            raise WorkerLost("it said what makes no sense") from error

    def _kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _closed(self) -> EngineFailed:
        return EngineFailed(f"{self.name} has been closed.")


def _reason(error: Exception) -> str:
    """Return what an error tells beyond the loss of the process."""
    return "" if isinstance(error, ConnectionError) else str(error)


_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "VIRTUAL_ENV", "TZ")


def start_module(module: str, *, stdin: int) -> subprocess.Popen[bytes]:
    """Run a module with a descriptor (or `subprocess.PIPE`) as its standard input, and nothing as its output.

    Standard error is the parent's. The process group is not: Ctrl-C in a terminal is for the parent.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        env=_environment(),
        cwd="/",
        process_group=0,
    )


def _environment() -> dict[str, str]:
    """Return what Python needs to start and to find this package, and one thread for linear algebra."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    package = str(Path(__file__).resolve().parents[2])
    paths = filter(None, (package, os.environ.get("PYTHONPATH")))
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
