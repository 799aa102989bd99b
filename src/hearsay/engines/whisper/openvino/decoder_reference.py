"""Whisper's text decoder in numpy, in float32: slow, and what others are measured against.

Knows no runtime and no cache: a whole text in, the logits of all its tokens out. The network is that of
openai/whisper `model.py` (TextDecoder); the error function is Abramowitz and Stegun 7.1.26, to 1.5e-7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.whisper.openvino.decoder_graph import DecoderShape

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]


def logits(weights: Weights, shape: DecoderShape, heard: Floats, tokens: Sequence[int]) -> Floats:
    """Compute `float32[n_tokens, n_vocab]` from `cross_kv`, `float32[n_positions, width]`, and tokens."""
    places = weights["decoder/position_encodings/encodings"][: len(tokens)]
    flow = weights["decoder/embeddings/weight"][list(tokens)] + places
    later = np.triu(np.full((len(tokens), len(tokens)), -np.inf, np.float32), 1)
    for layer in range(shape.n_layers):
        name = f"decoder/layer_{layer}"
        normed = _norm(weights, f"{name}/self_attention/layer_norm", flow)
        queries, keys, values = np.split(
            _linear(weights, f"{name}/self_attention/linear_0", normed), 3, axis=1
        )
        found = _attention(shape, queries, keys, values, later)
        flow = flow + _linear(weights, f"{name}/self_attention/linear_1", found)
        queries = _linear(
            weights, f"{name}/attention/linear_0", _norm(weights, f"{name}/attention/layer_norm", flow)
        )
        keys, values = np.split(_linear(weights, f"{name}/attention/linear_1", heard), 2, axis=1)
        found = _attention(shape, queries, keys, values, np.zeros(1, np.float32))
        flow = flow + _linear(weights, f"{name}/attention/linear_2", found)
        inner = _linear(weights, f"{name}/ffn/linear_0", _norm(weights, f"{name}/ffn/layer_norm", flow))
        flow = flow + _linear(weights, f"{name}/ffn/linear_1", _gelu(inner))
    final = _norm(weights, "decoder/layer_norm", flow)
    found = final @ weights["decoder/projection/weight"].T
    return np.asarray(found, np.float32)


def _attention(shape: DecoderShape, queries: Floats, keys: Floats, values: Floats, mask: Floats) -> Floats:
    split = [
        part.reshape(len(part), shape.n_heads, shape.head).swapaxes(0, 1) for part in (queries, keys, values)
    ]
    scores = split[0] @ split[1].swapaxes(1, 2) * np.float32(shape.head**-0.5) + mask
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    found: Floats = (scores @ split[2]).swapaxes(0, 1).reshape(len(queries), shape.width)
    return found


def _linear(weights: Weights, name: str, flow: Floats) -> Floats:
    product: Floats = flow @ weights[f"{name}/weight"].T + weights[f"{name}/bias"]
    return product


def _norm(weights: Weights, name: str, flow: Floats) -> Floats:
    centred = flow - flow.mean(axis=-1, keepdims=True)
    scaled: Floats = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def _gelu(flow: Floats) -> Floats:
    x = np.abs(flow) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * x)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    error = np.sign(flow) * (1 - series * np.exp(-x * x))
    gelu: Floats = np.float32(0.5) * flow * (1 + error)
    return gelu
