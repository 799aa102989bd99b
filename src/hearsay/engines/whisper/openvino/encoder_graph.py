"""Whisper's encoder as an OpenVINO graph.

Knows no file, no device and no precision. The network is that of openai/whisper `model.py` (`AudioEncoder`),
the names of its weights those of CTranslate2 `specs/whisper_spec.py`, which keeps the projections to queries,
keys and values in one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime

Floats = NDArray[np.float32]

Node = Any
"""An operation of OpenVINO, which ships no types."""

_EPSILON = 1e-5
"""Added to the variance in layer norms."""

_HEAD_WIDTH = 64
"""Channels of a head in every published Whisper; older files do not say how many heads there are."""


def build_encoder(weights: Mapping[str, Floats], *, bfloat16: bool = False) -> Any:
    """Build the encoder: `float32[batch, n_mels, n_frames]` to `float32[batch, n_positions, width]`.

    The number of frames may be any up to 3000, and the graph may be reshaped to one of them, which makes it
    faster; positions are half as many. The weights become part of it, with `bfloat16` their matrices in this
    format, which takes half the memory and changes nothing where computation is in bfloat16.
    """
    op = openvino_runtime.opset()
    heads = n_heads(weights)

    def weight(name: str) -> Node:
        values = _scaled(weights, name, heads)
        if bfloat16 and values.ndim == 2 and name.endswith("/weight"):
            return openvino_runtime.widened(openvino_runtime.bfloat16(values))
        return op.constant(values)

    builder = _EncoderBuilder(op, heads, weight)
    mel = op.parameter([-1, n_mels(weights), -1], np.float32, name="mel")
    x = builder.stem(mel)
    for layer in range(n_layers(weights)):
        x = builder.block(x, f"encoder/layer_{layer}")
    return openvino_runtime.module().Model([op.result(builder.norm(x, "encoder"))], [mel], "whisper_encoder")


def build_parts(weights: Mapping[str, Floats]) -> list[EncoderPart]:
    """Build the encoder's parts, to be run one after the other, with weights that are inputs.

    They compute the same as `build_encoder`'s graph, in the memory of one layer's weights at a time.
    """
    width = len(weights["encoder/conv1/bias"])
    states = [-1, -1, width]
    block = _build_part(
        weights, states, "encoder/layer_0", lambda builder, x: builder.block(x, "encoder/layer_0")
    )
    return [
        _build_part(weights, [-1, n_mels(weights), -1], "encoder", lambda builder, x: builder.stem(x)),
        *(EncoderPart(block.model, block.names, f"encoder/layer_{i}") for i in range(n_layers(weights))),
        _build_part(weights, states, "encoder", lambda builder, x: builder.norm(x, "encoder")),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class EncoderPart:
    """A part of the network."""

    model: Any
    """Its inputs are the states, then the weights. Parts that are alike share one."""
    names: tuple[str, ...]
    """Names of the weights after the prefix."""
    prefix: str

    def weights(self, weights: Mapping[str, Floats]) -> list[Floats]:
        """Return the inputs after the states."""
        heads = n_heads(weights)
        return [_scaled(weights, self.prefix + name, heads) for name in self.names]


def n_layers(weights: Mapping[str, Floats]) -> int:
    """Return the number of layers of an encoder by the names of its weights."""
    names = (name for name in weights if name.startswith("encoder/layer_"))
    return sum(name.endswith("/ffn/linear_0/weight") for name in names)


def n_heads(weights: Mapping[str, Floats]) -> int:
    """Return the number of heads in the attention of an encoder."""
    if "encoder/num_heads" in weights:
        return int(weights["encoder/num_heads"])
    return len(weights["encoder/conv1/bias"]) // _HEAD_WIDTH


def n_mels(weights: Mapping[str, Floats]) -> int:
    """Return the number of features of a frame."""
    return int(weights["encoder/conv1/weight"].shape[1])


def full_frames(weights: Mapping[str, Floats]) -> int:
    """Return the most frames of an input: 3000."""
    return 2 * len(weights["encoder/position_encodings/encodings"])


def _scaled(weights: Mapping[str, Floats], name: str, heads: int) -> Floats:
    """Return a weight; that of the queries divided by the root of the head's size.

    So products with keys need no scaling. It is exact where a head has 64 channels: an eighth.
    """
    values = weights[name]
    if "/self_attention/linear_0/" not in name:
        return values
    width = len(values) // 3
    scale = np.float32((width // heads) ** -0.5)
    return np.concatenate([values[:width] * scale, values[width:]])


def _build_part(
    weights: Mapping[str, Floats],
    shape: list[int],
    prefix: str,
    build: Callable[[_EncoderBuilder, Node], Node],
) -> EncoderPart:
    op = openvino_runtime.opset()
    parameters: dict[str, Node] = {}

    def parameter(name: str) -> Node:
        parameters[name] = op.parameter(list(weights[name].shape), np.float32)
        return parameters[name]

    states = op.parameter(shape, np.float32)
    result = op.result(build(_EncoderBuilder(op, n_heads(weights), parameter), states))
    model = openvino_runtime.module().Model([result], [states, *parameters.values()], prefix)
    return EncoderPart(model, tuple(name.removeprefix(prefix) for name in parameters), prefix)


class _EncoderBuilder:
    """Builds parts of the encoder from operations, with weights that a function returns by name."""

    def __init__(self, op: Any, heads: int, weight: Callable[[str], Node]) -> None:
        self._op = op
        self._heads = heads
        self._weight = weight

    def stem(self, mel: Node) -> Node:
        """Build two convolutions over time, of which the second halves it, and add the positions."""
        op = self._op
        x = self._convolution(self._convolution(mel, "encoder/conv1", 1), "encoder/conv2", 2)
        x = op.transpose(x, self._axes(0, 2, 1))
        n_positions = op.gather(op.shape_of(x, "i64"), self._axes(1), self._number(0))
        positions = self._weight("encoder/position_encodings/encodings")
        return op.add(x, op.slice(positions, self._axes(0), n_positions, self._axes(1), self._axes(0)))

    def block(self, x: Node, name: str) -> Node:
        """Build attention and a feed-forward network, each added to its input."""
        op = self._op
        x = op.add(x, self._attention(self.norm(x, f"{name}/self_attention"), f"{name}/self_attention"))
        hidden = op.gelu(self._linear(self.norm(x, f"{name}/ffn"), f"{name}/ffn/linear_0"), "erf")
        return op.add(x, self._linear(hidden, f"{name}/ffn/linear_1"))

    def norm(self, x: Node, name: str) -> Node:
        """Build a layer norm over the channels of each position."""
        op = self._op
        centred = op.mvn(x, self._axes(-1), True, _EPSILON, "INSIDE_SQRT")
        gamma, beta = (self._weight(f"{name}/layer_norm/{part}") for part in ("gamma", "beta"))
        return op.add(op.multiply(centred, gamma), beta)

    def _attention(self, x: Node, name: str) -> Node:
        op = self._op
        fused = self._linear(x, f"{name}/linear_0")
        split = op.reshape(fused, self._axes(0, 0, 3, self._heads, -1), True)
        by_head = op.transpose(split, self._axes(2, 0, 3, 1, 4))
        queries, keys, values = (op.gather(by_head, self._number(i), self._number(0)) for i in range(3))
        weights = op.softmax(op.matmul(queries, keys, False, True), -1)
        attended = op.transpose(op.matmul(weights, values, False, False), self._axes(0, 2, 1, 3))
        return self._linear(op.reshape(attended, self._axes(0, 0, -1), True), f"{name}/linear_1")

    def _linear(self, x: Node, name: str) -> Node:
        product = self._op.matmul(x, self._weight(f"{name}/weight"), False, True)
        return self._op.add(product, self._weight(f"{name}/bias"))

    def _convolution(self, x: Node, name: str, stride: int) -> Node:
        op = self._op
        product = op.convolution(x, self._weight(f"{name}/weight"), [stride], [1], [1], [1])
        bias = op.unsqueeze(self._weight(f"{name}/bias"), self._axes(1))
        return op.gelu(op.add(product, bias), "erf")

    def _axes(self, *numbers: int) -> Node:
        return self._op.constant(np.array(numbers, np.int64))

    def _number(self, number: int) -> Node:
        return self._op.constant(np.int64(number))
