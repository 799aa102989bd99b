"""Command-line arguments → recordings to read: files, folders, URLs, standard input.

Knows neither engines nor outputs. Files in a folder are selected by suffix; a file given by name is always
tried.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from hearsay.errors import FetchFailed, InvalidAudio

SUFFIXES = frozenset(
    f".{name}"
    for names in (
        "3gp aac ac3 aif aiff amr ape au avi caf flac flv m4a m4b m4v mka mkv mov mp2 mp3 mp4 mpeg mpg mpga",
        "oga ogg ogv opus ts wav weba webm wma wmv wv",
    )
    for name in names.split()
)
"""Suffixes of recordings in folders."""

STDIN = "-"

MAX_FETCH_BYTES = 4 * 1024**3
"""Largest download."""
MAX_FETCH_SECONDS = 3600.0
"""Longest download."""
_READ_SECONDS = 30.0
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """One recording of the command line."""

    label: str
    """Name in messages."""
    path: Path | None
    """None for a URL or standard input."""
    url: str | None
    output_path: PurePosixPath
    """Path of the output below the output folder: the file's name, or its path below a folder argument."""

    @property
    def default_folder(self) -> Path:
        """Folder of the output where none is given."""
        return self.path.parent if self.path is not None else Path()


def collect(arguments: Sequence[str], *, recursive: bool) -> list[Source]:
    """Return the recordings in order, with folders expanded and duplicates dropped.

    Raises: `InvalidAudio` for a folder that is unreadable or without recordings; unreadable files and inner
    folders raise when they are opened.
    """
    found: dict[object, Source] = {}
    for argument in arguments:
        for source in _expand(argument, recursive):
            # Path.resolve() fails on circular links, which opening reports.
            found.setdefault(os.path.realpath(source.path) if source.path else source.label, source)
    return list(found.values())


def _expand(argument: str, recursive: bool) -> list[Source]:
    if argument == STDIN:
        return [Source("standard input", None, None, PurePosixPath("stdin"))]
    if argument.lower().startswith(("http://", "https://")):
        return [Source(argument, None, argument, PurePosixPath(_url_name(argument)))]
    path = Path(argument)
    if not is_folder(path):
        return [Source(_printable(argument), path, None, PurePosixPath(path.name))]
    chosen = sorted(_recordings(path, recursive))
    if path in chosen:
        raise InvalidAudio(f"The folder {argument} cannot be looked into.")
    if not chosen:
        inside = any(is_folder(child) for child in path.iterdir())
        hint = " Look into its folders too with --recursive." if inside and not recursive else ""
        raise InvalidAudio(f"There is no recording in the folder {argument}.{hint}")
    return [
        Source(_printable(str(f)), f, None, PurePosixPath(f.relative_to(path).as_posix())) for f in chosen
    ]


def is_folder(path: Path) -> bool:
    """Return whether the path is a folder; False where permissions hide it, which opening reports."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _recordings(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield the recordings in a folder, and unreadable folders, which fail when they are opened."""
    unreadable: list[Path] = []
    for output_path, folders, names in os.walk(
        folder, onerror=lambda error: unreadable.append(Path(error.filename))
    ):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        yield from (Path(output_path, name) for name in names if _is_recording(Path(output_path, name)))
    yield from unreadable


def _is_recording(file: Path) -> bool:
    return not file.name.startswith(".") and file.suffix.lower() in SUFFIXES and file.is_file()


def _printable(name: str) -> str:
    """Return a file name with bytes that are not valid text escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _url_name(url: str) -> str:
    address = urlsplit(url)
    name = unquote(address.path).rstrip("/").rpartition("/")[2].replace("\\", "_").replace("\0", "_")
    return name if name not in ("", ".", "..") else (address.hostname or "recording")


@contextmanager
def open_source(source: Source) -> Iterator[Path]:
    """Yield a path at which the recording can be read; a temporary copy is deleted afterwards.

    Raises: `InvalidAudio` for a file that is missing or unreadable, `FetchFailed` for a URL.
    """
    if source.path is not None and _is_seekable(source.path):
        yield source.path
        return
    with tempfile.TemporaryDirectory(prefix="hearsay-") as folder:
        path = Path(folder) / f"recording{source.output_path.suffix[:8]}"
        with path.open("wb") as file:
            if source.url is not None:
                _fetch(source.url, file)
            elif source.path is not None:
                with source.path.open("rb") as pipe:
                    shutil.copyfileobj(pipe, file, _BLOCK)
            else:
                shutil.copyfileobj(sys.stdin.buffer, file, _BLOCK)
        yield path


def _is_seekable(path: Path) -> bool:
    """Return whether decoders can seek in a file, unlike in `<(command)`. Raises: `InvalidAudio`."""
    try:
        if path.is_fifo():
            return False
        with path.open("rb"):
            return True
    except OSError as error:
        raise InvalidAudio(f"It cannot be read: {error.strerror}.") from error


def _fetch(url: str, into: IO[bytes]) -> None:
    """Download a URL of the command line: as trusted as a local file, but limited in size and time."""
    import httpx

    n_bytes, begun = 0, time.monotonic()
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_READ_SECONDS) as answer:
            if not answer.is_success:
                raise FetchFailed(f"It cannot be fetched: {answer.status_code} {answer.reason_phrase}.")
            for block in answer.iter_bytes(_BLOCK):
                n_bytes += len(block)
                if n_bytes > MAX_FETCH_BYTES:
                    raise FetchFailed(f"It is larger than {MAX_FETCH_BYTES >> 30} GB.")
                if time.monotonic() - begun > MAX_FETCH_SECONDS:
                    raise FetchFailed(f"Fetching it takes longer than {MAX_FETCH_SECONDS / 60:.0f} minutes.")
                into.write(block)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchFailed(f"It cannot be fetched: {error or type(error).__name__}.") from error
    except (ImportError, ValueError) as error:
        text = f"It cannot be fetched: the proxy that the environment names cannot be used: {error}"
        raise FetchFailed(text) from error
