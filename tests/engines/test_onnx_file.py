"""Metadata and tensors are read from real ONNX files, and nonsense is refused and read no further."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.engines.onnx_file import read_metadata, read_tensors
from tests.support.paths import DATA

TOYS = DATA
KOKORO = TOYS / "toy-kokoro" / "model.onnx"


def test_reads_what_the_toys_say_of_themselves() -> None:
    found = read_metadata(KOKORO)
    assert found["model_type"] == "kokoro"
    assert found["sample_rate"] == "24000"
    assert found["speaker_names"] == "af_heart,bm_george,ef_dora,jf_alpha"
    assert read_metadata(TOYS / "toy-piper" / "de_DE-toy-low.onnx") == {}


def test_passes_over_data_without_reading_them(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    with model.open("wb") as file:  # field 7, the graph: 8 GB of nothing, which takes no space on the disk
        file.write(b"\x3a\x80\x80\x80\x80\x20")
        file.seek(1 << 33, 1)
        file.write(b"\x72\x08\x0a\x01a\x12\x03xyz")
    assert read_metadata(model) == {"a": "xyz"}


@pytest.mark.parametrize("n_bytes", [1, 30, 500])
def test_refuses_a_file_that_is_cut_off(tmp_path: Path, n_bytes: int) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(KOKORO.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match="cut off"):
        read_metadata(cut)


def test_refuses_a_page_in_place_of_a_model(tmp_path: Path) -> None:
    page = tmp_path / "model.onnx"
    page.write_bytes(b"<!DOCTYPE html><html><body>Not found</body></html>")
    with pytest.raises(ValueError, match=r"cut off|no ONNX"):
        read_metadata(page)


@given(st.binary(max_size=200))
def test_survives_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.onnx"
    file.write_bytes(data)
    try:
        found = read_metadata(file)
    except ValueError:
        return
    assert all(isinstance(text, str) for pair in found.items() for text in pair)


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
    (found,) = read_tensors(tmp_path / "net.onnx").items()
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
        read_tensors(tmp_path / "net.onnx")
