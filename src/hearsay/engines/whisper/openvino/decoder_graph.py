"""Whisper's text decoder as OpenVINO graphs: attention to what is heard, and one step of many rows.

Knows no search and no window: tokens and places in caches in, logits out. The network is that of
openai/whisper `model.py` (TextDecoder). Tokens of all sequences stand in one flat row, as OpenVINO's paged
attention takes them, so prompts of any length and rows of any age share a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.errors import ConfigurationError

BLOCK = 32
"""Positions in a block of the cache of keys and values; OpenVINO's processor kernels want this size."""

CHUNK = 128
"""Neighbouring text tokens of whose logits the largest is given."""

_EPSILON = 1e-5
"""Of every layer norm, as PyTorch has it."""

_ALL = slice(None)
"""All rows of a matrix."""

_ONE = np.float32(1.0)

LEAST = np.float32(-1e30)
"""Stands for minus infinity in a format of any width, and can be subtracted from itself."""


STEP_INPUTS: tuple[tuple[str, list[int]], ...] = (
    ("tokens", [-1]),
    ("positions", [-1]),
    ("past", [-1]),
    ("begins", [-1]),
    ("blocks", [-1]),
    ("block_begins", [-1]),
    ("longest", []),
    ("picked", [-1]),
    ("grid", [-1, -1]),
    ("places", [-1]),
)
"""Inputs of a step but the caches, all of them `i32`.

`tokens` and `positions` of all sequences, one after the other: `begins` says where each begins and where the
last ends, `past` how many positions each has in its cache, `blocks` which blocks of the cache, `block_begins`
where each sequence's begin among these, `longest` the largest number of positions after the step. `picked`
are the tokens whose logits are wanted. `grid[n_windows, n_queries]` are the tokens of each window (any token
where it has fewer than others), `places[n_tokens]` where in the flat grid each token stands.
"""


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes of a decoder."""

    n_layers: int
    n_heads: int
    width: int
    n_vocab: int
    end_of_text: int
    """Smaller ids are text; they are projected apart from the others."""
    alignment_heads: tuple[tuple[int, int], ...] = ()
    """Layer and head of each head that attends to the word being said, in order; steps give their queries."""

    @property
    def head(self) -> int:
        """Size of one attention head."""
        return self.width // self.n_heads

    @property
    def n_chunks(self) -> int:
        """Chunks of text tokens; the last one is filled up."""
        return -(-self.end_of_text // CHUNK)


def read_shape(
    weights: Weights, *, end_of_text: int, alignment_heads: Sequence[tuple[int, int]] = ()
) -> DecoderShape:
    """Read the sizes of a decoder from the names and shapes of its weights.

    `alignment_heads` are layers and heads, in any order. Raises `ConfigurationError` for heads that it lacks.
    """
    n_layers = sum(
        name.startswith("decoder/layer_") and name.endswith("/ffn/layer_norm/gamma") for name in weights
    )
    n_vocab, width = weights["decoder/embeddings/weight"].shape
    n_heads = int(weights["decoder/num_heads"])
    if not all(0 <= layer < n_layers and 0 <= head < n_heads for layer, head in alignment_heads):
        raise ConfigurationError("config.json names alignment_heads that the model does not have.")
    return DecoderShape(
        n_layers=n_layers,
        n_heads=n_heads,
        width=width,
        n_vocab=n_vocab,
        end_of_text=end_of_text,
        alignment_heads=tuple(sorted(alignment_heads)),
    )


def suppression_mask(shape: DecoderShape, never: Sequence[int]) -> NDArray[np.float32]:
    """Return what is added to logits of text: `LEAST` for filling and for ids in `never`, else 0.

    Shape: `float32[n_chunks * CHUNK]`.
    """
    added = np.zeros(shape.n_chunks * CHUNK, np.float32)
    added[shape.end_of_text :] = LEAST
    added[[id_ for id_ in never if id_ < shape.end_of_text]] = LEAST
    return added


def whole_numbers(weights: Weights, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix as `int8[n_rows, n]` with factors `float32[n_rows, 1]`: as stored, if in 8 bits."""
    stored = weights.quantized(name)
    if stored is not None:
        return np.ascontiguousarray(stored.values), 1.0 / stored.scales[:, np.newaxis]
    matrix = weights[name]
    factors = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-9) / np.float32(127)
    return np.round(matrix / factors).astype(np.int8), factors


