"""Worker processes that decode hostile files, with limits on time, memory and processor.

Knows nothing of HTTP, and nothing of containers: `audio.decode_file` does the work, on the far side, in
`decoder_process`. A worker is handed two open descriptors over a socket (the upload, and a file without a
name for the samples), so it never sees a path, and nothing is left on the disk however this process ends.

Not `concurrent.futures`: there a crash breaks the whole pool, and a running job cannot be stopped. Not
`pebble`, which stops jobs, but cannot hand over open files. Here one thread waits for one worker, and a job
is stopped by killing its worker.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hearsay.domain import Audio
from hearsay.errors import AudioTooShort, EngineFailed, InvalidAudio, Overloaded
from hearsay.media.decoding import Decoded, map_pcm
from hearsay.processes.spawn import start_module

MAX_DURATION = 12 * 3600.0
"""Seconds of the longest recording that is accepted unless told otherwise: 1.4 GB of samples on the disk."""

_CLOSED = "The decoders have been shut down."
_START_SECONDS = 120.0
_JOBS_PER_WORKER = 500


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one file may cost."""

    timeout: float
    """Seconds on the clock."""
    max_duration: float | None = MAX_DURATION
    """Seconds of sound; None means any length."""
    memory_bytes: int = 1024**3
    """Memory beyond what an idle worker holds."""


class MediaDecoderPool:
    """A bounded number of worker processes, started when first needed and replaced when lost."""

    def __init__(
        self,
        *,
        n_workers: int,
        timeout: float,
        folder: Path | None = None,
        max_waiting: int = 64,
        max_duration: float | None = MAX_DURATION,
    ) -> None:
        """Make a pool that puts samples into nameless files in `folder` (the system's choice if None)."""
        self._limits = DecodeLimits(timeout, max_duration)
        self._folder = folder
        self._max_waiting = max_waiting
        self._n_waiting = 0
        self._slots = asyncio.Semaphore(n_workers)
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="hearsay-decoder")
        self._bench = _IdleWorkers()
        weakref.finalize(self, self._bench.close)

    async def decode(self, source: Path) -> Audio:
        """Decode a file in a worker; cancelling the caller stops the work.

        Raises `InvalidAudio` (also when decoding takes too long or breaks the worker), `Overloaded` when too
        many files wait already, `EngineFailed` when no worker can be started or all are shut down, `OSError`.
        """
        if self._bench.closed:
            raise EngineFailed(_CLOSED)
        if self._slots.locked() and self._n_waiting >= self._max_waiting:
            raise Overloaded(f"{self._n_waiting} recordings are waiting to be decoded; try again shortly.")
        self._n_waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._n_waiting -= 1
        try:
            return await self._decode(source)
        finally:
            self._slots.release()

    async def _decode(self, source: Path) -> Audio:
        job = _Job(source, self._limits, self._folder, self._bench)
        future = asyncio.get_running_loop().run_in_executor(self._threads, job.run)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            job.stop()
            raise

    async def close(self) -> None:
        """End all workers; files being decoded are refused."""
        self._bench.close()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)


class _Lost(Exception):
    """The worker ended in the middle of a file."""


