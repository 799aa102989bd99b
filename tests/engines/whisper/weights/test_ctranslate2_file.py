"""Weights in CTranslate2's files: every format is read back as the numbers that were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines.whisper.weights.ctranslate2_file import Quantized, Weights
from hearsay.errors import ConfigurationError, DownloadFailed
from tests.support.paths import FIXTURE_WHISPER

FIXTURE = FIXTURE_WHISPER / "model.bin"
LINEAR = "encoder/layer_0/ffn/linear_0/weight"
CONVOLUTION = "encoder/conv1/weight"


def written(folder: Path, quantization: str) -> tuple[Path, dict[str, NDArray[Any]]]:
    """Let CTranslate2 write a Whisper of random numbers, with one array that is the same as another."""
    from ctranslate2.specs import WhisperSpec

    spec = WhisperSpec(1, 1, 1, 1)
    rng = np.random.default_rng(3)
    original: dict[str, NDArray[Any]] = {}
    for name, value in spec.variables(ordered=True):
        if value is None:
            *scope, attribute = name.split("/")
            shape = (16, 8, 3) if "conv" in name and attribute == "weight" else (16, 8)
            original[name] = rng.normal(size=shape).astype(np.float32)
            setattr(_part(spec, scope), attribute, original[name].copy())
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    original["decoder/projection/weight"] = original["decoder/embeddings/weight"]
    spec.register_vocabulary([str(number) for number in range(16)])
    spec.validate()
    spec.optimize(quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec._serialize(folder / "model.bin")
    return folder / "model.bin", original


def _part(spec: Any, scope: list[str]) -> Any:
    for key in scope:
        head, _, number = key.rpartition("_")
        is_list = number.isdigit() and isinstance(getattr(spec, head, None), list)
        spec = getattr(spec, head)[int(number)] if is_list else getattr(spec, key)
    return spec


@pytest.mark.parametrize(
    ("quantization", "tolerance"),
    [
        ("float32", 0.0),
        ("float16", 2**-11),
        ("int16", 2**-11),
        ("int8", 1 / 254),
        ("int8_float32", 1 / 254),
        ("int8_float16", 1 / 254),
    ],
)
def test_every_format_is_read_back(tmp_path: Path, quantization: str, tolerance: float) -> None:
    path, original = written(tmp_path, quantization)
    weights = Weights(path)
    assert set(original) <= set(weights)
    for name, values in original.items():
        assert weights[name].dtype == np.float32
        assert weights[name].shape == values.shape
        largest = np.abs(values).max()
        np.testing.assert_allclose(weights[name], values, rtol=0, atol=1.001 * tolerance * largest)


def test_the_upper_half_of_a_number_is_bfloat16(tmp_path: Path) -> None:
    """Made by hand: CTranslate2 writes this format only where there is PyTorch."""
    path, original = written(tmp_path, "int16")
    weights = Weights(path)
    entry = weights._entries[LINEAR]
    content = bytearray(path.read_bytes())
    halves = (original[LINEAR].view(np.uint32) >> 16).astype("<u2").tobytes()
    content[entry.offset : entry.offset + entry.n_bytes] = halves
    content[entry.offset - 5] = 5
    path.write_bytes(content.replace(f"{LINEAR}_scale".encode(), f"{LINEAR}_other".encode()))
    np.testing.assert_allclose(Weights(path)[LINEAR], original[LINEAR], rtol=2**-7)


def test_aliases_are_followed(tmp_path: Path) -> None:
    weights = Weights(written(tmp_path, "int8")[0])
    assert weights._entries["decoder/projection/weight"] is weights._entries["decoder/embeddings/weight"]
    np.testing.assert_array_equal(weights["decoder/projection/weight"], weights["decoder/embeddings/weight"])
    assert weights.quantized("decoder/projection/weight") is not None


def test_whole_numbers_come_with_their_scales(tmp_path: Path) -> None:
    weights = Weights(written(tmp_path, "int8")[0])
    for name in (LINEAR, CONVOLUTION):
        stored = weights.quantized(name)
        assert isinstance(stored, Quantized)
        assert stored.values.dtype == np.int8
        scales = stored.scales.reshape(-1, *[1] * (stored.values.ndim - 1))
        np.testing.assert_array_equal(stored.values / scales, weights[name])
    assert weights.quantized("encoder/layer_norm/gamma") is None
    assert Weights(written(tmp_path / "other", "float16")[0]).quantized(LINEAR) is None


def test_numbers_that_are_no_weights_are_as_they_were_written() -> None:
    weights = Weights(FIXTURE)
    assert weights["encoder/num_heads"] == 2.0
    assert weights["encoder/conv1/weight"].shape == (128, 80, 3)


def test_a_name_that_is_not_there_is_missing() -> None:
    with pytest.raises(KeyError, match="nothing"):
        _ = Weights(FIXTURE)["nothing"]


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9999])
def test_cut_files_are_found(tmp_path: Path, kept: float) -> None:
    path, _ = written(tmp_path, "float32")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DownloadFailed, match="cut short"):
        Weights(path)


def test_formats_of_the_future_are_refused(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "float32")
    weights = Weights(path)
    content = bytearray(path.read_bytes())
    content[weights._entries[LINEAR].offset - 5] = 9
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="too new"):
        Weights(path)
