"""The safetensors format: every float type, several files, and no trust in what a file says about itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines.whisper.weights.safetensors_file import Tensors
from hearsay.errors import ConfigurationError, DownloadFailed
from tests.support.toy_whisper import tensors_file

TENSORS: dict[str, NDArray[np.float32]] = {
    "a": np.array([[1.0, -2.5], [0.0, 1024.0]], np.float32),
    "b": np.array([0.15625], np.float32),
}


def write(path: Path, dtype: str = "F32") -> Path:
    path.write_bytes(tensors_file(TENSORS, dtype))
    return path


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_every_float_type_gives_the_same_numbers(tmp_path: Path, dtype: str) -> None:
    tensors = Tensors(write(tmp_path / "model.safetensors", dtype))
    assert sorted(tensors) == ["a", "b"]
    assert len(tensors) == 2
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], value)


@pytest.mark.parametrize(("dtype", "single"), [("F32", True), ("F16", False), ("BF16", False)])
def test_precision_is_known_without_reading_numbers(tmp_path: Path, dtype: str, single: bool) -> None:
    assert Tensors(write(tmp_path / "model.safetensors", dtype)).is_single_precision() is single


@pytest.mark.parametrize("kept", [0, 7, 8, 40, -1])
def test_a_cut_file_is_refused_at_once(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DownloadFailed, match=r"damaged|cut short"):
        Tensors(path)


def test_a_missing_file_is_a_download_that_is_not_complete(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="not complete"):
        Tensors(tmp_path / "model.safetensors")


def test_a_header_of_impossible_length_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\xff" * 8 + b"{}")
    with pytest.raises(DownloadFailed, match="impossibly long"):
        Tensors(path)


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"'))
    with pytest.raises(ConfigurationError, match="quantized"):
        Tensors(path)["a"]
