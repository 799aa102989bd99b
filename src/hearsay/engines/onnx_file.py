"""The metadata and the named float32 tensors of an ONNX file, read without a runtime.

Knows no model. A file is one protobuf message, `ModelProto` of `onnx.proto3` (github.com/onnx/onnx), in the
encoding that protobuf.dev describes. Fields that are not wanted are skipped unread, however large they are.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_GRAPH, _METADATA = 7, 14
"""Fields of `ModelProto`."""
_INITIALIZER = 5
"""Field of `GraphProto`."""
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
"""Fields of `TensorProto`."""
_KEY, _VALUE = 1, 2
"""Fields of `StringStringEntryProto`."""

_FLOAT = 1
"""`TensorProto.DataType.FLOAT`."""
_MOST_METADATA_BYTES = 1 << 20

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a model; entries of more than 1 MiB are left out.

    Raises: `OSError`, `ValueError` where the file is no protobuf message.
    """
    found: dict[str, str] = {}
    with path.open("rb") as file:
        for entry in _messages(file, _METADATA, _MOST_METADATA_BYTES):
            fields = dict(_fields(io.BytesIO(entry), {_KEY, _VALUE}))
            key, value = (_text(fields.get(field, b"")) for field in (_KEY, _VALUE))
            found[key] = value
    return found


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return every float32 tensor of a model by its name.

    Raises: `OSError`, `ValueError` where the file is no protobuf message, `KeyError` for a nameless tensor.
    """
    tensors = {}
    with path.open("rb") as file:
        graphs = list(_messages(file, _GRAPH))
    for tensor in (each for graph in graphs for each in _messages(io.BytesIO(graph), _INITIALIZER)):
        fields = list(_fields(io.BytesIO(tensor), {_DIMS, _DATA_TYPE, _NAME, _RAW_DATA}))
        if (_DATA_TYPE, _FLOAT) in fields:
            shape = [value for field, value in fields if field == _DIMS and isinstance(value, int)]
            data = {field: value for field, value in fields if isinstance(value, bytes)}
            values = np.frombuffer(data[_RAW_DATA], "<f4").astype(np.float32)
            tensors[_text(data[_NAME])] = values.reshape(shape)
    return tensors


def _messages(file: BinaryIO, wanted: int, most_bytes: int = sys.maxsize) -> Iterator[bytes]:
    return (value for _, value in _fields(file, {wanted}, most_bytes) if isinstance(value, bytes))


def _fields(
    file: BinaryIO, wanted: Collection[int], most_bytes: int = sys.maxsize
) -> Iterator[tuple[int, int | bytes]]:
    """Read a message to the end of its file: number and value of every wanted integer and string of bytes."""
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    while file.tell() < n_bytes:
        field, wire_type = divmod(_varint(file), 8)
        if wire_type == _VARINT:
            value = _varint(file)
            if field in wanted:
                yield field, value
            continue
        if wire_type not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError("it is no ONNX file")
        length = _varint(file) if wire_type == _BYTES else 8 if wire_type == _FIXED64 else 4
        if file.tell() + length > n_bytes:
            raise ValueError("it is cut off")
        if wire_type == _BYTES and field in wanted and length <= most_bytes:
            yield field, file.read(length)
        else:
            file.seek(length, io.SEEK_CUR)


def _varint(file: BinaryIO) -> int:
    """Read an integer of 7 bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no ONNX file")


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise ValueError("it is no ONNX file")
    return value.decode("utf-8", "replace")
