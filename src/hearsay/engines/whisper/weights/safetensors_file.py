"""Weights in the safetensors format, read without PyTorch.

Knows no model. The format is eight bytes of length, a header of JSON, then raw numbers; the library of the
same name cannot give numpy the bfloat16 of many fine-tuned models. Source: huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.errors import ConfigurationError, DownloadFailed

_TYPES: dict[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_LARGEST_HEADER = 100_000_000


class Tensors(Mapping[str, NDArray[np.floating[Any]]]):
    """The tensors of one or several files by name, read when asked for; bfloat16 becomes float32."""

    def __init__(self, *paths: Path) -> None:
        """Open files. Raises `DownloadFailed` where one is missing, damaged or cut short."""
        self._entries: dict[str, tuple[Path, int, dict[str, Any]]] = {}
        for path in paths:
            begin, header = _header(path)
            size = path.stat().st_size - begin
            for name, entry in header.items():
                if name != "__metadata__":
                    if entry["data_offsets"][1] > size:
                        raise DownloadFailed(f"{path} is cut short; download the model again.")
                    self._entries[name] = (path, begin, entry)

    def __getitem__(self, name: str) -> NDArray[np.floating[Any]]:
        """Read one tensor. Raises `KeyError` where there is none, `ConfigurationError` for integers."""
        path, begin, entry = self._entries[name]
        if entry["dtype"] not in _TYPES:
            raise ConfigurationError(
                f"{path}: {name} is {entry['dtype']}; quantized weights cannot be converted."
            )
        first, last = entry["data_offsets"]
        raw = np.fromfile(path, np.uint8, last - first, offset=begin + first).view(_TYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            raw = (raw.astype("<u4") << 16).view("<f4")
        return raw.reshape(entry["shape"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def is_single_precision(self) -> bool:
        """Return whether any tensor has more precision than 16 bits."""
        return any(entry["dtype"] in ("F64", "F32") for _, _, entry in self._entries.values())


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Read a header: where the numbers begin, and the entry of each tensor."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LARGEST_HEADER:
                raise ValueError("its header is impossibly long")
            return 8 + length, dict(json.loads(file.read(length)))
    except FileNotFoundError as error:
        raise DownloadFailed(f"There is no {path}; the download is not complete.") from error
    except (OSError, ValueError, struct.error) as error:
        raise DownloadFailed(f"{path} is damaged ({error}); download the model again.") from error
