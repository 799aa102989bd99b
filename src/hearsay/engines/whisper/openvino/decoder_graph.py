"""Whisper's text decoder as OpenVINO graphs: cross-attention keys and values, a step of tokens, and logits.

Knows no search and no window: tokens and cache blocks in, logits out. The network is that of openai/whisper
`model.py` (TextDecoder). Tokens of all sequences are concatenated, as OpenVINO's paged attention takes them,
so prompts of any length and sequences of any age share a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper.openvino.decoder_network import BLOCK, CHUNK, DecoderShape, suppression_mask

if TYPE_CHECKING:
    from hearsay.engines.whisper.weights.ctranslate2_file import Weights

_EPSILON = 1e-5
"""Of every layer norm, as PyTorch has it."""

_ALL = slice(None)
_ONE = np.float32(1.0)

STEP_INPUTS: tuple[tuple[str, list[int]], ...] = (
    ("tokens", [-1]),
    ("positions", [-1]),
    ("past_lens", [-1]),
    ("subsequence_begins", [-1]),
    ("block_indices", [-1]),
    ("block_indices_begins", [-1]),
    ("max_context_len", []),
    ("output_tokens", [-1]),
    ("window_tokens", [-1, -1]),
    ("grid_positions", [-1]),
)
"""Inputs of a step but the caches, all of them `i32`.

`tokens` and `positions` of all sequences, one after the other: `subsequence_begins` says where each begins
and where the last ends, `past_lens` how many positions each has in its cache, `block_indices` which blocks
of the cache, `block_indices_begins` where each sequence's begin among these, `max_context_len` the largest
number of positions after the step. `output_tokens` are the tokens whose logits are computed.
`window_tokens[n_windows, n_queries]` is a grid of each window's tokens (any token where it has fewer than
others), `grid_positions[n_tokens]` where each token stands in that grid, flattened.
"""


def quantized_rows(weights: Weights, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix as `int8[n_rows, n]` with scales `float32[n_rows, 1]`: as stored, if in 8 bits."""
    stored = weights.quantized(name)
    if stored is not None:
        return np.ascontiguousarray(stored.values), 1.0 / stored.scales[:, np.newaxis]
    matrix = weights[name]
    scales = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-9) / np.float32(127)
    return np.round(matrix / scales).astype(np.int8), scales


