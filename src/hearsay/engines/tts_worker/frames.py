"""What goes over the socket between `speaking` and a process that speaks: kinds, lengths and bytes.

Knows no text and no sound. A frame is one byte that says its kind, four that say its length (little endian)
and so many bytes. Messages about something are JSON. Sound, `s16le`, does not go over the socket, which
would copy it twice: it lies in memory that both sides have, for each piece from the beginning, and frames
say where.
"""

from __future__ import annotations

import struct

START = b"s"
"""To the child, once: what to load (JSON); with it comes the descriptor of the memory for sound."""
READY = b"r"
"""From the child, once: what it loaded (JSON)."""
UTTERANCE = b"p"
"""To the child: text to be spoken, and how (JSON)."""
CANCEL = b"h"
"""To the child: nobody wants the rest of the piece any more; without meaning between pieces."""
AUDIO = b"a"
"""From the child: where some of the sound of the piece is (`PLACE`: its first byte, and how many)."""
FULL = b"w"
"""From the child: the memory is full; it goes on, at the beginning of it, once told that all was taken."""
TAKEN = b"t"
"""To the child, when told `FULL`: all sound was taken; without meaning between pieces."""
END = b"e"
"""From the child: that was all of the piece."""
SPENT = b"o"
"""From the child, instead of `END`: that was all of the piece, and it will say no other; it ends."""
FAILED = b"f"
"""From the child, instead of `READY` or `END`: why not (a sentence in UTF-8)."""

HEADER = struct.Struct("<cI")
PLACE = struct.Struct("<II")

ROOM_BYTES = 4 << 20
"""Memory for sound: a minute and a half at 22,050 Hz, and more than most pieces have."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """Return the bytes of one frame."""
    return HEADER.pack(kind, len(payload)) + payload


_MOST_BYTES = 1 << 20
"""In one frame; nobody has more to say, and whoever does is not to take our memory with it."""


class Frames:
    """Frames in bytes as they come."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> None:
        """Take some bytes."""
        self._held += data

    def take(self) -> tuple[bytes, bytes] | None:
        """Return kind and content of the next frame, None where it has not come yet.

        Raises: `ValueError` for one of more than a mebibyte.
        """
        if len(self._held) < HEADER.size:
            return None
        kind, length = HEADER.unpack_from(self._held)
        if length > _MOST_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        end = HEADER.size + length
        if len(self._held) < end:
            return None
        payload = bytes(self._held[HEADER.size : end])
        del self._held[:end]
        return kind, payload
