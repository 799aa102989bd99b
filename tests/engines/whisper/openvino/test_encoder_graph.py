"""The encoder's graph: its sizes, any number of frames, and parts that are together the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper.openvino import encoder_graph
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from tests.support import toy_whisper

pytestmark = pytest.mark.skipif(
    not openvino_runtime.is_usable(), reason="OpenVINO cannot compute on this machine"
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> toy_whisper.Toy:
    return toy_whisper.write(tmp_path_factory.mktemp("graph") / "toy")


@pytest.fixture(scope="module")
def weights(toy: toy_whisper.Toy, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    made: Path = tmp_path_factory.mktemp("made") / "model"
    convert(toy.folder, made)
    return Weights(made / "model.bin")


def compute(graph: Any, *inputs: NDArray[Any]) -> NDArray[Any]:
    compiled = openvino_runtime.core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (result,) = compiled(list(inputs)).values()
    return np.array(result)


def mels(n: int, n_frames: int = 3000) -> NDArray[np.float32]:
    return np.random.default_rng(n).normal(size=(n, 80, n_frames)).astype(np.float32)


def test_sizes_are_read_from_the_weights(weights: Weights) -> None:
    assert encoder_graph.n_layers(weights) == toy_whisper.LAYERS
    assert encoder_graph.n_heads(weights) == toy_whisper.HEADS
    assert encoder_graph.n_mels(weights) == 80
    assert encoder_graph.full_frames(weights) == 3000


def test_a_batch_is_what_the_definition_says_of_each(weights: Weights, toy: toy_whisper.Toy) -> None:
    batch = mels(2)
    found = compute(encoder_graph.build_encoder(weights), batch)
    assert found.shape == (2, 1500, toy_whisper.WIDTH)
    for mel, states in zip(batch, found, strict=True):
        np.testing.assert_allclose(states, toy_whisper.encode(toy, mel), atol=1e-3)


@pytest.mark.parametrize("n_frames", [2, 100, 1001])
def test_any_number_of_frames_can_be_encoded(weights: Weights, n_frames: int) -> None:
    found = compute(encoder_graph.build_encoder(weights), mels(1, n_frames))
    assert found.shape == (1, (n_frames + 1) // 2, toy_whisper.WIDTH)


def test_the_parts_one_after_the_other_are_the_whole(weights: Weights) -> None:
    states = batch = mels(1, 400)
    parts = encoder_graph.build_parts(weights)
    assert [part.prefix for part in parts] == ["encoder", "encoder/layer_0", "encoder/layer_1", "encoder"]
    assert parts[1].model is parts[2].model
    for part in parts:
        states = compute(part.model, states, *part.weights(weights))
    np.testing.assert_allclose(states, compute(encoder_graph.build_encoder(weights), batch), atol=1e-4)


def test_matrices_in_bfloat16_are_as_exact_as_their_numbers(weights: Weights) -> None:
    """The toy's numbers have no more digits than bfloat16, but for those of the scaled queries: an eighth."""
    batch = mels(1, 400)
    exact = compute(encoder_graph.build_encoder(weights), batch)
    small = compute(encoder_graph.build_encoder(weights, bfloat16=True), batch)
    assert np.sqrt(np.mean((small - exact) ** 2) / np.mean(exact**2)) < 0.01
