"""Exact bytes that the server sends, one file each; `pytest --update-golden` writes them anew."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Golden:
    """Compares bytes with files, or writes the files."""

    update: bool = False

    def check(self, name: str, found: bytes) -> None:
        """Compare with the file `name`, request ids made equal."""
        found = re.sub(rb"req_[0-9a-f]{32}", b"req_0", found)
        path = FOLDER / name
        if self.update:
            path.write_bytes(found)
        wanted = path.read_bytes() if path.exists() else b""
        if found != wanted:
            lines = difflib.unified_diff(
                wanted.decode().splitlines(), found.decode().splitlines(), lineterm=""
            )
            pytest.fail(f"{name} differs; --update-golden takes the new one:\n" + "\n".join(lines))
