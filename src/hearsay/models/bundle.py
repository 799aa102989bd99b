"""Models as files for sites without a network: a tar archive or a folder, with checksums.

Knows neither engines nor the network. A bundle holds one folder: the manifest, and the files that it names.
Nothing is unpacked by `tarfile` itself: only regular files that the manifest names are read, one by one, into
the models folder, so that links, devices and names that lead elsewhere cannot do anything.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from hearsay.errors import ConfigurationError
from hearsay.models.checksums import (
    MANIFEST,
    Expected,
    digest_of,
    expected_files,
    parse_manifest,
    read_manifest,
)
from hearsay.models.partial_folder import BLOCK, Contents, Progress, is_safe, is_storable
from hearsay.storage.atomic import replacement

_MANIFEST_BYTES = 4 << 20
"""The most that a manifest may weigh."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive or folder that is open for reading."""

    name: str
    """Name of its folder."""
    contents: Contents
    blocks: Callable[[str], Iterator[bytes]]
    """Read the file of a name."""


def export(folder: Path, name: str, repository: str | None, path: Path, progress: Progress) -> None:
    """Write a model's folder to an archive that `open_bundle` reads; `name` is that of the folder in it.

    Raises: `ConfigurationError` where the archive cannot be written.
    """
    manifest = read_manifest(folder) or {"repository": repository, "revision": None}
    files = _files(folder)
    manifest["files"] = {file.name: asdict(file) for file in files}
    total, done = sum(file.size or 0 for file in files), 0

    def report(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        progress(done, total)

    try:
        with replacement(path) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            written = json.dumps(manifest, indent=1).encode()
            tar.addfile(_entry(f"{name}/{MANIFEST}", len(written)), io.BytesIO(written))
            for file in files:
                with (folder / file.name).open("rb") as content:
                    tar.addfile(_entry(f"{name}/{file.name}", file.size or 0), _Counting(content, report))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error}") from error


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open an archive that `export` has written, or a folder with a model.

    Raises: `ConfigurationError` where it cannot be read or holds no model.
    """
    try:
        if path.is_dir():
            yield _folder(path)
            return
        with tarfile.open(path, "r:*") as tar:
            yield _archive(path, tar)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise ConfigurationError(f"{path} cannot be read as a bundle (a tar archive): {error}") from error


def _folder(path: Path) -> Bundle:
    manifest = read_manifest(path) or {}
    contents = Contents(str(path), manifest.get("repository"), manifest.get("revision"), _files(path))
    return Bundle(path.resolve().name, contents, lambda wanted: _blocks((path / wanted).open("rb")))


def _files(folder: Path) -> list[Expected]:
    """Return the files of a folder but hidden ones; those of which nothing is known, as they are now."""
    visible = [
        file
        for file in expected_files(folder)
        if is_storable(file.name) and not any(part.startswith(".") for part in file.name.split("/"))
    ]
    return [
        Expected(
            file.name,
            (folder / file.name).stat().st_size if file.size is None else file.size,
            file.digest or digest_of(folder / file.name, "sha256"),
        )
        for file in visible
    ]


def _entry(name: str, n_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = n_bytes
    return entry


class _Counting:
    """A file that reports how many bytes are read from it."""

    def __init__(self, file: IO[bytes], report: Callable[[int], None]) -> None:
        self._file, self._report = file, report

    def read(self, n_bytes: int = -1, /) -> bytes:
        block = self._file.read(n_bytes)
        self._report(len(block))
        return block


def _archive(path: Path, tar: tarfile.TarFile) -> Bundle:
    """Read the names of an archive and its manifest. Raises: `ConfigurationError`, `tarfile.TarError`."""
    members = {member.name.removeprefix("./"): member for member in tar if not member.isdir()}
    folders = {name.partition("/")[0] for name in members}
    for name, member in members.items():
        if not member.isreg() or not is_safe(name) or "/" not in name:
            raise ConfigurationError(f"{path} holds {name!r}, which no bundle does; nothing was imported.")
    top = folders.pop() if len(folders) == 1 else ""
    listed = members.get(f"{top}/{MANIFEST}")
    if listed is None or listed.size > _MANIFEST_BYTES:
        raise ConfigurationError(f"{path} is no bundle: `hearsay models export` makes one.")
    manifest = parse_manifest(_read(tar, listed))
    if manifest is None:
        raise ConfigurationError(f"{path} is no bundle: its {MANIFEST} cannot be read.")
    try:
        files = [Expected(name, int(of["size"]), str(of["digest"])) for name, of in manifest["files"].items()]
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigurationError(f"{path} is no bundle: its {MANIFEST} cannot be read.") from error
    for file in files:
        stored = members.get(f"{top}/{file.name}")
        known = is_storable(file.name) and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", file.digest or "")
        if not known or stored is None or stored.size != file.size:
            raise ConfigurationError(f"{path} is incomplete or not a bundle: see {file.name!r} in it.")
    contents = Contents(str(path), manifest.get("repository"), manifest.get("revision"), files)
    return Bundle(top, contents, lambda wanted: _blocks(_extracted(tar, members[f"{top}/{wanted}"])))


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _extracted(tar, member) as file:
        return file.read()


def _extracted(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None, "regular files only"
    return file


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(BLOCK):
            yield block
