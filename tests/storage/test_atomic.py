"""Small files are replaced whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from hearsay.storage.atomic import write_atomically


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


def test_names_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomically(path, "text")
    assert path.read_text(encoding="utf-8") == "text"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_do_not_write_into_each_others_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, begun, go_on = tmp_path / "f", threading.Event(), threading.Event()
    real = os.fsync

    def slow(descriptor: int) -> None:
        real(descriptor)
        if threading.current_thread() is first:
            begun.set()
            assert go_on.wait(30)

    monkeypatch.setattr(os, "fsync", slow)
    first = threading.Thread(target=write_atomically, args=(path, "one"))
    first.start()
    assert begun.wait(30)
    write_atomically(path, "two")
    assert path.read_text(encoding="utf-8") == "two"
    go_on.set()
    first.join()
    assert path.read_text(encoding="utf-8") == "one"
    assert list(tmp_path.iterdir()) == [path]