class Graphs:
    """Builds the graphs of one decoder.

    By `precision`, numbers and caches are `bf16`, or `f32`, or with `int8` caches are f32 and matrices of 8
    bits with a scale for each row. The matrix of logits has 8 bits in `bf16`, too.
    """

    def __init__(self, weights: Weights, shape: DecoderShape, precision: str) -> None:
        """Take the weights; nothing is built yet."""
        self._ov: Any = openvino_runtime.module()
        self._o: Any = openvino_runtime.opset()
        self._weights = weights
        self._shape = shape
        self._watched: list[Any] = []
        self._precision = precision
        self._type = self._ov.Type.bf16 if precision == "bf16" else self._ov.Type.f32

    def cross_kv(self) -> Any:
        """Build the graph that a window passes once: keys and values of what was heard, for every layer.

        Input: `f32[n_windows, n_positions, width]`. Outputs: for each layer keys, then values, both
        `dtype[n_windows, n_heads, n_positions, head]`; keys are divided by the root of the head's size.
        """
        o, shape = self._o, self._shape
        heard = self._input("heard", [-1, -1, shape.width], "f32")
        outputs = []
        for layer in range(shape.n_layers):
            name = f"decoder/layer_{layer}/attention/linear_1"
            scales = (np.float32(shape.head**-0.5), np.float32(1.0))
            for rows, scale in zip((slice(0, shape.width), slice(shape.width, None)), scales, strict=True):
                projected = self._linear(name, heard, rows, scale)
                split = self._reshape(projected, [0, 0, shape.n_heads, shape.head])
                outputs.append(o.convert(self._transpose(split, [0, 2, 1, 3]), self._type).output(0))
        return self._ov.Model(outputs, [heard], "hearing")

    def step(self) -> Any:
        """Build the graph of a step: tokens of all rows to final states; caches are written in place.

        Inputs, in order: see `STEP_INPUTS`, then for each layer the cache of keys and that of values,
        `dtype[n_blocks, n_heads, BLOCK, head]`, then for each layer the keys and the values of the
        encoder output, as `cross_kv` gives them. Outputs: states `f32[n_picked, width]`, and, with alignment
        heads, their cross-attention queries, in order: `f32[n_tokens, n_watched * head]`.
        """
        shape = self._shape
        inputs = [self._input(name, dims, "i32") for name, dims in STEP_INPUTS]
        named = dict(zip((name for name, _ in STEP_INPUTS), inputs, strict=True))
        caches = range(2 * shape.n_layers)
        own = [self._input(f"own.{i}", [-1, shape.n_heads, BLOCK, shape.head], self._type) for i in caches]
        heard = [self._input(f"heard.{i}", [-1, shape.n_heads, -1, shape.head], self._type) for i in caches]
        flow = self._embed(named["tokens"], named["positions"])
        for layer in range(shape.n_layers):
            pair = slice(2 * layer, 2 * layer + 2)
            flow = self._layer(layer, flow, named, own[pair], heard[pair])
        picked = self._norm("decoder/layer_norm", self._o.gather(flow, named["picked"], self._constant(0)))
        outputs = [picked, *([self._o.concat(self._watched, 1)] if self._watched else [])]
        return self._ov.Model([node.output(0) for node in outputs], [*inputs, *own, *heard], "step")

    def head(self, never: Sequence[int]) -> Any:
        """Build the graph from final states to logits.

        Input: `f32[n_rows, width]`. Outputs: logits of text `f32[n_rows, n_chunks * CHUNK]`, of which those
        from `end_of_text` on are filling; of all other ids `f32[n_rows, n_vocab - end_of_text]`; and of text
        but for the ids in `never` the largest of each chunk `f32[n_rows, n_chunks]` and the logarithm of the
        summed exponentials, `f32[n_rows, 1]`.
        """
        o, shape = self._o, self._shape
        states = self._input("states", [-1, shape.width], "f32")
        text, others = self._head_matrices()
        raw = o.matmul(states, text, False, True)
        kept = o.add(raw, self._constant(suppression_mask(shape, never)[np.newaxis]))
        largest = o.reduce_max(self._reshape(kept, [0, shape.n_chunks, CHUNK]), self._constant([2]), False)
        highest = o.reduce_max(largest, self._constant([1]), True)
        summed = o.reduce_sum(o.exp(o.subtract(kept, highest)), self._constant([1]), True)
        rest = o.matmul(states, others, False, True)
        outputs = [raw, rest, largest, o.add(highest, o.log(summed))]
        return self._ov.Model([node.output(0) for node in outputs], [states], "head")

    def _embed(self, tokens: Any, positions: Any) -> Any:
        o, zero, name = self._o, self._constant(0), "decoder/embeddings/weight"
        places = self._constant(self._weights["decoder/position_encodings/encodings"])
        if self._precision == "f32":
            flow = o.gather(self._constant(self._weights[name]), tokens, zero)
        else:
            values, scales = (
                o.gather(o.constant(n), tokens, zero) for n in whole_numbers(self._weights, name)
            )
            flow = o.multiply(o.convert(values, self._ov.Type.f32), scales)
        return o.add(flow, o.gather(places, positions, zero))

    def _layer(self, layer: int, flow: Any, named: Mapping[str, Any], own: Any, heard: Any) -> Any:
        o, name = self._o, f"decoder/layer_{layer}"
        flow = o.add(flow, self._self_attention(f"{name}/self_attention", flow, named, own))
        flow = o.add(flow, self._cross_attention(f"{name}/attention", flow, named, heard))
        inner = self._linear(f"{name}/ffn/linear_0", self._norm(f"{name}/ffn/layer_norm", flow))
        return o.add(flow, self._linear(f"{name}/ffn/linear_1", o.gelu(inner, "erf")))

    def _self_attention(self, name: str, flow: Any, named: Mapping[str, Any], own: Any) -> Any:
        projected = self._linear(f"{name}/linear_0", self._norm(f"{name}/layer_norm", flow))
        parts = self._o.split(projected, self._constant(1), 3)
        attended = self._paged(parts.outputs(), own, named)
        return self._linear(f"{name}/linear_1", attended)

    def _cross_attention(self, name: str, flow: Any, named: Mapping[str, Any], heard: Any) -> Any:
        """Attend to what was heard: rows of a window share its keys and values.

        Keys and values are the left sides of the products where they can be, since OpenVINO would have to
        rearrange a right side, and they are large while there are few rows.
        """
        o, shape, (keys, values) = self._o, self._shape, heard
        queries = self._linear(f"{name}/linear_0", self._norm(f"{name}/layer_norm", flow))
        self._watch(name, queries)
        grid = o.gather(queries, named["grid"], self._constant(0))
        grid = self._transpose(self._reshape(grid, [0, 0, shape.n_heads, shape.head]), [0, 2, 1, 3])
        weights = self._transpose(o.matmul(self._float(keys), grid, False, True), [0, 1, 3, 2])
        found = o.matmul(o.softmax(weights, -1), self._float(values), False, False)
        flat = self._reshape(self._transpose(found, [0, 2, 1, 3]), [-1, shape.width], special=False)
        return self._linear(f"{name}/linear_2", o.gather(flat, named["places"], self._constant(0)))

    def _watch(self, name: str, queries: Any) -> None:
        """Note the queries of those heads of a layer that are alignment_heads."""
        size = self._shape.head
        for layer, head in self._shape.alignment_heads:
            if name == f"decoder/layer_{layer}/attention":
                columns = self._constant(np.arange(head * size, (head + 1) * size))
                self._watched.append(self._o.gather(queries, columns, self._constant(1)))

    def _head_matrices(self) -> list[Any]:
        """Return the matrix of text, filled up with zeros, and that of all other ids.

        But for f32 they are of 8 bits: there is little to read in every step, and OpenVINO multiplies them
        with states that it brings to 8 bits by groups.
        """
        name, end = "decoder/projection/weight", self._shape.end_of_text
        filling = ((0, self._shape.n_chunks * CHUNK - end), (0, 0))
        if self._precision == "f32":
            table = self._weights[name]
            return [self._o.constant(np.pad(table[:end], filling)), self._o.constant(table[end:])]
        values, scales = whole_numbers(self._weights, name)
        return [
            self._scaled(np.pad(values[:end], filling), np.pad(scales[:end], filling)),
            self._scaled(values[end:], scales[end:]),
        ]

    def _scaled(self, values: NDArray[np.int8], scales: NDArray[np.float32]) -> Any:
        real = self._o.convert(self._o.constant(values), self._ov.Type.f32)
        return self._o.multiply(real, self._o.constant(scales))

    def _paged(self, parts: Any, own: Any, named: Mapping[str, Any]) -> Any:
        """Attend to the earlier tokens of each sequence, whose keys and values lie in blocks of a cache."""
        scale = self._constant(np.float32(self._shape.head**-0.5))
        layout = [named[name] for name in ("past", "begins", "blocks", "block_begins")]
        inputs = [scale, self._constant(0), self._empty(np.float32, 1), named["longest"]]
        node = self._ov.op._PagedAttentionExtension(
            [*parts, *(node.output(0) for node in (*own, *layout, *inputs, *self._unused()))]
        )
        info = node.get_rt_info()
        for side in ("k", "v"):
            info[f"num_{side}_heads"], info[f"{side}_head_size"] = self._shape.n_heads, self._shape.head
        return node.output(0)

    def _unused(self) -> list[Any]:
        """Return the inputs of paged attention of which nothing is wanted here: empty."""
        whole, real = np.int32, np.float32
        return [
            self._empty(whole, 1),  # windows over which scores are summed
            *(self._empty(whole, 1), self._empty(whole, 2), self._empty(real, 2)),  # turning of positions
            *(self._empty(real, 1), self._constant(0), self._constant(0)),  # sparse attention
            self._empty(real, 4),  # sinks
            *(self._constant(0), *(self._empty(whole, 1) for _ in range(3))),  # eviction
            self._empty(whole, 1),  # kinds of tokens
            *(self._empty(np.uint8, 1), self._empty(whole, 1)),  # bias between queries
        ]

    def _norm(self, name: str, flow: Any) -> Any:
        o = self._o
        centred = o.mvn(flow, self._constant([-1]), True, _EPSILON, "inside_sqrt")
        scaled = o.multiply(centred, self._constant(self._weights[f"{name}/gamma"]))
        return o.add(scaled, self._constant(self._weights[f"{name}/beta"]))

    def _linear(self, name: str, flow: Any, rows: slice = _ALL, scale: np.float32 = _ONE) -> Any:
        """Project states by some rows of a matrix and its bias, both of them scaled."""
        bias = self._weights[f"{name}/bias"][rows] * scale
        if self._precision != "int8":
            return self._project(flow, self._weights[f"{name}/weight"][rows] * scale, bias)
        values, factors = whole_numbers(self._weights, f"{name}/weight")
        matrix = self._scaled(values[rows], factors[rows] * scale)
        return self._o.add(self._o.matmul(flow, matrix, False, True), self._constant(bias))

    def _project(self, flow: Any, matrix: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
        kept = self._matrix(matrix)
        real = kept if self._type == self._ov.Type.f32 else openvino_runtime.widened(kept)
        product = self._o.matmul(flow, real, False, True)
        return self._o.add(product, self._constant(bias))

    def _matrix(self, array: NDArray[np.float32]) -> Any:
        """Return a constant in the type of numbers; it is kept in memory as it is."""
        if self._type == self._ov.Type.f32:
            return self._o.constant(np.ascontiguousarray(array))
        return openvino_runtime.bfloat16(array)

    def _float(self, node: Any) -> Any:
        real = self._ov.Type.f32
        return node if self._type == real else self._o.convert(node, real)

    def _input(self, name: str, dims: list[int], type_: Any) -> Any:
        node = self._o.parameter(dims, getattr(self._ov.Type, type_) if isinstance(type_, str) else type_)
        node.set_friendly_name(name)
        node.output(0).set_names({name})
        return node

    def _constant(self, value: Any) -> Any:
        array = np.asarray(value)
        return self._o.constant(
            array.astype(np.int32) if array.dtype.kind == "i" else array.astype(np.float32)
        )

    def _empty(self, dtype: Any, rank: int) -> Any:
        return self._o.constant(np.zeros((0,) * rank, dtype))

    def _reshape(self, node: Any, dims: list[int], *, special: bool = True) -> Any:
        return self._o.reshape(node, self._constant(dims), special)

    def _transpose(self, node: Any, order: list[int]) -> Any:
        return self._o.transpose(node, self._constant(order))
