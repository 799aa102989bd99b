"""How long /health takes while the server transcribes: `python -m bench.health [--requests N] [--seconds S]`.

Knows no client library: a bare connection is kept open and asked again every few milliseconds, from a
process that does nothing else. Prints the 50th and 99th percentile idle and loaded; ends with 1 where the
loaded 99th is above the 50 ms that the project promises.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

from bench.recordings import long_recording
from bench.server import running

LIMIT_MS = 50.0
"""What the 99th percentile may be while transcribing."""

PAUSE_SECONDS = 0.005


@dataclass(frozen=True)
class Measurement:
    """How long /health took, in one mood of the server."""

    times: list[float]
    """Milliseconds, one for each time that it was asked."""
    finished: int
    """Transcriptions that ended meanwhile."""

    @property
    def n(self) -> int:
        """How often it was asked."""
        return len(self.times)

    def percentile(self, share: float) -> float:
        """Return the milliseconds that `share` percent of the answers did not exceed."""
        return float(np.percentile(self.times, share))

    def __str__(self) -> str:
        p50, p99, worst = (self.percentile(share) for share in (50, 99, 100))
        return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, worst {worst:.2f} ms ({self.n} asked)"


def main() -> int:
    """Measure, print and check."""
    options = _options()
    idle, loaded = measure(
        model=options.model,
        seconds=options.seconds,
        n_requests=options.requests,
        weights=options.weights,
        minutes=options.minutes,
    )
    print(f"/health idle: {idle}")
    print(f"/health while {options.requests} transcribe ({loaded.finished} finished): {loaded}")
    return int(loaded.percentile(99) > LIMIT_MS)


def measure(
    *, model: str, seconds: float, n_requests: int, weights: Path | None = None, minutes: float = 0.5
) -> tuple[Measurement, Measurement]:
    """Measure a fresh server idle, then while `n_requests` at a time transcribe long recordings."""
    settings = {"MODEL": model} | ({"MODELS": f"{model}={weights}"} if weights else {})
    recording = long_recording(minutes * 60.0)
    with running(settings) as address:
        return ask_for(address, seconds / 4, 0, recording), ask_for(address, seconds, n_requests, recording)


def ask_for(address: str, seconds: float, n_requests: int, recording: bytes) -> Measurement:
    """Ask /health again and again for some seconds while `n_requests` are transcribed."""
    until = time.monotonic() + seconds
    context = multiprocessing.get_context("spawn")
    with ThreadPoolExecutor(max(n_requests, 1)) as threads:
        work = [threads.submit(keep_busy, address, until, recording) for _ in range(n_requests)]
        here, there = context.Pipe()
        asker = context.Process(target=ask, args=(address, seconds, there))
        asker.start()
        there.close()
        try:
            times: list[float] = here.recv()
        except EOFError:
            raise SystemExit("the process that asks /health broke") from None
        asker.join()
        return Measurement(times, sum(done.result() for done in work))


def ask(address: str, seconds: float, answer: Connection) -> None:
    """Ask from a process of its own, so that the load generator's own work is not measured."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        connection.request("GET", "/health")
        response = connection.getresponse()
        response.read()
        times.append((time.perf_counter() - start) * 1000)
        if response.status != 200:
            raise SystemExit(f"/health said {response.status}")
        time.sleep(PAUSE_SECONDS)
    answer.send(times)


def keep_busy(address: str, until: float, recording: bytes) -> int:
    """Transcribe recordings one after the other until the time is over; return their number."""
    n_done = 0
    with httpx.Client(base_url=address, timeout=None, trust_env=False) as client:
        while time.monotonic() < until:
            answer = client.post("/v1/audio/transcriptions", files={"file": ("long.wav", recording)})
            answer.raise_for_status()
            n_done += 1
    return n_done


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4, help="transcriptions at the same time")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure under load")
    parser.add_argument("--minutes", type=float, default=0.5, help="length of the recording")
    parser.add_argument("--model", default="auto", help="model to load the machine with")
    parser.add_argument("--weights", type=Path, help="folder of that model, where it is not installed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
