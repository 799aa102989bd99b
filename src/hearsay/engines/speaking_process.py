"""The far side of `speaking`: what every process that speaks does, whatever it speaks with.

Knows no model, and imports little, so that a process starts quickly. Standard input is a socket; frames
(`frames`) come and go there, so that nothing which a library prints can be taken for sound. The process ends
when its parent hangs up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hearsay.engines.frames import END, FAILED, HEADER, PIECE, READY, SOUND, frame

GATHER_BYTES = 4 << 20
"""From here on sound is sent; only the first block that somebody waits for goes at once, however short."""

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
    while True:
        kind, payload = _receive(channel)
        if kind == PIECE:
            _speak(channel, mouth, json.loads(payload))
            mouth.rest()


def _speak(channel: socket.socket, mouth: Mouth, piece: Mapping[str, Any]) -> None:
    sound = _Sound(channel, at_once=piece["is_awaited"])
    try:
        mouth.say(piece, sound.give)
    except CannotSpeak as error:
        channel.sendall(frame(FAILED, str(error).encode()))
        return
    sound.send(last=True)


class _Sound:
    """The sound of one piece on its way out."""

    def __init__(self, channel: socket.socket, *, at_once: bool) -> None:
        self._channel = channel
        self._gathered: list[bytes] = []
        self._n_bytes = 0
        self._due = 0.0 if at_once else time.monotonic() + GATHER_SECONDS

    def give(self, block: bytes) -> bool:
        """Take a block; say whether more is wanted."""
        self._gathered.append(block)
        self._n_bytes += len(block)
        now = time.monotonic()
        if self._n_bytes >= GATHER_BYTES or now >= self._due:
            self.send()
            self._due = now + GATHER_SECONDS
        return not _is_waiting(self._channel)

    def send(self, *, last: bool = False) -> None:
        """Send what was gathered, and after the last of it that there is no more."""
        head = HEADER.pack(SOUND, self._n_bytes) if self._n_bytes else b""
        self._channel.sendall(b"".join((head, *self._gathered, frame(END) if last else b"")))
        self._gathered.clear()
        self._n_bytes = 0


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