class DecoderGraphs:
    """Builds the graphs of one decoder.

    By `precision`, weights and caches are `bf16`, or `f32`, or with `int8` caches are f32 and matrices of 8
    bits with a scale for each row. The matrix of logits has 8 bits in `bf16`, too.
    """

    def __init__(self, weights: Weights, shape: DecoderShape, precision: str) -> None:
        """Prepare to build graphs with these weights."""
        self._ov: Any = openvino_runtime.module()
        self._o: Any = openvino_runtime.opset()
        self._weights = weights
        self._shape = shape
        self._precision = precision
        self._type = self._ov.Type.bf16 if precision == "bf16" else self._ov.Type.f32

    def cross_kv(self) -> Any:
        """Build the graph from an encoding to the cross-attention keys and values of every layer.

        Input: `f32[n_windows, n_positions, width]`. Outputs: for each layer keys, then values, both
        `dtype[n_windows, n_heads, n_positions, head]`; keys are divided by the root of the head's size.
        """
        o, shape = self._o, self._shape
        encoding = self._input("encoding", [-1, -1, shape.width], self._ov.Type.f32)
        outputs = []
        for layer in range(shape.n_layers):
            name = f"decoder/layer_{layer}/attention/linear_1"
            scales = (np.float32(shape.head**-0.5), np.float32(1.0))
            for rows, scale in zip((slice(0, shape.width), slice(shape.width, None)), scales, strict=True):
                projected = self._linear(name, encoding, rows, scale)
                split = self._reshape(projected, [0, 0, shape.n_heads, shape.head])
                outputs.append(o.convert(self._transpose(split, [0, 2, 1, 3]), self._type).output(0))
        return self._ov.Model(outputs, [encoding], "cross_kv")

    def step(self) -> Any:
        """Build the graph of a step: tokens of all sequences to hidden states; caches are written in place.

        Inputs, in order: see `STEP_INPUTS`, then for each layer the cache of keys and that of values,
        `dtype[n_blocks, n_heads, BLOCK, head]`, then for each layer the keys and the values of the
        encoder output, as from `cross_kv`. Outputs: states `f32[n_output_tokens, width]`, and, with alignment
        heads, their cross-attention queries, in order: `f32[n_tokens, n_alignment_heads * head]`.
        """
        o, shape = self._o, self._shape
        inputs = [self._input(name, dims, self._ov.Type.i32) for name, dims in STEP_INPUTS]
        named = dict(zip((name for name, _ in STEP_INPUTS), inputs, strict=True))
        self_dims, cross_dims = ([-1, shape.n_heads, n, shape.head] for n in (BLOCK, -1))
        caches = range(2 * shape.n_layers)
        self_kv = [self._input(f"self.{i}", self_dims, self._type) for i in caches]
        cross_kv = [self._input(f"cross.{i}", cross_dims, self._type) for i in caches]
        hidden = self._embed(named["tokens"], named["positions"])
        alignment_queries: list[Any] = []
        for layer in range(shape.n_layers):
            name, pair = f"decoder/layer_{layer}", slice(2 * layer, 2 * layer + 2)
            attended = self._self_attention(f"{name}/self_attention", hidden, named, self_kv[pair])
            hidden = o.add(hidden, attended)
            normed = self._norm(f"{name}/attention/layer_norm", hidden)
            queries = self._linear(f"{name}/attention/linear_0", normed)
            alignment_queries += self._alignment_queries(layer, queries)
            attended = self._cross_attention(f"{name}/attention", queries, named, cross_kv[pair])
            hidden = o.add(hidden, attended)
            inner = self._linear(f"{name}/ffn/linear_0", self._norm(f"{name}/ffn/layer_norm", hidden))
            hidden = o.add(hidden, self._linear(f"{name}/ffn/linear_1", o.gelu(inner, "erf")))
        states = o.gather(hidden, named["output_tokens"], self._constant(0))
        outputs = [self._norm("decoder/layer_norm", states)]
        if alignment_queries:
            outputs.append(o.concat(alignment_queries, 1))
        return self._ov.Model([node.output(0) for node in outputs], [*inputs, *self_kv, *cross_kv], "step")

    def lm_head(self, suppressed: Sequence[int]) -> Any:
        """Build the graph from final states to logits.

        Input: `f32[n_rows, width]`. Outputs: logits of text `f32[n_rows, n_chunks * CHUNK]`, of which those
        from `end_of_text` on are padding; of all other ids `f32[n_rows, n_vocab - end_of_text]`; and of text
        without `suppressed` ids the largest of each chunk `f32[n_rows, n_chunks]` and the logarithm of the
        summed exponentials, `f32[n_rows, 1]`.
        """
        o, shape = self._o, self._shape
        states = self._input("states", [-1, shape.width], self._ov.Type.f32)
        text_matrix, special_matrix = self._lm_head_matrices()
        text = o.matmul(states, text_matrix, False, True)
        allowed = o.add(text, self._constant(suppression_mask(shape, suppressed)[np.newaxis]))
        by_chunk = self._reshape(allowed, [0, shape.n_chunks, CHUNK])
        chunk_max = o.reduce_max(by_chunk, self._constant([2]), False)
        highest = o.reduce_max(chunk_max, self._constant([1]), True)
        summed = o.reduce_sum(o.exp(o.subtract(allowed, highest)), self._constant([1]), True)
        special = o.matmul(states, special_matrix, False, True)
        outputs = [text, special, chunk_max, o.add(highest, o.log(summed))]
        return self._ov.Model([node.output(0) for node in outputs], [states], "lm_head")

    def _embed(self, tokens: Any, positions: Any) -> Any:
        o, zero, name = self._o, self._constant(0), "decoder/embeddings/weight"
        encodings = self._constant(self._weights["decoder/position_encodings/encodings"])
        if self._precision == "f32":
            embedded = o.gather(self._constant(self._weights[name]), tokens, zero)
        else:
            values, scales = (
                o.gather(o.constant(n), tokens, zero) for n in quantized_rows(self._weights, name)
            )
            embedded = o.multiply(o.convert(values, self._ov.Type.f32), scales)
        return o.add(embedded, o.gather(encodings, positions, zero))

    def _self_attention(self, name: str, hidden: Any, named: Mapping[str, Any], cache: Any) -> Any:
        projected = self._linear(f"{name}/linear_0", self._norm(f"{name}/layer_norm", hidden))
        parts = self._o.split(projected, self._constant(1), 3)
        attended = self._paged_attention(parts.outputs(), cache, named)
        return self._linear(f"{name}/linear_1", attended)

    def _cross_attention(self, name: str, queries: Any, named: Mapping[str, Any], cross_kv: Any) -> Any:
        """Attend to the encoder's output: sequences of a window share its keys and values.

        Keys and values are the left sides of the products where they can be, since OpenVINO would have to
        rearrange a right side, and they are large while there are few queries.
        """
        o, shape, (keys, values) = self._o, self._shape, cross_kv
        grid = o.gather(queries, named["window_tokens"], self._constant(0))
        grid = self._transpose(self._reshape(grid, [0, 0, shape.n_heads, shape.head]), [0, 2, 1, 3])
        weights = self._transpose(o.matmul(self._to_f32(keys), grid, False, True), [0, 1, 3, 2])
        attended = o.matmul(o.softmax(weights, -1), self._to_f32(values), False, False)
        flat = self._reshape(self._transpose(attended, [0, 2, 1, 3]), [-1, shape.width], special=False)
        return self._linear(f"{name}/linear_2", o.gather(flat, named["grid_positions"], self._constant(0)))

    def _alignment_queries(self, layer: int, queries: Any) -> list[Any]:
        """Return the queries of each alignment head of a layer, in order."""
        size = self._shape.head
        columns = [
            np.arange(h * size, (h + 1) * size) for at, h in self._shape.alignment_heads if at == layer
        ]
        return [self._o.gather(queries, self._constant(c), self._constant(1)) for c in columns]

    def _lm_head_matrices(self) -> list[Any]:
        """Return the matrix of text, padded with zeros, and that of all other ids.

        But for f32 they are of 8 bits: there is little to read in every step, and OpenVINO multiplies them
        with states that it quantizes to 8 bits by groups.
        """
        name, end = "decoder/projection/weight", self._shape.end_of_text
        padding = ((0, self._shape.n_chunks * CHUNK - end), (0, 0))
        if self._precision == "f32":
            matrix = self._weights[name]
            return [self._o.constant(np.pad(matrix[:end], padding)), self._o.constant(matrix[end:])]
        values, scales = quantized_rows(self._weights, name)
        return [
            self._scaled(np.pad(values[:end], padding), np.pad(scales[:end], padding)),
            self._scaled(values[end:], scales[end:]),
        ]

    def _paged_attention(self, parts: Any, cache: Any, named: Mapping[str, Any]) -> Any:
        """Attend to the earlier tokens of each sequence, whose keys and values lie in blocks of a cache."""
        scale = self._constant(np.float32(self._shape.head**-0.5))
        names = ("past_lens", "subsequence_begins", "block_indices", "block_indices_begins")
        layout = [named[name] for name in names]
        inputs = [scale, self._constant(0), self._empty(np.float32, 1), named["max_context_len"]]
        node = self._ov.op._PagedAttentionExtension(
            [*parts, *(node.output(0) for node in (*cache, *layout, *inputs, *self._unused_inputs()))]
        )
        info = node.get_rt_info()
        for side in ("k", "v"):
            info[f"num_{side}_heads"], info[f"{side}_head_size"] = self._shape.n_heads, self._shape.head
        return node.output(0)

    def _unused_inputs(self) -> list[Any]:
        """Return the inputs of paged attention whose features are not used here: empty."""
        i32, f32 = np.int32, np.float32
        return [
            self._empty(i32, 1),  # score aggregation window
            *(self._empty(i32, 1), self._empty(i32, 2), self._empty(f32, 2)),  # cache rotation
            *(self._empty(f32, 1), self._constant(0), self._constant(0)),  # sparse attention
            self._empty(f32, 4),  # sinks
            *(self._constant(0), *(self._empty(i32, 1) for _ in range(3))),  # eviction
            self._empty(i32, 1),  # token types
            *(self._empty(np.uint8, 1), self._empty(i32, 1)),  # bias between queries
        ]

    def _norm(self, name: str, hidden: Any) -> Any:
        o = self._o
        centred = o.mvn(hidden, self._constant([-1]), True, _EPSILON, "inside_sqrt")
        scaled = o.multiply(centred, self._constant(self._weights[f"{name}/gamma"]))
        return o.add(scaled, self._constant(self._weights[f"{name}/beta"]))

    def _linear(self, name: str, hidden: Any, rows: slice = _ALL, scale: np.float32 = _ONE) -> Any:
        """Project states by some rows of a matrix and its bias, both of them scaled."""
        if self._precision == "int8":
            values, scales = quantized_rows(self._weights, f"{name}/weight")
            matrix = self._scaled(values[rows], scales[rows] * scale)
        else:
            matrix = self._matrix(self._weights[f"{name}/weight"][rows] * scale)
        bias = self._constant(self._weights[f"{name}/bias"][rows] * scale)
        return self._o.add(self._o.matmul(hidden, matrix, False, True), bias)

    def _matrix(self, array: NDArray[np.float32]) -> Any:
        """Return a constant that computes as float32 and is kept in memory in the graph's type."""
        if self._type == self._ov.Type.f32:
            return self._o.constant(np.ascontiguousarray(array))
        return openvino_runtime.widened(openvino_runtime.bfloat16(array))

    def _scaled(self, values: NDArray[np.int8], scales: NDArray[np.float32]) -> Any:
        wide = self._o.convert(self._o.constant(values), self._ov.Type.f32)
        return self._o.multiply(wide, self._o.constant(scales))

    def _to_f32(self, node: Any) -> Any:
        f32 = self._ov.Type.f32
        return node if self._type == f32 else self._o.convert(node, f32)

    def _input(self, name: str, dims: list[int], type_: Any) -> Any:
        node = self._o.parameter(dims, type_)
        node.set_friendly_name(name)
        node.output(0).set_names({name})
        return node

    def _constant(self, value: Any) -> Any:
        array = np.asarray(value)
        return self._o.constant(array.astype(np.int32 if array.dtype.kind == "i" else np.float32))

    def _empty(self, dtype: Any, rank: int) -> Any:
        return self._o.constant(np.zeros((0,) * rank, dtype))

    def _reshape(self, node: Any, dims: list[int], *, special: bool = True) -> Any:
        return self._o.reshape(node, self._constant(dims), special)

    def _transpose(self, node: Any, order: list[int]) -> Any:
        return self._o.transpose(node, self._constant(order))
