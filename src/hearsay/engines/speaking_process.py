"""The far side of `speaking`: what every process that speaks does, whatever it speaks with.

Knows no model, and imports little, so that a process starts quickly. Standard input is a socket; frames
(`frames`) come and go there, so that nothing which a library prints can be taken for sound. The process ends
when its parent hangs up.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hearsay.engines.frames import END, FAILED, HEADER, PIECE, READY, SOUND, SPENT, frame

GATHER_BYTES = 4 << 20
"""So much sound is sent together at most; only the first block that somebody waits for goes at once."""

GATHER_SECONDS = 0.1
"""No sound waits for longer while more is made. Every block costs the parent a turn, so a piece has few."""

_SOCKET_BYTES = 1 << 20


class CannotSpeak(Exception):
    """Something cannot be loaded or said; the text is for whoever asked."""


Give = Callable[[bytes], bool]
"""Takes a block of `s16le`; False means that no more of the piece is wanted."""


class Mouth(Protocol):
    """Something that speaks, one piece after the other."""

    about: Mapping[str, Any]
    """What the parent should know, in plain values: `sample_rate`, …"""

    @property
    def is_spent(self) -> bool:
        """Whether the process should end after this piece, and another take its place."""
        ...

    def say(self, piece: Mapping[str, Any], give: Give) -> None:
        """Say a piece (`text`, `voice`, `speed`). Raises `CannotSpeak`."""
        ...

    def rest(self) -> None:
        """Prepare for the next piece, now that all sound of the last one is out, or its failure."""
        ...


def run(load: Callable[[Mapping[str, Any]], Mouth]) -> None:
    """Be such a process; `load` makes the mouth from the parent's first message (`CannotSpeak`: why not)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as channel:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
        try:
            _serve(channel, load)
        except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
            return


def _serve(channel: socket.socket, load: Callable[[Mapping[str, Any]], Mouth]) -> None:
    _, start = _receive(channel)
    try:
        mouth = load(json.loads(start))
    except CannotSpeak as error:
        channel.sendall(frame(FAILED, str(error).encode()))
        return
    channel.sendall(frame(READY, json.dumps(dict(mouth.about)).encode()))
    sound = _Sound(channel)
    while True:
        kind, payload = _receive(channel)
        if kind == PIECE:
            if _speak(mouth, json.loads(payload), sound) == SPENT:
                return
            mouth.rest()


def _speak(mouth: Mouth, piece: Mapping[str, Any], sound: _Sound) -> bytes:
    """Say a piece; gives the kind of frame that ended it."""
    sound.begin(at_once=piece["is_awaited"])
    try:
        mouth.say(piece, sound.give)
    except CannotSpeak as error:
        sound.fail(str(error))
        return FAILED
    end = SPENT if mouth.is_spent else END
    sound.end(end)
    return end


class _Sound:
    """The sound of a piece on its way out, gathered in the same memory for one piece after the other."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        # New memory for every piece would have to be cleared by the system, page by page.
        self._room = memoryview(mmap.mmap(-1, HEADER.size + GATHER_BYTES + HEADER.size))
        self._n_bytes = 0
        self._due = 0.0

    def begin(self, *, at_once: bool) -> None:
        """Prepare for a piece, whose first block goes out at once if somebody waits for it."""
        self._n_bytes = 0
        self._due = 0.0 if at_once else time.monotonic() + GATHER_SECONDS

    def give(self, block: bytes) -> bool:
        """Take a block; say whether more is wanted."""
        rest = memoryview(block)
        while rest:
            taken = rest[: GATHER_BYTES - self._n_bytes]
            start = HEADER.size + self._n_bytes
            self._room[start : start + len(taken)] = taken
            self._n_bytes += len(taken)
            rest = rest[len(taken) :]
            if self._n_bytes == GATHER_BYTES or time.monotonic() >= self._due:
                self._send()
        return not _is_waiting(self._channel)

    def end(self, kind: bytes) -> None:
        """Send what was gathered, and that there is no more."""
        self._send(frame(kind))

    def fail(self, reason: str) -> None:
        """Send why there is no more, instead of what was gathered."""
        self._channel.sendall(frame(FAILED, reason.encode()))

    def _send(self, after: bytes = b"") -> None:
        """Send what was gathered as one frame, if there is any, and another frame with it."""
        start, end = 0 if self._n_bytes else HEADER.size, HEADER.size + self._n_bytes
        HEADER.pack_into(self._room, 0, SOUND, self._n_bytes)
        self._room[end : end + len(after)] = after
        self._channel.sendall(self._room[start : end + len(after)])
        self._n_bytes = 0
        self._due = time.monotonic() + GATHER_SECONDS


def _is_waiting(channel: socket.socket) -> bool:
    """Say whether the parent has sent something: in the middle of a piece, `HUSH` or the end of all."""
    readable, _, _ = select.select([channel], [], [], 0)
    return bool(readable)


def _receive(channel: socket.socket) -> tuple[bytes, bytes]:
    """Wait for a frame. Raises `EOFError` when the parent has hung up."""
    kind, length = HEADER.unpack(_exactly(channel, HEADER.size))
    return kind, _exactly(channel, length)


def _exactly(channel: socket.socket, n_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < n_bytes:
        block = channel.recv(n_bytes - len(data))
        if not block:
            raise EOFError
        data += block
    return bytes(data)
