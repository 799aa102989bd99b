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
PIECE = b"p"
"""To the child: text to be spoken, and how (JSON)."""
HUSH = b"h"
"""To the child: nobody wants the rest of the piece any more; without meaning between pieces."""
SOUND = b"a"
"""From the child: where some of the sound of the piece is (`PLACE`: its first byte, and how many)."""
FULL = b"w"
"""From the child: the memory is full; it goes on, at the beginning of it, once told that all was taken."""
TAKEN = b"t"
"""To the child, when told `FULL`: all sound was taken."""
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
    """Give the bytes of one frame."""
    return HEADER.pack(kind, len(payload)) + payload
