"""The far side of `decoders`: a process that decodes one file after the other for its parent.

Knows no path: requests and answers are lines of JSON on its standard input, a socket, and files come as open
descriptors with them. It ends when the socket does. An exception that is nobody's fault but ours ends it too,
with its traceback on standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Any

from hearsay.errors import InvalidAudio
from hearsay.media.decoding import decode_file

READY = b"\n"
"""What the process says once it can take requests."""


def main() -> None:
    """Serve the parent until it hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as channel:
        channel.sendall(READY)
        while True:
            line, descriptors, _, _ = socket.recv_fds(channel, 4096, 2)
            if not line:
                return
            request = json.loads(line)
            with os.fdopen(descriptors[0], "rb") as source, os.fdopen(descriptors[1], "wb") as pcm:
                answer = _answer(request, source, pcm)
            try:
                channel.sendall(json.dumps(answer).encode() + b"\n")
            except (BrokenPipeError, ConnectionResetError):  # the parent is gone
                return


def _answer(request: dict[str, Any], source: Any, pcm: Any) -> dict[str, Any]:
    """Decode, and tell what came of it in plain values."""
    _limit(request["cpu_seconds"], request["memory_bytes"])
    try:
        decoded = decode_file(source, pcm, max_duration=request["max_duration"])
    except InvalidAudio as error:
        return {"refused": type(error).__name__, "message": error.message, "code": error.code}
    except OSError as error:
        return {"failed": error.errno, "message": str(error)}
    return {
        "n_samples": decoded.n_samples,
        "container": decoded.container,
        "codec": decoded.codec,
        "warnings": decoded.warnings,
    }


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
    main()
