"""The weights in a CTranslate2 model file by name, as numpy arrays.

Knows no network: names and shapes mean nothing here. Source: CTranslate2 `specs/model_spec.py` (`_serialize`
and `_quantize`), versions 5 and 6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hearsay.errors import ConfigurationError, DownloadFailed

_VERSIONS = (5, 6)
_SPECIFICATION = "WhisperSpec"

_TYPES = ("<f4", "<i1", "<i2", "<i4", "<f2", "<u2")
"""Formats by number; the last is bfloat16, which numpy lacks: the upper half of a float32."""

_BFLOAT16 = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one array lies in the file."""

    shape: tuple[int, ...]
    type: int
    """Number of its format: float32, int8, int16, int32, float16, bfloat16."""
    offset: int
    """Bytes from the start of the file."""
    n_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A matrix of integers, whose rows are divided by their scales."""

    values: NDArray[np.int8]
    """`int8[n_rows, ...]`."""
    scales: NDArray[np.float32]
    """`float32[n_rows]`."""


class Weights(Mapping[str, NDArray[np.float32]]):
    """Arrays of a `model.bin` by name, read when asked for from a memory-mapped file."""

    def __init__(self, path: Path) -> None:
        """Map a file. Raises `DownloadFailed` where it is cut short, `ConfigurationError` for other files."""
        self._entries = entries(path)
        self._bytes: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Return an array in float32; 8- and 16-bit integers are divided by their scale."""
        entry = self._entries[name]
        stored = self._stored(entry)
        if entry.type == _BFLOAT16:
            return (stored.astype(np.uint32) << 16).view(np.float32)
        values = stored.astype(np.float32)
        scale = self._entries.get(f"{name}_scale")
        if scale is not None:
            scales = self._stored(scale).astype(np.float32)
            values /= scales.reshape(*scales.shape, *[1] * (values.ndim - scales.ndim))
        return values

    def __iter__(self) -> Iterator[str]:
        """Iterate over all names, aliases included."""
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def quantized(self, name: str) -> Quantized | None:
        """Return a matrix as stored where that is in int8 with a scale for each row, without a copy."""
        entry, scale = self._entries[name], self._entries.get(f"{name}_scale")
        if scale is None or _TYPES[entry.type] != "<i1":
            return None
        return Quantized(self._stored(entry), self._stored(scale))

    def _stored(self, entry: Entry) -> NDArray[Any]:
        raw = self._bytes[entry.offset : entry.offset + entry.n_bytes]
        return np.asarray(raw).view(_TYPES[entry.type]).reshape(entry.shape)


def entries(path: Path) -> dict[str, Entry]:
    """Read where every array of a Whisper in CTranslate2's format lies; none of the numbers are read.

    Raises: `DownloadFailed` where the file is cut short, `ConfigurationError` where it is not a Whisper.
    """
    try:
        with path.open("rb") as file:
            return _walk(file, path.stat().st_size)
    except struct.error as error:
        raise DownloadFailed(f"{path} is cut short; download the model again.") from error


def is_whisper(path: Path) -> bool:
    """Return whether a file begins as a Whisper in CTranslate2's format does; no more of it is read."""
    try:
        with path.open("rb") as file:
            _read(file, "<I")
            return _text(file) == _SPECIFICATION
    except struct.error:
        return False


def _walk(file: BinaryIO, size: int) -> dict[str, Entry]:
    """Read every header, and skip the data. Raises `struct.error` at an early end."""
    (version,) = _read(file, "<I")
    if version not in _VERSIONS:
        raise ConfigurationError(
            f"{file.name} is not a CTranslate2 model, or from a release that is too new."
        )
    if _text(file) != _SPECIFICATION:
        raise ConfigurationError(f"{file.name} is a CTranslate2 model, but not a Whisper.")
    _revision, n_variables = _read(file, "<II")
    found: dict[str, Entry] = {}
    for _ in range(n_variables):
        name = _text(file)
        (rank,) = _read(file, "<B")
        shape = _read(file, f"<{rank}I")
        type_, n_bytes = _read(file, "<BI")
        if type_ >= len(_TYPES):
            raise ConfigurationError(f"{file.name} holds {name} in a format that is too new.")
        found[name] = Entry(shape, type_, file.tell(), n_bytes)
        if file.seek(n_bytes, 1) > size:
            raise struct.error(f"{name} is cut short")
    (n_aliases,) = _read(file, "<I")
    for _ in range(n_aliases):
        alias, target = _text(file), _text(file)
        found[alias] = found[target]
        if f"{target}_scale" in found:
            found[f"{alias}_scale"] = found[f"{target}_scale"]
    return found


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _text(file: BinaryIO) -> str:
    (length,) = _read(file, "<H")
    (text,) = struct.unpack(f"<{length}s", file.read(length))
    return bytes(text).rstrip(b"\0").decode(errors="replace")
