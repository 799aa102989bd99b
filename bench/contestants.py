"""The systems under test, behind one interface: a recording in, its words out.

Knows no clock and no table. Servers are asked over HTTP; libraries are called in this process, or in another
Python through a pipe where they cannot be installed here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import faster_whisper
import httpx

from bench.recordings import ROOT
from bench.server import free_port, running, started

MODEL = "bench"
"""Name under which our server knows the weights."""


class System(Protocol):
    """Transcribes recordings."""

    name: str

    def transcribe(self, path: Path, language: str | None) -> str:
        """Return the words of a recording; without a language it is detected. Callable from many threads."""
        ...


class Server:
    """Any server with OpenAI's endpoint, as its callers see it."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._client = httpx.Client(base_url=address, timeout=None, trust_env=False, limits=limits)

    def transcribe(self, path: Path, language: str | None) -> str:
        """Send the file and return the text. Raises: `httpx.HTTPStatusError`."""
        form = {"model": MODEL, "response_format": "json"} | ({"language": language} if language else {})
        with path.open("rb") as stream:
            answer = self._client.post("/v1/audio/transcriptions", data=form, files={"file": stream})
        answer.raise_for_status()
        return str(answer.json()["text"]).strip()


class Library:
    """faster-whisper in this process, one window after the other."""

    def __init__(self, name: str, model: faster_whisper.WhisperModel, **options: Any) -> None:
        self.name = name
        self._model, self._options = model, options

    def transcribe(self, path: Path, language: str | None) -> str:
        """Call it, and go through the segments, which does the work."""
        segments, _ = self._model.transcribe(str(path), language=language, **self._options)
        return "".join(segment.text for segment in segments).strip()


class Batched:
    """faster-whisper's own pipeline, which decodes the windows of one recording together."""

    def __init__(self, name: str, model: faster_whisper.WhisperModel, **options: Any) -> None:
        self.name = name
        self._pipeline = faster_whisper.BatchedInferencePipeline(model)
        self._options = options

    def transcribe(self, path: Path, language: str | None) -> str:
        """Call it, and go through the segments, which does the work."""
        segments, _ = self._pipeline.transcribe(str(path), language=language, **self._options)
        return "".join(segment.text for segment in segments).strip()


class Elsewhere:
    """A library in another Python, spoken to through a pipe."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process

    def transcribe(self, path: Path, language: str | None) -> str:
        """Ask, and wait for the answer. Raises: `RuntimeError` where the process has ended."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"path": str(path), "language": language}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended")
        return str(json.loads(line)["text"]).strip()


def library(options: argparse.Namespace, compute_type: str | None = None) -> faster_whisper.WhisperModel:
    """Load the weights with faster-whisper, with as many threads as everybody has."""
    return faster_whisper.WhisperModel(
        str(options.weights),
        device="cpu",
        compute_type=compute_type or options.compute_type,
        cpu_threads=options.threads,
        local_files_only=True,
    )


@contextmanager
def ours(options: argparse.Namespace) -> Iterator[Server]:
    """Start our server."""
    settings = {
        "MODELS": f"{MODEL}={options.weights}",
        "MODEL": MODEL,
        "DEVICE": "cpu",
        "CPU_THREADS": str(options.threads),
        "BEAM_SIZE": str(options.beam),
    }
    with running(settings | dict(options.set)) as address:
        yield Server("hearsay over HTTP", address)


@contextmanager
def one_lock(options: argparse.Namespace) -> Iterator[Server]:
    """Start the plain wrapper of faster-whisper."""
    port = free_port()
    arguments = {"port": port, "beam": options.beam, "threads": options.threads}
    arguments["compute-type"] = options.compute_type
    command = [sys.executable, "-m", "bench.rival", str(options.weights)]
    with started([*command, *(f"--{k}={v}" for k, v in arguments.items())], port) as address:
        yield Server("one-lock wrapper over HTTP", address)


@contextmanager
def elsewhere(
    name: str, command: Sequence[str | Path], weights: Path, options: argparse.Namespace
) -> Iterator[Elsewhere]:
    """Start a library in another Python; `bench/elsewhere.py` says which it can run."""
    process = subprocess.Popen(
        [*map(str, command), str(weights), str(options.threads), str(options.beam)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield Elsewhere(name, process)
    finally:
        process.terminate()
        process.wait(timeout=30)
