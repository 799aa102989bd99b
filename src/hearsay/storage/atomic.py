"""Replacing small text files such that no reader ever sees half of one.

Knows nothing about what is in them.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file with UTF-8 text, in one step; makes its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # No part of the target's name, which may be as long as names can be; no other writer's file.
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
