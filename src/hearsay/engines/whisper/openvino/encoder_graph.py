"""The network of Whisper's encoder, made of OpenVINO's operations.

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


def whole(weights: Mapping[str, Floats], *, narrow: bool = False) -> Any:
    """Build the encoder: `float32[batch, n_mels, n_frames]` to `float32[batch, n_positions, width]`.

    Any number of frames up to 3000 will do, and the model may be reshaped to one of them, which makes it
    faster; positions are half as many. The weights become part of it; where it is `narrow`, their matrices in
    bfloat16, which takes half the memory, and is the same to who computes in bfloat16.
    """
    op = openvino_runtime.opset()
    heads = n_heads(weights)

    def weight(name: str) -> Node:
        values = _scaled(weights, name, heads)
        if narrow and values.ndim == 2 and name.endswith("/weight"):
            return openvino_runtime.widened(openvino_runtime.bfloat16(values))
        return op.constant(values)

    network = _Network(op, heads, weight)
    mel = op.parameter([-1, n_mels(weights), -1], np.float32, name="mel")
    x = network.front(mel)
    for layer in range(n_layers(weights)):
        x = network.block(x, f"encoder/layer_{layer}")
    return openvino_runtime.module().Model([op.result(network.norm(x, "encoder"))], [mel], "whisper_encoder")


def pieces(weights: Mapping[str, Floats]) -> list[Piece]:
    """Build the encoder's parts, to be run one after the other, with weights that are inputs.

    They compute what `whole` does, and need no more memory than the weights of one layer at a time.
    """
    width = len(weights["encoder/conv1/bias"])
    states = [-1, -1, width]
    block = _piece(weights, states, "encoder/layer_0", lambda network, x: network.block(x, "encoder/layer_0"))
    return [
        _piece(weights, [-1, n_mels(weights), -1], "encoder", lambda network, x: network.front(x)),
        *(Piece(block.model, block.names, f"encoder/layer_{layer}") for layer in range(n_layers(weights))),
        _piece(weights, states, "encoder", lambda network, x: network.norm(x, "encoder")),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of the network."""

    model: Any
    """Takes the states, then the weights. Parts that are alike share one."""
    names: tuple[str, ...]
    """Names of the weights after the prefix."""
    prefix: str

    def weights(self, weights: Mapping[str, Floats]) -> list[Floats]:
        """Pick the inputs that follow the states."""
        heads = n_heads(weights)
        return [_scaled(weights, self.prefix + name, heads) for name in self.names]


def n_layers(weights: Mapping[str, Floats]) -> int:
    """Count the layers of an encoder by the names of its weights."""
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
    """Return the most frames that an encoder takes: 3000."""
    return 2 * len(weights["encoder/position_encodings/encodings"])


def _scaled(weights: Mapping[str, Floats], name: str, heads: int) -> Floats:
    """Return a weight; that of the queries shrunk, so that their products with the keys need not be.

    Shrinking is exact where a head has 64 channels: an eighth.
    """
    values = weights[name]
    if "/self_attention/linear_0/" not in name:
        return values
    width = len(values) // 3
    scale = np.float32((width // heads) ** -0.5)
    return np.concatenate([values[:width] * scale, values[width:]])


def _piece(
    weights: Mapping[str, Floats], shape: list[int], prefix: str, make: Callable[[_Network, Node], Node]
) -> Piece:
    op = openvino_runtime.opset()
    parameters: dict[str, Node] = {}

    def parameter(name: str) -> Node:
        parameters[name] = op.parameter(list(weights[name].shape), np.float32)
        return parameters[name]

    states = op.parameter(shape, np.float32)
    result = op.result(make(_Network(op, n_heads(weights), parameter), states))
    model = openvino_runtime.module().Model([result], [states, *parameters.values()], prefix)
    return Piece(model, tuple(name.removeprefix(prefix) for name in parameters), prefix)


class _Network:
    """Parts of the encoder as operations, with weights that a function gives by name."""

    def __init__(self, op: Any, heads: int, weight: Callable[[str], Node]) -> None:
        self._op = op
        self._heads = heads
        self._weight = weight

    def front(self, mel: Node) -> Node:
        """Two convolutions over time, of which the second halves it, and the positions."""
        op = self._op
        x = self._convolution(self._convolution(mel, "encoder/conv1", 1), "encoder/conv2", 2)
        x = op.transpose(x, self._axes(0, 2, 1))
        n_positions = op.gather(op.shape_of(x, "i64"), self._axes(1), self._number(0))
        positions = self._weight("encoder/position_encodings/encodings")
        return op.add(x, op.slice(positions, self._axes(0), n_positions, self._axes(1), self._axes(0)))

    def block(self, x: Node, name: str) -> Node:
        """Attention and a feed-forward network, each added to what it was given."""
        op = self._op
        x = op.add(x, self._attention(self.norm(x, f"{name}/self_attention"), f"{name}/self_attention"))
        hidden = op.gelu(self._linear(self.norm(x, f"{name}/ffn"), f"{name}/ffn/linear_0"), "erf")
        return op.add(x, self._linear(hidden, f"{name}/ffn/linear_1"))

    def norm(self, x: Node, name: str) -> Node:
        """Mean 0 and variance 1 over the channels of each position, then scale and shift."""
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
        shares = op.softmax(op.matmul(queries, keys, False, True), -1)
        mixed = op.transpose(op.matmul(shares, values, False, False), self._axes(0, 2, 1, 3))
        return self._linear(op.reshape(mixed, self._axes(0, 0, -1), True), f"{name}/linear_1")

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
