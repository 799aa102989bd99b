"""One process that speaks, as its parent sees it; started again should it be lost.

Knows no model (`speaking_process` is the far side), and not who wants to hear what is said.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from hearsay.engines.tts_worker.frames import (
    AUDIO,
    CANCEL,
    FAILED,
    FULL,
    PLACE,
    READY,
    ROOM_BYTES,
    SPENT,
    START,
    TAKEN,
    UTTERANCE,
    Frames,
    frame,
)
from hearsay.engines.tts_worker.utterance import Samples, Utterance
from hearsay.errors import EngineFailed
from hearsay.processes.spawn import start_module

CANCEL_SECONDS = 1.0
"""How long a process may go on with what nobody wants any more before it is killed."""

_TICK = 0.5
"""Seconds between two looks at whether a silent process is overdue."""

_READ_BYTES = 64 << 10
"""Read at once."""

_SENSELESS = "it said what makes no sense"


class Lost(Exception):
    """A process that is no longer there."""


class Hung(Lost):
    """A process that is no longer of use."""


class Child:
    """One process, started again should it be lost; used by one thread, but for `cancel` and `kill`."""

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
        self._frames = Frames()
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
                self.failure = EngineFailed(
                    f"{self._name} could not be started: {payload.decode('utf-8', 'replace')}"
                )
                self.dispose()
                return
            self.about = json.loads(payload)
            self.failure = None
        except (OSError, ValueError, Lost) as error:
            reason = str(error) or "the process ended at once; the log says why"
            self.failure = EngineFailed(f"{self._name} could not be started: {reason}.")
            self.dispose()

    def say(self, piece: Utterance) -> None:
        """Have a piece said to its end. Raises `Lost`, `OSError` when the process is."""
        if not piece.begin(self):
            return
        while True:
            kind, payload = self._receive(piece)
            if kind == AUDIO:
                piece.add(self._sound(payload))
            elif kind == FULL:
                self._send(TAKEN)
            else:
                break
        reason = f"{self._name} failed: {payload.decode('utf-8', 'replace')}"
        piece.end(EngineFailed(reason) if kind == FAILED else None)
        if kind == SPENT:
            self.dispose()

    def begin(self, request: bytes) -> None:
        """Let the process say a piece. Raises `OSError`."""
        self._send(UTTERANCE, request)

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        if self._channel is None:
            raise ConnectionResetError("there is no process")
        self._channel.sendall(frame(kind, payload))

    def cancel(self) -> None:
        """Let the process know that nobody wants the rest of its piece; it does not matter if it is gone."""
        with contextlib.suppress(OSError):
            self._send(CANCEL)

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
            self._channel, self._frames = ours, Frames()
            self._process = start_module(self._module, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
            if self._closed:
                raise Lost("it has been closed")
        with _memory(ROOM_BYTES) as memory:
            self._room = mmap.mmap(memory.fileno(), ROOM_BYTES, prot=mmap.PROT_READ)
            # Less than any socket holds, so all of it is sent.
            socket.send_fds(ours, [frame(START, self._start)], [memory.fileno()])

    def _receive(self, piece: Utterance | None) -> tuple[bytes, bytes]:
        """Wait for a frame."""
        silent_since = time.monotonic()
        assert self._channel is not None
        try:
            while (found := self._frames.take()) is None:
                try:
                    data = self._channel.recv(_READ_BYTES)
                except BlockingIOError:  # nothing came for a tick
                    self._check_patience(piece, time.monotonic() - silent_since)
                    continue
                if not data:
                    raise Lost
                self._frames.feed(data)
                silent_since = time.monotonic()
        except ValueError as error:
            raise Hung(_SENSELESS) from error
        return found

    def _check_patience(self, piece: Utterance | None, silent_seconds: float) -> None:
        if piece is not None and piece.is_unwanted(seconds=CANCEL_SECONDS):
            raise Hung("it went on with what nobody wanted")
        if silent_seconds > self._patience:
            raise Hung(f"it gave no sign of life for {self._patience:g} s")

    def _sound(self, place: bytes) -> Samples:
        """Take a copy of the sound of which the process told."""
        start, n_bytes = PLACE.unpack(place) if len(place) == PLACE.size else (ROOM_BYTES, 1)
        if start + n_bytes > ROOM_BYTES:
            raise Hung(_SENSELESS)
        assert self._room is not None
        return np.frombuffer(self._room, np.uint8, n_bytes, start).copy()


def _timeval(seconds: float) -> bytes:
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    return struct.pack("@ll", whole, rest)


def _memory(n_bytes: int) -> BinaryIO:
    """Make a file that is only memory, or, where the system has no such thing, a nameless one."""
    if not hasattr(os, "memfd_create"):
        file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        file.truncate(n_bytes)
        return file
    import fcntl  # which not every system has

    descriptor = os.memfd_create("sound", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    file = open(descriptor, "w+b", buffering=0)  # noqa: PTH123, SIM115
    file.truncate(n_bytes)
    # Whoever reads what the other side has cut off is killed; so nobody can.
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return file
