"""What goes over the socket between `speaking` and a process that speaks: kinds, lengths and bytes.

Knows no text and no sound. A frame is one byte that says its kind, four that say its length (little endian)
and so many bytes. Messages about something are JSON; sound is `s16le`.
"""

from __future__ import annotations

import struct

START = b"s"
"""To the child, once: what to load (JSON)."""
READY = b"r"
"""From the child, once: what it loaded (JSON)."""
PIECE = b"p"
"""To the child: text to be spoken, and how (JSON)."""
HUSH = b"h"
"""To the child: nobody wants the rest of the piece any more; without meaning between pieces."""
SOUND = b"a"
"""From the child: some of the sound of the piece."""
END = b"e"
"""From the child: that was all of the piece."""
SPENT = b"o"
"""From the child, instead of `END`: that was all of the piece, and it will say no other; it ends."""
FAILED = b"f"
"""From the child, instead of `READY` or `END`: why not (a sentence in UTF-8)."""

HEADER = struct.Struct("<cI")


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """Give the bytes of one frame."""
    return HEADER.pack(kind, len(payload)) + payload
