"""What an ONNX file says of itself, read without loading it, however large it is.

Knows no model. A model file is one protobuf message, `ModelProto` of onnx.proto3, whose field 14
(`metadata_props`) holds pairs of a key (field 1) and a value (field 2); everything else is skipped unread.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_METADATA = 14
_MOST_BYTES = 1 << 20
"""A longer entry is no fact but data."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def facts(path: Path) -> dict[str, str]:
    """Return the metadata of a model.

    Raises: `OSError`, `ValueError` where the file is no protobuf message.
    """
    found: dict[str, str] = {}
    with path.open("rb") as file:
        n_bytes = path.stat().st_size
        while file.tell() < n_bytes:
            field, kind = divmod(_varint(file), 8)
            if kind == _BYTES:
                length = _varint(file)
                if file.tell() + length > n_bytes:
                    raise ValueError("it is cut off")
                if field == _METADATA and length <= _MOST_BYTES:
                    key, value = _pair(file.read(length))
                    found[key] = value
                else:
                    file.seek(length, 1)
            elif kind in (_FIXED64, _FIXED32):
                file.seek(8 if kind == _FIXED64 else 4, 1)
            elif kind == _VARINT:
                _varint(file)
            else:
                raise ValueError("it is no ONNX file")
    return found


def _pair(entry: bytes) -> tuple[str, str]:
    texts = {1: "", 2: ""}
    position = 0
    while position < len(entry):
        tag, position = _varint_in(entry, position)
        length, position = _varint_in(entry, position)
        if tag % 8 != _BYTES or position + length > len(entry):
            raise ValueError("it is no ONNX file")
        texts[tag // 8] = entry[position : position + length].decode("utf-8", "replace")
        position += length
    return texts[1], texts[2]


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no ONNX file")


def _varint_in(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("it is no ONNX file")
