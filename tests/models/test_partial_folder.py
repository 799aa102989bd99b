"""Collecting the files of a model: what is kept, what is checked, and which names a file may have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.errors import DownloadFailed, StorageFailed
from hearsay.models.checksums import MANIFEST, Expected, read_manifest
from hearsay.models.partial_folder import (
    Contents,
    collect,
    is_safe,
    is_storable,
    leftovers,
    partial_folder,
    wheels_folder,
)

FILES = {"config.json": b"{}", "data/model.bin": bytes(range(256)) * 1000}
CONTENTS = Contents(
    "toy",
    "somebody/toy",
    "abc",
    [Expected(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in FILES.items()],
)


class Source:
    """Reads files in blocks, and remembers which."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.read: list[str] = []

    def blocks(self, name: str) -> Iterator[bytes]:
        self.read.append(name)
        for begin in range(0, len(self.files[name]), 10_000):
            yield self.files[name][begin : begin + 10_000]


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    folder, told = tmp_path / "models" / "toy", list[tuple[int, int]]()
    wheels_folder(folder).mkdir(parents=True)
    collect(folder, CONTENTS, Source(FILES).blocks, lambda done, total: told.append((done, total)))
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    manifest = read_manifest(folder)
    assert manifest is not None and (manifest["repository"], manifest["revision"]) == ("somebody/toy", "abc")
    assert leftovers(folder) == []
    total = sum(map(len, FILES.values()))
    assert told == sorted(told) and told[-1] == (total, total)


def test_what_is_there_is_not_read_again(tmp_path: Path) -> None:
    folder, source = tmp_path / "toy", Source(FILES)

    def stop(done: int, total: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(folder, CONTENTS, source.blocks, stop)
    assert not folder.exists() and leftovers(folder) == [partial_folder(folder)]
    collect(folder, CONTENTS, source.blocks, lambda done, total: None)
    assert source.read == ["config.json", "data/model.bin", "data/model.bin"]
    (folder / "config.json").write_bytes(b"[]")
    collect(folder, CONTENTS, source.blocks, lambda done, total: None)
    assert source.read[3:] == ["config.json"] and (folder / "config.json").read_bytes() == b"{}"


def test_a_wrong_file_is_never_stored_under_its_name(tmp_path: Path) -> None:
    source = Source(FILES | {"data/model.bin": FILES["data/model.bin"][:-1] + b"x"})
    with pytest.raises(DownloadFailed, match=r"data/model\.bin is not the file it should be"):
        collect(tmp_path / "toy", CONTENTS, source.blocks, lambda done, total: None)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["config.json"]


def test_a_disk_without_room_or_right_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(StorageFailed, match="toy could not be stored in"):
        collect(tmp_path / "file" / "toy", CONTENTS, Source(FILES).blocks, lambda done, total: None)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(StorageFailed, match="GB free"):
        collect(tmp_path / "toy", CONTENTS, Source(FILES).blocks, lambda done, total: None)


def test_names_of_ours_are_no_names_of_files() -> None:
    assert is_storable("data/model.bin")
    assert not is_storable(f"data/{MANIFEST}") and not is_storable("model.bin.partial")


@pytest.mark.parametrize("name", ["config.json", "a/b/c", "voices/!v/Mr serious", ".gitattributes", "a..b/c"])
def test_plain_names_are_safe(name: str) -> None:
    assert is_safe(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        ".",
        "a//b",
        "a/",
        "a\\..\\b",
        "C:x",
        "a/b:c",
        "a\0b",
        "... /x",
    ],
)
def test_names_that_leave_the_folder_are_not_safe(name: str) -> None:
    assert not is_safe(name)


def test_our_own_names_are_reserved_everywhere() -> None:
    assert not is_safe("hearsay.json", {"hearsay.json"}) and not is_safe("a/hearsay.json", {"hearsay.json"})


@given(st.text("ab./\\: \0", max_size=12))
def test_a_safe_name_is_below_its_folder_everywhere(name: str) -> None:
    if is_safe(name):
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(name)
            assert not path.is_absolute() and not path.drive and ".." not in path.parts
            assert len(path.parts) == name.count("/") + 1
