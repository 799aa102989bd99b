"""An inflated model is as large as it says, and says what the small one says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench.inflate import inflate
from bench.recordings import CLIPS, FIXTURE
from bench.shapes import SHAPES, Shape, inflated, repeated_heads, shape_of, wider
from hypothesis import given
from hypothesis import strategies as st

from bench import answers
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.engines.whisper.weights.ctranslate2_file import Weights, entries

LARGER = Shape(256, 3, 3)
"""Everything twice, and one idle layer on each side."""

FILES = [CLIPS / name for name in ("en-1-a.flac", "es-2-a.ogg", "de-3-b.ogg", "silence.flac")]


@pytest.fixture(scope="module")
def expected() -> list[str]:
    """What the fixture hears."""
    return answers.of(FIXTURE, FILES)


@pytest.mark.parametrize(
    ("precision", "compute_type"), [("int8", "float32"), ("int8", "int8"), ("float16", "float32")]
)
def test_hears_the_same(precision: str, compute_type: str, expected: list[str], tmp_path: Path) -> None:
    inflate(FIXTURE, LARGER, tmp_path, precision=precision)
    assert answers.of(tmp_path, FILES, compute_type=compute_type) == expected


def test_hears_the_same_by_way_of_the_other_format(expected: list[str], tmp_path: Path) -> None:
    inflate(FIXTURE, LARGER, tmp_path / "hf", layout="hf")
    convert(tmp_path / "hf", tmp_path / "ct2")
    assert answers.of(tmp_path / "ct2", FILES) == expected
    assert shape_of(Weights(tmp_path / "ct2" / "model.bin")) == LARGER


def test_is_as_large_as_the_published_model(tmp_path: Path) -> None:
    inflate(FIXTURE, SHAPES["tiny"], tmp_path)
    stored = entries(tmp_path / "model.bin")
    places = {entry.offset for name, entry in stored.items() if name.endswith("/weight")}
    shapes = [entry.shape for name, entry in stored.items() if name.endswith("/weight")]
    # Only the output projection may share the numbers of another array, the embedding.
    assert len(places) == len(shapes) - 1
    # 37.76 million is what openai/whisper's tiny has with its positions, biases and norms.
    n_parameters = sum(
        int(np.prod(entry.shape)) for name, entry in stored.items() if not name.endswith("_scale")
    )
    n_parameters -= int(np.prod(stored["decoder/projection/weight"].shape))
    assert n_parameters == pytest.approx(37_760_640, rel=1e-3)


def test_names_every_copy_of_an_alignment_head(tmp_path: Path) -> None:
    inflate(FIXTURE, LARGER, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["alignment_heads"] == [[1, 0], [1, 2]]
    assert repeated_heads([[1, 1]], Shape(128, 2, 2), Shape(384, 2, 2)) == [[1, 1], [1, 3], [1, 5]]


@given(n_copies=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_a_wider_weight_gives_the_wider_result(n_copies: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((6, 4)).astype(np.float32)
    values = rng.standard_normal(4).astype(np.float32)
    result = wider("encoder/layer_0/ffn/linear_0/weight", weight, n_copies) @ np.tile(values, n_copies)
    np.testing.assert_allclose(result, np.tile(weight @ values, n_copies), rtol=1e-4, atol=1e-5)


def test_query_key_and_value_are_repeated_each_for_itself() -> None:
    bias = np.arange(6, dtype=np.float32)
    wide = wider("decoder/layer_0/self_attention/linear_0/bias", bias, 2)
    assert wide.tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5]


@pytest.mark.parametrize("shape", [Shape(320, 2, 2), Shape(64, 2, 2), Shape(256, 1, 2), Shape(256, 2, 1)])
def test_refuses_what_repeating_cannot_reach(shape: Shape) -> None:
    with pytest.raises(ValueError, match=r"cannot be repeated|more layers"):
        inflated(Weights(FIXTURE / "model.bin"), shape)
