"""A Whisper made wider and deeper without a change to what it computes: the sizes, and the arithmetic.

Knows no file. Names and layouts are those of CTranslate2's `WhisperSpec`. Every channel is there k times, so
each weight between channels is divided by k; heads are repeated and stay 64 wide, which leaves the scale of
attention alone; the logits reuse the embedding, so the decoder's last layer norm is divided by k; layers that
the model did not have write zeros. The idea is that of Net2Net (Chen et al., arXiv:1511.05641), but
without its noise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

HEAD_WIDTH = 64
"""Channels of one attention head, in every Whisper."""

_MARK = np.float32(1e-20)
"""Makes matrices of zeros differ: it vanishes in any sum, and keeps equal ones from being stored once,
which would spare a runtime the memory traffic of the real model."""

_LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/(.+)")
_WRITING = ("self_attention/linear_1", "attention/linear_2", "ffn/linear_1")
_PLACES = [f"{side}/{place}" for side in ("encoder", "decoder") for place in _WRITING]
_PARTS = {"self_attention/linear_0": 3, "attention/linear_1": 2}
"""Projections that lie in one matrix: query, key and value; key and value."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a Whisper is."""

    width: int
    """Channels."""
    encoder_layers: int
    decoder_layers: int

    @property
    def n_heads(self) -> int:
        """Attention heads of each layer."""
        return self.width // HEAD_WIDTH


SHAPES = {
    "tiny": Shape(384, 4, 4),
    "base": Shape(512, 6, 6),
    "small": Shape(768, 12, 12),
    "medium": Shape(1024, 24, 24),
    "large-v2": Shape(1280, 32, 32),
    "turbo": Shape(1280, 32, 4),
}
"""The published sizes; "turbo" has 80 mels here, as the model that it is made from."""


def shape_of(weights: Mapping[str, Floats]) -> Shape:
    """Measure a model."""
    layers = dict.fromkeys(("encoder", "decoder"), 0)
    for name in weights:
        if found := _LAYER.fullmatch(name):
            layers[found[1]] = max(layers[found[1]], int(found[2]) + 1)
    return Shape(len(weights["encoder/layer_norm/gamma"]), layers["encoder"], layers["decoder"])


def inflated(weights: Mapping[str, Floats], shape: Shape) -> dict[str, Floats]:
    """Return the weights of a model of that shape with the same answers.

    Raises: `ValueError` if impossible.
    """
    old = shape_of(weights)
    times = _times(old, shape)
    names = [name for name in weights if not name.endswith("_scale") and np.ndim(weights[name])]
    result = {name: wider(name, weights[name], times) for name in names}
    for side, had, wanted in (
        ("encoder", old.encoder_layers, shape.encoder_layers),
        ("decoder", old.decoder_layers, shape.decoder_layers),
    ):
        for number in range(had, wanted):
            result |= _idle_layer(result, side, number, number % had)
    return result


def wider(name: str, values: Floats, times: int) -> Floats:
    """Repeat every channel of one array; weights between channels share what was one weight."""
    kind = name.rsplit("/", 1)[-1]
    if name.startswith("decoder/layer_norm/"):
        return np.tile(values, times) / np.float32(times)
    if kind in ("gamma", "beta"):
        return np.tile(values, times)
    if kind == "encodings" or name in ("decoder/embeddings/weight", "decoder/projection/weight"):
        return np.tile(values, (1, times))
    if name == "encoder/conv1/weight":
        return np.tile(values, (times, 1, 1))
    n_parts = next((n for part, n in _PARTS.items() if f"/{part}/" in name), 1)
    parts = np.split(values, n_parts)
    if kind == "bias":
        return np.concatenate([np.tile(part, times) for part in parts])
    copies = (times, times, *[1] * (values.ndim - 2))
    wide: Floats = np.concatenate([np.tile(part, copies) for part in parts])
    return wide / np.float32(times)


def repeated_heads(heads: list[list[int]], old: Shape, shape: Shape) -> list[list[int]]:
    """Return the (layer, head) pairs that do what those of the model did."""
    times = _times(old, shape)
    return [[layer, head + old.n_heads * copy] for layer, head in heads for copy in range(times)]


def _times(old: Shape, new: Shape) -> int:
    times, rest = divmod(new.width, old.width)
    if rest or not times or old.width % HEAD_WIDTH:
        raise ValueError(f"{old.width} channels cannot be repeated to make {new.width}")
    if new.encoder_layers < old.encoder_layers or new.decoder_layers < old.decoder_layers:
        raise ValueError(f"{old} has more layers than {new}")
    return times


def _idle_layer(weights: Mapping[str, Floats], side: str, number: int, like: int) -> dict[str, Floats]:
    """Make a layer that reads as another one does, its rows moved so that it is no copy, and writes zeros."""
    prefix = f"{side}/layer_{like}/"
    layer = {}
    for name in [name for name in weights if name.startswith(prefix)]:
        place, kind = name.removeprefix(prefix).rsplit("/", 1)
        if place in _WRITING:
            values = np.zeros_like(weights[name])
            if kind == "weight":
                values[number, _PLACES.index(f"{side}/{place}")] = _MARK
        else:
            values = np.roll(weights[name], number, axis=0)
        layer[f"{side}/layer_{number}/{place}/{kind}"] = values
    return layer
