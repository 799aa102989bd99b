"""Frames between a child process and its parent: a kind, a length and a payload, perhaps with open files.

Does not know what a payload means. A kind is a byte, a length an unsigned 32-bit integer in the machine's
own byte order; file descriptors come with the first byte. Source: unix(7), SCM_RIGHTS.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

START = b"s"
"""To the child, once: its settings (JSON)."""
READY = b"r"
"""From the child, once: what it loaded (JSON)."""
REQUEST = b"q"
"""To the child, one at a time: a request, perhaps with descriptors."""
CANCEL = b"c"
"""To the child: the rest of the response is not wanted; without meaning between requests."""
DATA = b"d"
"""From the child: a block of the response."""
END = b"e"
"""From the child: the response is complete; the payload is its result."""
SPENT = b"x"
"""From the child, instead of `END`: complete, and the process ends."""
FAILED = b"f"
"""From the child, instead of `READY` or `END`: why not (a sentence in UTF-8)."""

HEADER = struct.Struct("=cI")

MAX_PAYLOAD_BYTES = 1 << 20
"""Of one frame: a longer one is nonsense, for which no memory is allocated."""


class RequestFailed(Exception):
    """What the child could not load or do; the text is for the caller, and the process goes on."""


class Frame(NamedTuple):
    """One frame, as received."""

    kind: bytes
    payload: bytearray
    descriptors: list[int]


def send_frame(
    channel: socket.socket, kind: bytes, payload: bytes | memoryview = b"", descriptors: Sequence[int] = ()
) -> None:
    """Send one frame. Raises `OSError` where the other side is gone."""
    header = HEADER.pack(kind, len(payload))
    if descriptors:
        socket.send_fds(channel, [header], descriptors)
        channel.sendall(payload)
    else:
        channel.sendall(header + payload)


def receive_frame(
    channel: socket.socket, *, max_descriptors: int = 0, wait: Callable[[], None] = lambda: None
) -> Frame:
    """Return the next frame, without reading a byte beyond it; `wait` is called before each read.

    Descriptors beyond `max_descriptors` are closed by the system. Raises `EOFError` where the other side hung
    up, `OSError`, `ValueError` for a frame of more than `MAX_PAYLOAD_BYTES`.
    """
    wait()
    head, descriptors, _, _ = socket.recv_fds(channel, HEADER.size, max_descriptors)
    if not head:
        raise EOFError
    header = bytearray(head).ljust(HEADER.size, b"\0")
    _fill(channel, memoryview(header)[len(head) :], wait)
    kind, length = HEADER.unpack(header)
    if length > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    payload = bytearray(length)
    _fill(channel, memoryview(payload), wait)
    return Frame(kind, payload, descriptors)


def _fill(channel: socket.socket, rest: memoryview, wait: Callable[[], None]) -> None:
    while rest:
        wait()
        n_read = channel.recv_into(rest)
        if not n_read:
            raise EOFError
        rest = rest[n_read:]
