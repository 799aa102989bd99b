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

from hearsay.engines.tts_worker.frames import (
    AUDIO,
    END,
    FAILED,
    FULL,
    HEADER,
    PLACE,
    READY,
    ROOM_BYTES,
    SPENT,
    TAKEN,
    UTTERANCE,
    frame,
)

GATHER_SECONDS = 0.1
"""No sound waits for longer while more is made; the first block that somebody waits for does not wait at all.
Every block costs the parent a turn, so a piece has few."""


class CannotSynthesize(Exception):
    """Something cannot be loaded or said; the text is for whoever asked."""


EmitAudio = Callable[[bytes], bool]
"""Takes a block of `s16le`; False means that no more of the piece is wanted."""


class UtteranceRunner(Protocol):
    """Something that speaks, one piece after the other."""

    about: Mapping[str, Any]
    """What the parent should know, in plain values: `sample_rate`, …"""

    @property
    def is_spent(self) -> bool:
        """Whether the process should end after this piece, and another take its place."""
        ...

    def say(self, piece: Mapping[str, Any], give: EmitAudio) -> None:
        """Say a piece (`text`, `voice`, `speed`). Raises `CannotSynthesize`."""
        ...

    def rest(self) -> None:
        """Prepare for the next piece, now that all sound of the last one is out, or its failure."""
        ...


def run(load: Callable[[Mapping[str, Any]], UtteranceRunner]) -> None:
    """Run the child process; `load` makes the runner from the first message. Raises: `CannotSynthesize`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as channel:
        try:
            _serve(channel, load)
        except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
            return


def _serve(channel: socket.socket, load: Callable[[Mapping[str, Any]], UtteranceRunner]) -> None:
    head, descriptors, _, _ = socket.recv_fds(channel, HEADER.size, 1)
    if not head:
        raise EOFError
    _, length = HEADER.unpack(head)
    start = _exactly(channel, length)
    room = mmap.mmap(descriptors[0], ROOM_BYTES)
    os.close(descriptors[0])
    try:
        mouth = load(json.loads(start))
    except CannotSynthesize as error:
        channel.sendall(frame(FAILED, str(error).encode()))
        return
    channel.sendall(frame(READY, json.dumps(dict(mouth.about)).encode()))
    sound = _Sound(channel, room)
    while True:
        kind, payload = _receive(channel)
        if kind == UTTERANCE:
            if _speak(mouth, json.loads(payload), sound) == SPENT:
                return
            mouth.rest()


def _speak(mouth: UtteranceRunner, piece: Mapping[str, Any], sound: _Sound) -> bytes:
    """Say a piece; gives the kind of frame that ended it."""
    sound.begin(at_once=piece["is_awaited"])
    try:
        mouth.say(piece, sound.give)
    except CannotSynthesize as error:
        sound.fail(str(error))
        return FAILED
    end = SPENT if mouth.is_spent else END
    sound.end(end)
    return end


class _Sound:
    """The sound of a piece on its way out: it is put where the parent finds it."""

    def __init__(self, channel: socket.socket, room: mmap.mmap) -> None:
        self._channel = channel
        self._news = select.poll()
        self._news.register(channel, select.POLLIN)
        self._room = memoryview(room)
        self._told = self._end = 0
        """How much of what is there the parent was told of, and how much is there."""
        self._due = 0.0
        self._is_wanted = True

    def begin(self, *, at_once: bool) -> None:
        """Prepare for a piece, whose first block is told of at once if somebody waits for it."""
        self._told = self._end = 0
        self._due = 0.0 if at_once else time.monotonic() + GATHER_SECONDS
        self._is_wanted = True

    def give(self, block: bytes | memoryview) -> bool:
        """Take a block; say whether more is wanted."""
        start, end = self._end, self._end + len(block)
        if end > ROOM_BYTES:
            return self._give_in_parts(block)
        self._room[start:end] = block
        self._end = end
        if time.monotonic() >= self._due:
            self._tell()
        # In the middle of a piece the parent sends nothing but `HUSH`, or hangs up.
        return self._is_wanted and not self._news.poll(0)

    def end(self, kind: bytes) -> None:
        """Tell of what is left, and that there is no more."""
        self._tell(frame(kind))

    def fail(self, reason: str) -> None:
        """Record the error that ends the stream, and drop the rest."""
        self._channel.sendall(frame(FAILED, reason.encode()))

    def _give_in_parts(self, block: bytes | memoryview) -> bool:
        """Take a block for which there is no room; say whether more is wanted."""
        rest, is_wanted = memoryview(block), True
        while rest and is_wanted:
            if self._end == ROOM_BYTES:
                self._make_room()
            n_fitting = ROOM_BYTES - self._end
            is_wanted = self.give(rest[:n_fitting])
            rest = rest[n_fitting:]
        return is_wanted

    def _tell(self, after: bytes = b"") -> None:
        news = b""
        if self._end > self._told:
            news = frame(AUDIO, PLACE.pack(self._told, self._end - self._told))
        self._channel.sendall(news + after)
        self._told = self._end
        self._due = time.monotonic() + GATHER_SECONDS

    def _make_room(self) -> None:
        """Wait until the parent has taken everything, or wants no more."""
        self._tell(frame(FULL))
        kind, _ = _receive(self._channel)
        self._is_wanted = kind == TAKEN
        self._told = self._end = 0


def _receive(channel: socket.socket) -> tuple[bytes, bytes]:
    """Wait for a frame. Raises `EOFError` when the parent has hung up.

    Not a byte more is read (as `Frames` would): a `HUSH` behind it must stay where `_Sound` looks for news.
    """
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
