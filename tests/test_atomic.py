"""Small files are replaced whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hearsay.atomic import write_atomically


def test_writes_reads_back_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, "grüße", mode=0o600)
    assert path.read_text(encoding="utf-8") == "grüße"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_atomically(path, "x")
    assert path.read_text(encoding="utf-8") == "x"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_failure_leaves_the_old_file_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
