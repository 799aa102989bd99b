"""Whisper's text decoder without a runtime: its sizes, how its logits are laid out, and a reference in numpy.

Knows no graph and no cache. The reference computes in float32 and is slow: other implementations are measured
against it. The network is that of openai/whisper `model.py` (TextDecoder); the error function is Abramowitz
and Stegun 7.1.26, to 1.5e-7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hearsay.errors import ConfigurationError

if TYPE_CHECKING:
    from hearsay.engines.whisper.weights.ctranslate2_file import Weights

Floats = NDArray[np.float32]

BLOCK = 32
"""Positions in a block of the key-value cache; OpenVINO's CPU kernels want this size."""

CHUNK = 128
"""Neighbouring text tokens of which the largest logit is computed."""

LEAST = np.float32(-1e30)
"""Stands for minus infinity in a format of any width, and can be subtracted from itself."""


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
    """Layer and head of those that attend to the word being said, in order; a step returns their queries."""

    @property
    def head(self) -> int:
        """Size of one attention head."""
        return self.width // self.n_heads

    @property
    def n_chunks(self) -> int:
        """Chunks of text tokens; the last one is padded."""
        return -(-self.end_of_text // CHUNK)


def read_shape(
    weights: Weights, *, end_of_text: int, alignment_heads: Sequence[tuple[int, int]] = ()
) -> DecoderShape:
    """Return the sizes of a decoder by the names and shapes of its weights.

    `alignment_heads` are layers and heads, in any order. Raises: `ConfigurationError` for one that it lacks.
    """
    n_layers = sum(
        name.startswith("decoder/layer_") and name.endswith("/ffn/layer_norm/gamma") for name in weights
    )
    n_vocab, width = weights["decoder/embeddings/weight"].shape
    n_heads = int(weights["decoder/num_heads"])
    if not all(0 <= layer < n_layers and 0 <= head < n_heads for layer, head in alignment_heads):
        raise ConfigurationError("config.json names alignment_heads that the model does not have.")
    return DecoderShape(n_layers, n_heads, width, n_vocab, end_of_text, tuple(sorted(alignment_heads)))


def suppression_mask(shape: DecoderShape, suppressed: Sequence[int]) -> Floats:
    """Return what is added to logits of text: `LEAST` for padding and for `suppressed` ids, else 0.

    Shape: `float32[n_chunks * CHUNK]`.
    """
    mask = np.zeros(shape.n_chunks * CHUNK, np.float32)
    mask[shape.end_of_text :] = LEAST
    mask[[id_ for id_ in suppressed if id_ < shape.end_of_text]] = LEAST
    return mask


def reference_logits(
    weights: Mapping[str, Floats], shape: DecoderShape, encoding: Floats, tokens: Sequence[int]
) -> Floats:
    """Compute `float32[n_tokens, n_vocab]` from an encoding, `float32[n_positions, width]`, and tokens."""
    positions = weights["decoder/position_encodings/encodings"][: len(tokens)]
    hidden = weights["decoder/embeddings/weight"][list(tokens)] + positions
    causal = np.triu(np.full((len(tokens), len(tokens)), -np.inf, np.float32), 1)
    for layer in range(shape.n_layers):
        name = f"decoder/layer_{layer}"
        normed = _norm(weights, f"{name}/self_attention", hidden)
        fused = _linear(weights, f"{name}/self_attention/linear_0", normed)
        queries, keys, values = np.split(fused, 3, axis=1)
        attended = _attention(shape, queries, keys, values, causal)
        hidden = hidden + _linear(weights, f"{name}/self_attention/linear_1", attended)
        normed = _norm(weights, f"{name}/attention", hidden)
        queries = _linear(weights, f"{name}/attention/linear_0", normed)
        fused = _linear(weights, f"{name}/attention/linear_1", encoding)
        keys, values = np.split(fused, 2, axis=1)
        attended = _attention(shape, queries, keys, values, np.zeros(1, np.float32))
        hidden = hidden + _linear(weights, f"{name}/attention/linear_2", attended)
        inner = _gelu(_linear(weights, f"{name}/ffn/linear_0", _norm(weights, f"{name}/ffn", hidden)))
        hidden = hidden + _linear(weights, f"{name}/ffn/linear_1", inner)
    logits = _norm(weights, "decoder", hidden) @ weights["decoder/projection/weight"].T
    return np.asarray(logits, np.float32)


def _attention(shape: DecoderShape, queries: Floats, keys: Floats, values: Floats, mask: Floats) -> Floats:
    query, key, value = (
        part.reshape(len(part), shape.n_heads, shape.head).swapaxes(0, 1) for part in (queries, keys, values)
    )
    scores = query @ key.swapaxes(1, 2) * np.float32(shape.head**-0.5) + mask
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    attended: Floats = (scores @ value).swapaxes(0, 1).reshape(len(queries), shape.width)
    return attended


def _linear(weights: Mapping[str, Floats], name: str, hidden: Floats) -> Floats:
    product: Floats = hidden @ weights[f"{name}/weight"].T + weights[f"{name}/bias"]
    return product


def _norm(weights: Mapping[str, Floats], name: str, hidden: Floats) -> Floats:
    centred = hidden - hidden.mean(axis=-1, keepdims=True)
    scaled: Floats = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    return scaled * weights[f"{name}/layer_norm/gamma"] + weights[f"{name}/layer_norm/beta"]


def _gelu(hidden: Floats) -> Floats:
    x = np.abs(hidden) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * x)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    error = np.sign(hidden) * (1 - series * np.exp(-x * x))
    gelu: Floats = np.float32(0.5) * hidden * (1 + error)
    return gelu
