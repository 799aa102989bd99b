"""The registry's table of engines, changed for a test.

Knows no test.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hearsay.engines import registry


def replace_engine(
    monkeypatch: pytest.MonkeyPatch, name: str, *, files: dict[str, Any] | None = None, **changes: Any
) -> None:
    """Change fields of one engine's record, and fields of its `files`."""
    (engine,) = (each for each in registry.ENGINES if each.name == name)
    if files and engine.files:
        changes["files"] = replace(engine.files, **files)
    changed = replace(engine, **changes)
    table = tuple(changed if each is engine else each for each in registry.ENGINES)
    monkeypatch.setattr(registry, "ENGINES", table)
