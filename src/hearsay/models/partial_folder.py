"""The folder in which a model's files are collected until all are there and right.

Knows neither hub, index nor archive. A folder gets its name when it is complete; in one that has its name
already, damaged files are replaced.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hearsay.errors import DownloadFailed, StorageFailed
from hearsay.models.checksums import MANIFEST, Expected, is_intact
from hearsay.storage.atomic import write_atomically

PARTIAL = ".partial"
"""Suffix of the name of a file that is not complete."""

BLOCK = 1 << 18

_RESERVE_BYTES = 64 << 20
_UNSAFE = frozenset("\\:\0")
"""Characters that Windows reads as a folder, a drive or a stream, and the zero, which no file name holds."""

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived and the bytes in all."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the files of a model must be."""

    name: str
    """What is named in errors: a repository of the hub, or a model."""
    repository: str | None
    """Where they are on the hub; None for what is not there."""
    revision: str | None
    """Which state of the repository they are; None where that is not known."""
    files: Sequence[Expected]


def partial_folder(folder: Path) -> Path:
    """Return the folder in which a download to `folder` collects its files."""
    return folder.with_name(f"{folder.name}.part")


def wheels_folder(folder: Path) -> Path:
    """Return the folder for the wheels of a download to `folder`."""
    return folder.with_name(f"{folder.name}.wheels")


def leftovers(folder: Path) -> list[Path]:
    """Return the folders that an unfinished download to `folder` has left."""
    return [each for each in (partial_folder(folder), wheels_folder(folder)) if each.is_dir()]


def open_target(folder: Path) -> Path:
    """Return the folder to write to: the complete one if there is one, else the partial one, which exists."""
    target = folder if folder.is_dir() else partial_folder(folder)
    target.mkdir(parents=True, exist_ok=True)
    return target


def finish(target: Path, folder: Path, contents: Contents) -> None:
    """Write the manifest, give the folder its name, and remove what was needed to fill it."""
    listed = {file.name: asdict(file) for file in contents.files}
    manifest = {"repository": contents.repository, "revision": contents.revision, "files": listed}
    write_atomically(target / MANIFEST, json.dumps(manifest, indent=1))
    if target != folder:
        target.rename(folder)
    for each in leftovers(folder):
        shutil.rmtree(each)


def collect(
    folder: Path, contents: Contents, blocks: Callable[[str], Iterator[bytes]], progress: Progress
) -> None:
    """Fill a model's folder with files that are on this machine; `blocks` reads the one of a name.

    Files that are there and right already are kept, others are checked while they are in the partial folder.
    Raises: `DownloadFailed` for a file that is not what it must be, `StorageFailed`.
    """
    with storing(contents.name, folder):
        target = open_target(folder)
        missing = [file for file in contents.files if not is_intact(target / file.name, file)]
        check_space(target, sum(file.size or 0 for file in missing))
        total = sum(file.size or 0 for file in contents.files)
        done = total - sum(file.size or 0 for file in missing)
        for file in missing:
            partial = target / f"{file.name}{PARTIAL}"
            partial.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as out:
                for block in blocks(file.name):
                    out.write(block)
                    done += len(block)
                    progress(min(done, total), total)
            if not is_intact(partial, file):
                partial.unlink()
                raise DownloadFailed(f"{file.name} is not the file it should be (wrong size or checksum).")
            partial.replace(target / file.name)
        finish(target, folder, contents)
    progress(total, total)


@contextmanager
def storing(what: str, folder: Path) -> Iterator[None]:
    """Translate errors of the file system, in a sentence that begins with `what`. Raises: `StorageFailed`."""
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"{what} could not be stored in {folder.parent}: {error}") from error


def check_space(target: Path, n_bytes: int) -> None:
    """Check that so many bytes can be stored in a folder. Raises: `StorageFailed`."""
    free = shutil.disk_usage(target).free
    if n_bytes and free < n_bytes + _RESERVE_BYTES:
        raise StorageFailed(f"{target} has {free / 1e9:.1f} GB free; {n_bytes / 1e9:.1f} GB are needed.")


def is_safe(name: str, reserved: Collection[str] = ()) -> bool:
    """Return whether a file of that name stays within its folder on any system, and is not reserved."""
    parts = name.split("/")
    return (
        not _UNSAFE.intersection(name)
        and all(part.strip(". ") for part in parts)
        and not any(part in reserved for part in parts)
    )


def is_storable(name: str) -> bool:
    """Return whether a model's file may have that name."""
    return is_safe(name, reserved={MANIFEST}) and not name.endswith(PARTIAL)
