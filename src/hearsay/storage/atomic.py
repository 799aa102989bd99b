"""Atomic replacement of small text files.

Knows nothing about their content.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file with UTF-8 text in one step; creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the target's name, which may have the maximal length; unique per writer.
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
