"""A Whisper with random weights and a vocabulary of bytes, in Hugging Face's format; what it must compute.

Knows no runtime: the folder is written, and the encoder and decoder are computed, with numpy alone.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.text import languages

Array = NDArray[np.float64]

WIDTH, HEADS, LAYERS = 64, 2, 2
CONTEXT = 448


@dataclass(frozen=True)
class Toy:
    """What was written."""

    folder: Path
    weights: dict[str, NDArray[np.float32]]
    special: dict[str, int]

    @property
    def n_vocab(self) -> int:
        return len(self.weights["decoder.embed_tokens.weight"])


def write(
    folder: Path,
    *,
    multilingual: bool = True,
    n_mels: int = 80,
    dtype: str = "F32",
    pieces: int = 1,
    seed: int = 0,
) -> Toy:
    """Write a model folder; `dtype` is F32, F16 or BF16, `pieces` the number of files with weights."""
    folder.mkdir(parents=True)
    vocab, merges = _bytes(multilingual)
    codes = list(languages.NAMES)[: 99 if n_mels == 80 else 100]
    names = ["endoftext", "startoftranscript", *codes, "translate", "transcribe", "startoflm", "startofprev"]
    special = {f"<|{n}|>": len(vocab) + i for i, n in enumerate([*names, "nospeech", "notimestamps"])}
    n_vocab = len(vocab) + len(special) + 1501
    weights = _weights(np.random.default_rng(seed), n_mels, n_vocab)
    config = {
        "model_type": "whisper",
        "vocab_size": n_vocab,
        "encoder_layers": LAYERS,
        "encoder_attention_heads": HEADS,
        "decoder_layers": LAYERS,
        "decoder_attention_heads": HEADS,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "added_tokens.json").write_text(json.dumps(special))
    _write_tensors(folder, {f"model.{name}": value for name, value in weights.items()}, dtype, pieces)
    return Toy(folder, weights, special)


def tensors_file(tensors: dict[str, NDArray[np.float32]], dtype: str = "F32") -> bytes:
    """Write tensors in the safetensors format."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, value in tensors.items():
        raw = _raw(value, dtype)
        edges = [len(body), len(body) + len(raw)]
        header[name] = {"dtype": dtype, "shape": value.shape, "data_offsets": edges}
        body += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def encode(toy: Toy, mel: NDArray[np.float32]) -> Array:
    """Compute the encoder's output, `float64[1500, width]`, of `float32[n_mels, 3000]`."""
    w = toy.weights
    x = _gelu(_convolve(mel.astype(np.float64), w["encoder.conv1.weight"], w["encoder.conv1.bias"], 1))
    x = _gelu(_convolve(x, w["encoder.conv2.weight"], w["encoder.conv2.bias"], 2)).T
    x = x + w["encoder.embed_positions.weight"]
    for layer in range(LAYERS):
        name = f"encoder.layers.{layer}"
        normed = _norm(x, w, f"{name}.self_attn_layer_norm")
        x = x + _attend(w, f"{name}.self_attn", normed, normed)
        x = x + _feed_forward(x, w, name)
    return _norm(x, w, "encoder.layer_norm")


def logits(toy: Toy, tokens: Sequence[int], encoded: Array) -> Array:
    """Compute what the decoder says after each token: `float64[n_tokens, n_vocab]`."""
    w = toy.weights
    embedding = w["decoder.embed_tokens.weight"].astype(np.float64)
    x = embedding[list(tokens)] + w["decoder.embed_positions.weight"][: len(tokens)]
    later = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    for layer in range(LAYERS):
        name = f"decoder.layers.{layer}"
        normed = _norm(x, w, f"{name}.self_attn_layer_norm")
        x = x + _attend(w, f"{name}.self_attn", normed, normed, later)
        x = x + _attend(w, f"{name}.encoder_attn", _norm(x, w, f"{name}.encoder_attn_layer_norm"), encoded)
        x = x + _feed_forward(x, w, name)
    result: Array = _norm(x, w, "decoder.layer_norm") @ embedding.T
    return result


