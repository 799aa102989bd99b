"""Atomic replacement of small files.

Knows nothing about their content.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file with UTF-8 text in one step; creates its folder."""
    with replacement(path, mode=mode) as file:
        file.write(text.encode())


@contextmanager
def replacement(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` at the end of the context, unless that raises; creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the target's name, which may have the maximal length; unique per writer.
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
