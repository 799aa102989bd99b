"""The recording that shows that a server works, and what is said in it.

Knows nothing about who transcribes it; `README.md` beside it tells how it was made.
"""

from __future__ import annotations

from pathlib import Path

HELLO = Path(__file__).with_name("hello.flac")
"""Six seconds of speech that every English engine should recognise, the embedded one word for word."""


def hello_text() -> str:
    """Read what is said in `HELLO`, as a person would write it."""
    return HELLO.with_suffix(".txt").read_text(encoding="utf-8").strip()
