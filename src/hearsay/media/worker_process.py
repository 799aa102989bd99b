"""The child process that decodes one media file after the other for its parent.

Does not know any path: files come as open descriptors (the source, and where the samples go), a request is
JSON, and so is its result. An exception that is a defect of ours ends the process, with its traceback on
standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hearsay.errors import InvalidAudio
from hearsay.media.decoding import decode_file
from hearsay.processes.worker import Emit, RequestRunner, serve


class MediaDecoder(RequestRunner):
    """Decodes within limits of memory and processor time."""

    def run(self, request: bytes, descriptors: Sequence[int], emit: Emit) -> bytes:
        """Decode the first descriptor into the second; return what came of it, in plain values."""
        limits = json.loads(request)
        _limit(limits["cpu_seconds"], limits["memory_bytes"])
        with os.fdopen(descriptors[0], "rb") as source, os.fdopen(descriptors[1], "wb") as pcm:
            return json.dumps(_decode(source, pcm, limits["max_duration"])).encode()


def _decode(source: Any, pcm: Any, max_duration: float | None) -> dict[str, Any]:
    try:
        decoded = decode_file(source, pcm, max_duration=max_duration)
    except InvalidAudio as error:
        return {"refused": type(error).__name__, "message": error.message, "code": error.code}
    except OSError as error:
        return {"failed": error.errno, "message": str(error)}
    return asdict(decoded)


def _limit(cpu_seconds: float, memory_bytes: int) -> None:
    """Allow this much more processor time and memory than used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + cpu_seconds) + 1)
    _lower(resource.RLIMIT_CORE, 0)
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)


def _lower(limit: int, value: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # some systems know the limit but do not let it be set
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


if __name__ == "__main__":
    serve(lambda settings: MediaDecoder())
