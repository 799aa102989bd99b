"""The sample recording and its reference text.

Knows no engine; `README.md` beside it documents its source.
"""

from __future__ import annotations

from pathlib import Path

HELLO = Path(__file__).with_name("hello.flac")
"""Six seconds of English speech; the embedded engine recognises every word."""


def hello_text() -> str:
    """Return the reference text of `HELLO`, with punctuation."""
    return HELLO.with_suffix(".txt").read_text(encoding="utf-8").strip()
