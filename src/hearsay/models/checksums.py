"""Checksums of weights: what the files of a folder must be, and whether they are intact.

Knows neither the hub nor any engine, and loads nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearsay.storage.atomic import write_atomically

MANIFEST = "hearsay.json"
"""File in every folder that was downloaded: repository, revision and the expected files."""

_BLOCK = 1 << 20
_HEX = {40: "git", 64: "sha256"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What one file must be."""

    name: str
    size: int | None
    digest: str | None
    """Hexadecimal SHA-256 (64 digits), or git's SHA-1 of a blob (40 digits); None where nothing is known."""


def expected_files(folder: Path) -> list[Expected]:
    """Return what a folder's files must be: from its manifest, or from the blob names of the hub's cache."""
    manifest = read_manifest(folder)
    if manifest is not None:
        return [Expected(name, file["size"], file["digest"]) for name, file in manifest["files"].items()]
    found = []
    for file in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        blob = file.resolve().name if file.is_symlink() else ""
        digest = blob if len(blob) in _HEX and re.fullmatch(r"[0-9a-f]+", blob) else None
        found.append(Expected(file.relative_to(folder).as_posix(), None, digest))
    return found


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read the manifest that a download leaves behind; None in other folders."""
    try:
        return parse_manifest((folder / MANIFEST).read_bytes())
    except OSError:
        return None


def parse_manifest(text: bytes) -> dict[str, Any] | None:
    """Parse a manifest; None for what is none."""
    try:
        manifest = json.loads(text)
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


def digest_of(path: Path, kind: str) -> str:
    """Compute a file's digest in hexadecimal; `kind` is `sha256`, or `git` for its id as a blob of git."""
    digest = hashlib.sha256()
    if kind == "git":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_intact(path: Path, expected: Expected) -> bool:
    """Return whether a file is there and is what it must be, by size and checksum."""
    if not path.is_file() or (expected.size is not None and path.stat().st_size != expected.size):
        return False
    return expected.digest is None or digest_of(path, _HEX[len(expected.digest)]) == expected.digest


class Checks:
    """The record of files that were found intact, so that gigabytes are hashed once, not at every start."""

    def __init__(self, path: Path) -> None:
        """Keep the record in a file of JSON."""
        self._path = path

    def damaged(
        self,
        folder: Path,
        look: Callable[[Path], Iterable[str]] = lambda folder: (),
        *,
        thorough: bool = False,
    ) -> list[str]:
        """Return what is wrong with a folder's files, one sentence each; empty when all is well.

        A file that was intact and kept its size and time of change is trusted, unless `thorough`. `look`
        returns what shows without checksums; it is called for folders that have no manifest.
        """
        problems = list(look(folder)) if read_manifest(folder) is None else []
        passed = self._read()
        before = dict(passed)
        for expected in expected_files(folder):
            problem = self._check(folder / expected.name, expected, {} if thorough else passed, passed)
            problems += [problem] if problem else []
        if passed != before:
            self._write(passed)
        return problems

    def _check(
        self, path: Path, expected: Expected, trusted: dict[str, list[Any]], passed: dict[str, list[Any]]
    ) -> str | None:
        if not path.is_file():
            return f"{expected.name} is missing."
        real = path.resolve()
        state = real.stat()
        if expected.size is not None and state.st_size != expected.size:
            return f"{expected.name} has {state.st_size} bytes instead of {expected.size}."
        stamp = [state.st_size, state.st_mtime_ns, expected.digest]
        if expected.digest is None or trusted.get(str(real)) == stamp:
            return None
        if digest_of(real, _HEX[len(expected.digest)]) != expected.digest:
            passed.pop(str(real), None)
            return f"{expected.name} has changed since it was published (its checksum is wrong)."
        passed[str(real)] = stamp
        return None

    def _read(self) -> dict[str, list[Any]]:
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, passed: dict[str, list[Any]]) -> None:
        # A read-only models folder costs a hash at every start, nothing else.
        with suppress(OSError):
            write_atomically(self._path, json.dumps({k: v for k, v in passed.items() if Path(k).exists()}))