def _bytes(multilingual: bool) -> tuple[dict[str, int], list[str]]:
    """Spell all bytes as GPT-2 does, with a few merges; multilingual vocabularies end with an empty token."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    merges = ["Ġ t", "h e", "Ġt he", "Ġ -", "- -", "Ã ¼"]
    tokens = [*letters, *(merge.replace(" ", "") for merge in merges), *([""] if multilingual else [])]
    return {token: i for i, token in enumerate(tokens)}, merges


def _weights(rng: np.random.Generator, n_mels: int, n_vocab: int) -> dict[str, NDArray[np.float32]]:
    w: dict[str, NDArray[np.float32]] = {}

    def draw(name: str, *shape: int, scale: float | None = None) -> None:
        deviation = scale or 1.0 / math.sqrt(math.prod(shape[1:]))
        # Numbers that bfloat16 and float16 can hold, so that one set of weights is the same in every format.
        raw = (rng.normal(size=shape) * deviation).astype(np.float32).view(np.uint32) & 0xFFFF0000
        w[name] = raw.view(np.float32)

    def norm(name: str) -> None:
        draw(f"{name}.weight", WIDTH, scale=0.5)
        draw(f"{name}.bias", WIDTH, scale=0.5)

    def attention(name: str) -> None:
        for part in ("q", "k", "v"):
            draw(f"{name}.{part}_proj.weight", WIDTH, WIDTH)
        for part in ("q_proj", "v_proj", "out_proj"):
            draw(f"{name}.{part}.bias", WIDTH, scale=0.1)
        draw(f"{name}.out_proj.weight", WIDTH, WIDTH)

    for name, n_in in (("conv1", n_mels), ("conv2", WIDTH)):
        draw(f"encoder.{name}.weight", WIDTH, n_in, 3)
        draw(f"encoder.{name}.bias", WIDTH, scale=0.1)
    draw("encoder.embed_positions.weight", 1500, WIDTH, scale=0.5)
    draw("decoder.embed_positions.weight", CONTEXT, WIDTH, scale=0.5)
    draw("decoder.embed_tokens.weight", n_vocab, WIDTH, scale=0.5)
    for side in ("encoder", "decoder"):
        norm(f"{side}.layer_norm")
        for layer in range(LAYERS):
            name = f"{side}.layers.{layer}"
            blocks = ["self_attn"] if side == "encoder" else ["self_attn", "encoder_attn"]
            for block in blocks:
                attention(f"{name}.{block}")
                norm(f"{name}.{block}_layer_norm")
            norm(f"{name}.final_layer_norm")
            draw(f"{name}.fc1.weight", 4 * WIDTH, WIDTH)
            draw(f"{name}.fc2.weight", WIDTH, 4 * WIDTH)
            draw(f"{name}.fc1.bias", 4 * WIDTH, scale=0.1)
            draw(f"{name}.fc2.bias", WIDTH, scale=0.1)
    return w


def _write_tensors(folder: Path, tensors: dict[str, NDArray[np.float32]], dtype: str, pieces: int) -> None:
    if pieces == 1:
        (folder / "model.safetensors").write_bytes(tensors_file(tensors, dtype))
        return
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for piece in range(pieces):
        file = f"model-{piece + 1:05d}-of-{pieces:05d}.safetensors"
        part = {name: tensors[name] for name in names[piece::pieces]}
        (folder / file).write_bytes(tensors_file(part, dtype))
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def _raw(value: NDArray[np.float32], dtype: str) -> bytes:
    if dtype == "BF16":
        return (np.ascontiguousarray(value).view(np.uint32) >> 16).astype("<u2").tobytes()
    return value.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def _norm(x: Array, w: dict[str, NDArray[np.float32]], name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    result: Array = scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
    return result


def _feed_forward(x: Array, w: dict[str, NDArray[np.float32]], name: str) -> Array:
    normed = _norm(x, w, f"{name}.final_layer_norm")
    hidden = _gelu(normed @ w[f"{name}.fc1.weight"].T + w[f"{name}.fc1.bias"])
    result: Array = hidden @ w[f"{name}.fc2.weight"].T + w[f"{name}.fc2.bias"]
    return result


def _attend(
    w: dict[str, NDArray[np.float32]], name: str, x: Array, memory: Array, mask: Array | float = 0.0
) -> Array:
    def heads(values: Array) -> Array:
        return values.reshape(len(values), HEADS, WIDTH // HEADS).swapaxes(0, 1)

    q = heads(x @ w[f"{name}.q_proj.weight"].T + w[f"{name}.q_proj.bias"])
    k = heads(memory @ w[f"{name}.k_proj.weight"].T)
    v = heads(memory @ w[f"{name}.v_proj.weight"].T + w[f"{name}.v_proj.bias"])
    scores = q @ k.swapaxes(1, 2) / math.sqrt(WIDTH // HEADS) + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (weights / weights.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(len(x), WIDTH)
    result: Array = mixed @ w[f"{name}.out_proj.weight"].T + w[f"{name}.out_proj.bias"]
    return result


def _convolve(x: Array, weight: NDArray[np.float32], bias: NDArray[np.float32], stride: int) -> Array:
    padded = np.pad(x, ((0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=1)[:, ::stride]
    result: Array = np.einsum("itk,oik->ot", windows, weight, optimize=True) + bias[:, None]
    return result


def _gelu(x: Array) -> Array:
    result: Array = x * 0.5 * (1.0 + _erf(x / math.sqrt(2.0)))
    return result


def _erf(x: Array) -> Array:
    """Approximate the error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1.0 / (1.0 + 0.3275911 * np.abs(x))
    terms = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    polynomial = np.zeros_like(x)
    for term in terms:
        polynomial = (polynomial + term) * t
    result: Array = np.sign(x) * (1.0 - polynomial * np.exp(-(x**2)))
    return result
