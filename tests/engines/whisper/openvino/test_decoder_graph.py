"""The decoder's graphs by themselves: inputs and outputs as described, numbers as numpy computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper.openvino.decoder_graph import STEP_INPUTS, DecoderGraphs, quantized_rows
from hearsay.engines.whisper.openvino.decoder_network import (
    CHUNK,
    DecoderShape,
    read_shape,
    suppression_mask,
)
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from tests.support.paths import FIXTURE_WHISPER

END_OF_TEXT = 50_257
HEADS = ((0, 1), (1, 0), (1, 1))

pytestmark = pytest.mark.skipif(
    not openvino_runtime.is_usable(), reason="OpenVINO cannot compute on this machine"
)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(FIXTURE_WHISPER / "model.bin")


@pytest.fixture(scope="module")
def shape(weights: Weights) -> DecoderShape:
    return read_shape(weights, end_of_text=END_OF_TEXT, alignment_heads=HEADS)


def compute(graph: Any, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    compiled = openvino_runtime.core().compile_model(graph, "CPU", exact)
    return [np.array(value) for value in compiled(list(inputs)).values()]


def states(n: int, width: int = 128) -> NDArray[np.float32]:
    return np.random.default_rng(n).normal(size=(n, width)).astype(np.float32)


def test_keys_and_values_are_those_of_each_layer(weights: Weights, shape: DecoderShape) -> None:
    encoding = states(40).reshape(2, 20, 128)
    found = compute(DecoderGraphs(weights, shape, "f32").cross_kv(), encoding)
    assert [values.shape for values in found] == [(2, 2, 20, 64)] * (2 * shape.n_layers)
    for layer in range(shape.n_layers):
        name = f"decoder/layer_{layer}/attention/linear_1"
        fused = encoding @ weights[f"{name}/weight"].T + weights[f"{name}/bias"]
        keys, values = (part.reshape(2, 20, 2, 64).swapaxes(1, 2) for part in np.split(fused, 2, axis=-1))
        np.testing.assert_allclose(found[2 * layer], keys / 8, atol=1e-4)
        np.testing.assert_allclose(found[2 * layer + 1], values, atol=1e-4)


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_logits_come_in_parts_with_what_a_search_wants_of_them(
    weights: Weights, shape: DecoderShape, precision: str
) -> None:
    suppressed = [3, 700, END_OF_TEXT - 1]
    hidden = states(5)
    text, special, chunk_max, log_sum = compute(
        DecoderGraphs(weights, shape, precision).lm_head(suppressed), hidden
    )
    expected = hidden @ weights["decoder/projection/weight"].T
    error = 1e-3 if precision == "f32" else 0.02 * float(expected.std())
    np.testing.assert_allclose(text[:, :END_OF_TEXT], expected[:, :END_OF_TEXT], atol=4 * error)
    np.testing.assert_allclose(special, expected[:, END_OF_TEXT:], atol=4 * error)
    allowed = text + suppression_mask(shape, suppressed)
    np.testing.assert_allclose(chunk_max, allowed.reshape(5, -1, CHUNK).max(axis=2), rtol=1e-5)
    top = allowed.max(axis=1, keepdims=True)
    np.testing.assert_allclose(
        log_sum, top + np.log(np.exp(allowed - top).sum(axis=1, keepdims=True)), rtol=1e-4
    )


def test_a_step_has_its_inputs_by_name_and_in_order(weights: Weights, shape: DecoderShape) -> None:
    graph = DecoderGraphs(weights, shape, "f32").step()
    names = [node.get_any_name() for node in graph.inputs]
    n = 2 * shape.n_layers
    sides = [f"{side}.{i}" for side in ("self", "cross") for i in range(n)]
    assert names == [*(name for name, _ in STEP_INPUTS), *sides]
    assert len(graph.outputs) == 2
    assert graph.outputs[1].get_partial_shape()[1].get_length() == len(HEADS) * shape.head


def test_without_alignment_heads_a_step_returns_states_alone(weights: Weights) -> None:
    plain = read_shape(weights, end_of_text=END_OF_TEXT)
    assert len(DecoderGraphs(weights, plain, "f32").step().outputs) == 1


@pytest.mark.parametrize("name", ["decoder/embeddings/weight", "decoder/layer_0/ffn/linear_0/weight"])
def test_rows_in_eight_bits_are_nearly_those_of_the_matrix(weights: Weights, name: str) -> None:
    values, scales = quantized_rows(weights, name)
    matrix = weights[name]
    assert values.dtype == np.int8
    assert (values.shape, scales.shape) == (matrix.shape, (len(matrix), 1))
    assert (np.abs(values * scales - matrix) <= 0.51 * scales + 1e-7).all()
