"""A transcript to render, and the check of a body against its shape.

Knows no dialect.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from hearsay.domain import Segment, Task, Transcript, Word

WORDS = (Word(0.12345, 0.5, " Hello", 0.9), Word(0.5, 0.9996, " world."))
KNOWN = Segment(0.1234567, 1.0, " Hello world.", WORDS, (1, 2), 0, 0.2, -0.25, 1.1, 0.01)
BARE = Segment(1.0, 2.0, " Again.", words=())


def transcript(**changes: Any) -> Transcript:
    """Return a transcript of two segments, one of which has no metadata."""
    made: dict[str, Any] = {
        "text": "Hello world. Again.",
        "segments": (KNOWN, BARE),
        "language": "en",
        "duration": 2.0004,
        "task": Task.TRANSCRIBE,
        "model": "fake",
    }
    return Transcript(**(made | changes))


def fits(shape: Any, body: Any) -> bool:
    """Check a body against its own description, strictly."""
    TypeAdapter(shape).validate_python(body, strict=True, extra="forbid")
    return True