class _Worker:
    """One process, as seen from here; used by one thread at a time, but any may kill it."""

    def __init__(self) -> None:
        self.n_jobs = 0
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = start_module(
                "hearsay.media.worker_process", stdin=theirs.fileno(), stdout=subprocess.DEVNULL
            )
        self._ready = False

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def decode(self, source: IO[bytes], pcm: IO[bytes], limits: DecodeLimits) -> Decoded:
        """Hand over two files and wait. Raises `InvalidAudio`, `OSError`, `_Lost`, `EngineFailed`."""
        self._wait_until_ready()
        self.n_jobs += 1
        request = {
            "max_duration": limits.max_duration,
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.timeout + 1.0,
        }
        try:
            line = json.dumps(request).encode() + b"\n"
            socket.send_fds(self._channel, [line], [source.fileno(), pcm.fileno()])
            return _decoded(json.loads(self._read_line(limits.timeout)))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _Lost from error

    def kill(self) -> None:
        """End the process now; a thread that waits for it gets `_Lost`."""
        self._process.kill()

    def dispose(self) -> None:
        """End the process and give everything back; only for the thread that uses it."""
        self.kill()
        self._process.wait()
        self._channel.close()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        try:
            self._read_line(_START_SECONDS)
        except (_Lost, TimeoutError) as error:
            raise EngineFailed("A worker process for decoding could not be started; see the log.") from error
        self._ready = True

    def _read_line(self, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        line = b""
        while not line.endswith(b"\n"):
            self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self._channel.recv(65_536)
            if not piece:
                raise _Lost
            line += piece
        return line


class _IdleWorkers:
    """The workers that wait for a file, and all that there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether no file is taken any more."""
        return self._closed

    def take(self) -> _Worker:
        """Return a worker that waits, or a new one. Raises `EngineFailed` once closed."""
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._drop(worker)
            if self._closed:
                raise EngineFailed(_CLOSED)
            worker = _Worker()
            self._all.add(worker)
            return worker

    def put(self, worker: _Worker) -> None:
        """Take a worker back, or let it go when it has worked enough."""
        with self._lock:
            if self._closed or worker.n_jobs >= _JOBS_PER_WORKER:
                self._drop(worker)
            else:
                self._idle.append(worker)

    def drop(self, worker: _Worker) -> None:
        """Let a worker go that may be in the middle of something."""
        with self._lock:
            self._drop(worker)

    def close(self) -> None:
        """End every worker; those in use are disposed of by the threads that use them."""
        with self._lock:
            self._closed = True
            for worker in self._all.difference(self._idle):
                worker.kill()
            while self._idle:
                self._drop(self._idle.pop())

    def _drop(self, worker: _Worker) -> None:
        worker.dispose()
        self._all.discard(worker)


@dataclass(slots=True)
class _Job:
    """One file on its way through a worker."""

    source: Path
    limits: DecodeLimits
    folder: Path | None
    bench: _IdleWorkers
    _worker: _Worker | None = None
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Audio:
        """Decode in the calling thread. Raises as `MediaDecoderPool.decode`."""
        with self.source.open("rb") as source, tempfile.TemporaryFile(dir=self.folder) as pcm:
            worker = self.bench.take()
            keep = False
            try:
                self._hold(worker)
                decoded = worker.decode(source, pcm, self.limits)
                keep = True
            except InvalidAudio:
                keep = True
                raise
            except TimeoutError as error:
                message = f"Decoding the file took longer than {self.limits.timeout:g} seconds."
                raise InvalidAudio(message, code="decode_timeout") from error
            except _Lost as error:
                if self.bench.closed:
                    raise EngineFailed(_CLOSED) from error
                raise InvalidAudio("The file breaks the decoder.", code="damaged_audio") from error
            finally:
                self._hold(None)
                (self.bench.put if keep else self.bench.drop)(worker)
            return map_pcm(pcm, decoded)

    def stop(self) -> None:
        """Kill the worker that has this file, or will have it."""
        with self._lock:
            self._stopped = True
            if self._worker is not None:
                self._worker.kill()

    def _hold(self, worker: _Worker | None) -> None:
        with self._lock:
            self._worker = worker
            if worker is not None and self._stopped:
                worker.kill()


def _decoded(answer: dict[str, Any]) -> Decoded:
    """Read a worker's answer. Raises what it says was raised over there."""
    if "refused" in answer:
        kind = {"InvalidAudio": InvalidAudio, "AudioTooShort": AudioTooShort}[answer["refused"]]
        raise kind(answer["message"], code=answer["code"])
    if "failed" in answer:
        raise OSError(answer["failed"], answer["message"])
    return Decoded(answer["n_samples"], answer["container"], answer["codec"], tuple(answer["warnings"]))
