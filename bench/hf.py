"""A Whisper as a folder in Hugging Face's format: safetensors, configurations and tokenizer files.

Knows no runtime. Names follow transformers' `WhisperForConditionalGeneration`; the tensor file is written as
the safetensors format describes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.shapes import Floats, Shape
from hearsay.engines.whisper import tokenizer

_TYPES = {"float32": ("F32", np.float32), "float16": ("F16", np.float16)}

_LAYER = re.compile(r"(encoder|decoder)/layer_(\d+)/(self_attention|attention|ffn)/(\w+)/(\w+)")
_ENDS = {
    "encoder/position_encodings/encodings": "encoder.embed_positions.weight",
    "decoder/position_encodings/encodings": "decoder.embed_positions.weight",
    "decoder/embeddings/weight": "decoder.embed_tokens.weight",
}
_NORMS = {"gamma": "weight", "beta": "bias"}
_NORM = {
    "self_attention": "self_attn_layer_norm",
    "attention": "encoder_attn_layer_norm",
    "ffn": "final_layer_norm",
}
_PLACES = {
    ("self_attention", "linear_0"): ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attention", "linear_1"): ("self_attn.out_proj",),
    ("attention", "linear_0"): ("encoder_attn.q_proj",),
    ("attention", "linear_1"): ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    ("attention", "linear_2"): ("encoder_attn.out_proj",),
    ("ffn", "linear_0"): ("fc1",),
    ("ffn", "linear_1"): ("fc2",),
}


def write(
    weights: Mapping[str, Floats], shape: Shape, config: Mapping[str, Any], folder: Path, precision: str
) -> None:
    """Write a whole folder beside the `tokenizer.json` that is there already."""
    tensors = dict(named(weights))
    _save(tensors, folder / "model.safetensors", precision)
    vocabulary = tokenizer.read(folder)
    for name, content in (
        ("config", _config(weights, shape, config, precision)),
        ("generation_config", _generation(config, vocabulary)),
        ("vocab", vocabulary.pieces),
        ("added_tokens", vocabulary.special),
        ("tokenizer_config", _tokenizer(vocabulary)),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in vocabulary.merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")


def named(weights: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
    """Yield every tensor by its name in transformers; fused projections are split, keys lose their bias."""
    for name, values in weights.items():
        if name == "decoder/projection/weight":
            continue  # tied to the embedding
        for new, part in _renamed(name, values):
            yield f"model.{new}", part


def _renamed(name: str, values: Floats) -> Iterator[tuple[str, Floats]]:
    found = _LAYER.fullmatch(name)
    if name in _ENDS:
        yield _ENDS[name], values
    elif not found:
        scope, kind = name.rsplit("/", 1)
        yield f"{scope.replace('/', '.')}.{_NORMS.get(kind, kind)}", values
    elif found[4] == "layer_norm":
        yield f"{found[1]}.layers.{found[2]}.{_NORM[found[3]]}.{_NORMS[found[5]]}", values
    else:
        places = _PLACES[found[3], found[4]]
        for place, part in zip(places, np.split(values, len(places)), strict=True):
            if not (place.endswith("k_proj") and found[5] == "bias"):
                yield f"{found[1]}.layers.{found[2]}.{place}.{found[5]}", part


def _save(tensors: Mapping[str, Floats], path: Path, precision: str) -> None:
    """Write a safetensors file: the length of a JSON header, the header, the numbers."""
    label, type_ = _TYPES[precision]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, values in tensors.items():
        begin, end = end, end + values.size * np.dtype(type_).itemsize
        header[name] = {"dtype": label, "shape": list(values.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values, type_).tobytes())


def _config(
    weights: Mapping[str, Floats], shape: Shape, config: Mapping[str, Any], precision: str
) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for side, n_layers in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        sizes |= {f"{side}_layers": n_layers, f"{side}_attention_heads": shape.n_heads}
        sizes[f"{side}_ffn_dim"] = 4 * shape.width
    end = max(config["suppress_ids_begin"])
    return (
        sizes
        | {
            "architectures": ["WhisperForConditionalGeneration"],
            "model_type": "whisper",
            "activation_function": "gelu",
            "d_model": shape.width,
            "num_hidden_layers": shape.encoder_layers,
            "num_mel_bins": weights["encoder/conv1/weight"].shape[1],
            "max_source_positions": len(weights["encoder/position_encodings/encodings"]),
            "max_target_positions": len(weights["decoder/position_encodings/encodings"]),
            "vocab_size": len(weights["decoder/embeddings/weight"]),
            "scale_embedding": False,
            "is_encoder_decoder": True,
            "tie_word_embeddings": True,
            "torch_dtype": precision,
            "suppress_tokens": config["suppress_ids"],
            "begin_suppress_tokens": config["suppress_ids_begin"],
            "decoder_start_token_id": end + 1,
        }
        | {f"{name}_token_id": end for name in ("bos", "eos", "pad")}
    )


def _generation(config: Mapping[str, Any], vocabulary: tokenizer.Vocabulary) -> dict[str, Any]:
    end = vocabulary.end_of_text
    return {
        "alignment_heads": config["alignment_heads"],
        "begin_suppress_tokens": config["suppress_ids_begin"],
        "suppress_tokens": config["suppress_ids"],
        "lang_to_id": {f"<|{code}|>": id_ for code, id_ in vocabulary.languages.items()},
        "task_to_id": {"transcribe": vocabulary.transcribe, "translate": vocabulary.translate},
        "no_timestamps_token_id": vocabulary.timestamp_begin - 1,
        "prev_sot_token_id": vocabulary.previous,
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "is_multilingual": True,
        "return_timestamps": False,
        "decoder_start_token_id": vocabulary.start,
    } | {f"{name}_token_id": end for name in ("bos", "eos", "pad")}


def _tokenizer(vocabulary: tokenizer.Vocabulary) -> dict[str, Any]:
    end = "<|endoftext|>"
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "added_tokens_decoder": {str(id_): {"content": t} | plain for t, id_ in vocabulary.special.items()},
        "model_max_length": 1024,
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
    } | {f"{name}_token": end for name in ("bos", "eos", "pad", "unk")}
