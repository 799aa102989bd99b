"""Silero's network in NumPy: what it reads of ONNX files, and that it computes what OpenVINO does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hearsay.engines import openvino_runtime
from hearsay.engines.silero import detector as silero
from hearsay.engines.silero.numpy_network import read_weights


def field(number: int, value: bytes | int) -> bytes:
    """Write a field as protobuf does."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def tensor(name: str, shape: tuple[int, ...], data_type: int, raw: bytes) -> bytes:
    dims = b"".join(field(1, n) for n in shape)
    return field(5, dims + field(2, data_type) + field(8, name.encode()) + field(9, raw))


def test_tensors_of_float32_are_read_by_name(tmp_path: Path) -> None:
    values = np.arange(300, dtype="<f4").reshape(2, 150)
    graph = field(2, b"a name") + tensor("w", (2, 150), 1, values.tobytes()) + tensor("n", (1,), 7, bytes(8))
    (tmp_path / "net.onnx").write_bytes(field(1, 8) + b"\x0d\x00\x00\x80\x3f" + field(7, graph))
    (found,) = read_weights(tmp_path / "net.onnx").items()
    assert found[0] == "w"
    np.testing.assert_array_equal(found[1], values)


@pytest.mark.parametrize(
    "content",
    [
        b"\x3b",
        b"\x3a\xff",
        b"\xff",
        field(7, tensor("w", (2, 2), 1, bytes(4))),
        field(7, tensor("w", (2,), 1, bytes(7))),
    ],
)
def test_what_is_no_onnx_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ValueError):
        read_weights(tmp_path / "net.onnx")


@pytest.mark.skipif(not openvino_runtime.is_usable(), reason="OpenVINO cannot compute on this machine")
@pytest.mark.parametrize("loudness", [0.0, 1e-3, 0.1, 1.0, 100.0])
def test_it_computes_what_openvino_does_at_any_loudness(loudness: float) -> None:
    noise = np.random.default_rng(7).standard_normal(70_000).astype(np.float32) * np.float32(loudness)
    found = silero.load_numpy().open().feed(noise)
    np.testing.assert_allclose(found, silero.load_openvino().open().feed(noise), atol=1e-3)
