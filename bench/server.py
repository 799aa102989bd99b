"""A real server in a process of its own, for measurements.

Knows no measurement.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 120.0

LOG_TAIL = 3000
"""Letters of a server's log that are shown where a measurement fails."""


@contextmanager
def running(settings: Mapping[str, str]) -> Iterator[str]:
    """Start `hearsay serve` with settings (`HEARSAY_` left out of the names) and return its address."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEARSAY_")}
    wanted = {"HOST": "127.0.0.1", "PORT": str(port), "DOWNLOADS": "off", "OFFLINE": "true"} | dict(settings)
    environment = clean | {f"HEARSAY_{name}": value for name, value in wanted.items()}
    with started([str(Path(sys.executable).with_name("hearsay")), "serve"], port, environment) as address:
        yield address


@contextmanager
def started(command: Sequence[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start a server that listens on a port of this machine, and return its address once it is ready."""
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(address, process, Path(log.name))
            yield address
        except Exception as error:
            error.add_note(
                f"the end of the server's log:\n{Path(log.name).read_text('utf-8', 'replace')[-LOG_TAIL:]}"
            )
            raise
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server is ready. Raises: `SystemExit` with its log on failure."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/ready", timeout=1, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)  # not listening yet
        else:
            time.sleep(0.05)  # listening, loading
    raise SystemExit(f"the server did not start:\n{log.read_text('utf-8', 'replace')}")
