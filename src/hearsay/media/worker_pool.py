"""Worker processes that decode hostile files, with limits on time, memory and processor.

Does not know HTTP or containers: `decoding.decode_file` does the work, in `media.worker_process`. A worker
is sent two open descriptors (the upload, and a file without a name for the samples), so it never sees a path,
and nothing is left on the disk however this process ends. A cancelled file ends with its worker.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hearsay.domain import Audio
from hearsay.errors import AudioTooShort, EngineFailed, InvalidAudio
from hearsay.processes.supervisor import WorkerHung, WorkerLost, WorkerProcess, WorkerRequest

MAX_DURATION = 12 * 3600.0
"""Seconds of the longest recording that is accepted unless told otherwise: 1.4 GB of samples on the disk."""

_MEMORY_BYTES = 1024**3
"""That one file may take, beyond what an idle worker holds."""

_REQUESTS_PER_PROCESS = 500
"""After so many files a process is replaced, with whatever memory libav has lost."""


class MediaDecoderPool:
    """A bounded number of worker processes, started when first needed and replaced when lost."""

    def __init__(
        self,
        *,
        n_workers: int,
        timeout: float,
        folder: Path | None = None,
        max_duration: float | None = MAX_DURATION,
    ) -> None:
        """Make a pool that puts samples into nameless files in `folder` (the system's choice if None).

        A file may take `timeout` seconds on the clock, and have `max_duration` seconds of audio (None: any).
        """
        limits = {"max_duration": max_duration, "memory_bytes": _MEMORY_BYTES, "cpu_seconds": timeout + 1.0}
        self._payload = json.dumps(limits).encode()
        self._timeout = timeout
        self._folder = folder
        self._is_closed = False
        self._slots = asyncio.Semaphore(n_workers)
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="hearsay-decoder")
        self._idle = [
            WorkerProcess(
                "hearsay.media.worker_process", name="The media decoder", time_limit=timeout, cancel_seconds=0
            )
            for _ in range(n_workers)
        ]
        """As many as there are threads, of which each takes the one used last."""
        self._close_workers = weakref.finalize(self, _close, tuple(self._idle))

    async def decode(self, source: Path) -> Audio:
        """Return the audio of a file, decoded in a worker; cancelling the caller stops the work.

        Raises: `InvalidAudio` (also when decoding takes too long or breaks the worker), `EngineFailed` when
        no worker can be started or all are shut down, `OSError`.
        """
        if self._is_closed:
            raise _closed()
        async with self._slots:
            return await self._decode(source)

    async def close(self) -> None:
        """End all workers; files being decoded are refused."""
        self._is_closed = True
        self._close_workers()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)

    async def _decode(self, source: Path) -> Audio:
        request = WorkerRequest(self._payload)
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._run, source, request)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            request.cancel()
            raise

    def _run(self, source: Path, request: WorkerRequest) -> Audio:
        """Decode in the calling thread. Raises as `decode`, and `Cancelled`."""
        with source.open("rb") as upload, tempfile.TemporaryFile(dir=self._folder) as pcm:
            worker = self._idle.pop()
            try:
                answer = worker.run(request, descriptors=(upload.fileno(), pcm.fileno()))
            except WorkerHung as error:
                message = f"Decoding the file took longer than {self._timeout:g} seconds."
                raise InvalidAudio(message, code="decode_timeout") from error
            except WorkerLost as error:
                raise InvalidAudio("The file breaks the decoder.", code="damaged_audio") from error
            except EngineFailed as error:
                if self._is_closed:
                    raise _closed() from error
                raise
            finally:
                if worker.n_requests >= _REQUESTS_PER_PROCESS:
                    worker.end_process()
                self._idle.append(worker)
            facts = _checked(json.loads(answer))
            return Audio.map(pcm, facts["n_samples"], tuple(facts["warnings"]))


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a worker's answer, the fields of `Decoded`. Raises: what was raised in the worker."""
    if "refused" in answer:
        kind = {"InvalidAudio": InvalidAudio, "AudioTooShort": AudioTooShort}[answer["refused"]]
        raise kind(answer["message"], code=answer["code"])
    if "failed" in answer:
        raise OSError(answer["failed"], answer["message"])
    return answer


def _closed() -> EngineFailed:
    return EngineFailed("The decoders have been shut down.")


def _close(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:
        worker.close()
