"""Conversion of a Whisper from Hugging Face's format to CTranslate2's, with numpy alone.

Knows no audio, and loads no model. Names and layout follow CTranslate2's own converter (`WhisperLoader`),
which needs PyTorch and transformers. Weights of 16 bits stay at 16 and others at 32; loading makes them
smaller still.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.weights.folder import TENSORS, TENSORS_INDEX, read_generation, read_json
from hearsay.engines.whisper.weights.safetensors_file import Tensors
from hearsay.errors import ConfigurationError, DownloadFailed

if TYPE_CHECKING:
    from ctranslate2.specs import WhisperSpec

_STAMP = "hearsay-source.json"
"""File in a converted folder that says what it was made from."""

_TIMESTAMP_SECONDS = 0.02


def converted(folder: Path, into: Path) -> Path:
    """Return the conversion of a folder, a folder inside `into`; make it where it is missing or outdated.

    Its name begins with that of the source, so that an operator sees what may be deleted. One process
    converts, and others wait for it.
    Raises: `DownloadFailed` for missing or damaged files, `ConfigurationError` for a model that is not
    Whisper.
    """
    folder = folder.resolve()
    target = into / f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if not _is_current(target, folder):
        try:
            into.mkdir(parents=True, exist_ok=True)
            with FileLock(into / ".lock"):
                if not _is_current(target, folder):
                    shutil.rmtree(target, ignore_errors=True)
                    convert(folder, target)
        except OSError as error:
            raise ConfigurationError(f"The conversion {target} cannot be written: {error}") from error
    return target


def _is_current(target: Path, folder: Path) -> bool:
    return (target / _STAMP).is_file() and read_json(target / _STAMP) == _stamp(folder)


def convert(folder: Path, into: Path) -> None:
    """Convert a folder with `config.json`, safetensors and a tokenizer into the new folder `into`.

    Raises: `DownloadFailed` for missing or damaged files, `ConfigurationError` for a model that is not
    Whisper.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") != "whisper":
        raise ConfigurationError(f"{folder} holds a {config.get('model_type')!r} model, not a Whisper.")
    tensors = Tensors(*_files(folder))
    vocabulary = tokenizer.read(folder)
    spec = _spec(config, tensors)
    spec.register_vocabulary(_names(vocabulary, int(config["vocab_size"])))
    _configure(spec, config, read_generation(folder), vocabulary)
    spec.validate()
    spec.optimize(quantization="float32" if tensors.is_single_precision() else "float16")

    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        _save(spec, vocabulary, folder, into)
    except OSError as error:
        raise ConfigurationError(f"The conversion {into} cannot be written: {error}") from error


def _save(spec: WhisperSpec, vocabulary: tokenizer.Vocabulary, folder: Path, into: Path) -> None:
    """Write a conversion beside its place, then move it there at once."""
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".converting-") as temporary:
        unfinished = Path(temporary) / into.name
        unfinished.mkdir()
        spec.save(str(unfinished))
        (unfinished / "tokenizer.json").write_text(tokenizer.to_json(vocabulary), encoding="utf-8")
        (unfinished / _STAMP).write_text(json.dumps(_stamp(folder)), encoding="utf-8")
        try:
            unfinished.rename(into)
        except OSError:
            if not (into / _STAMP).is_file():  # Otherwise another process was faster.
                raise


def _files(folder: Path) -> list[Path]:
    if (folder / TENSORS).is_file():
        return [folder / TENSORS]
    index = read_json(folder / TENSORS_INDEX)
    return [folder / Path(name).name for name in sorted(set(index["weight_map"].values()))]


def _stamp(folder: Path) -> dict[str, Any]:
    """Describe the source so that any change of its files shows."""
    files = [*_files(folder), *sorted(folder.glob("*.json")), *folder.glob("merges.txt")]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.is_file()}


def _spec(config: dict[str, Any], tensors: Tensors) -> WhisperSpec:
    from ctranslate2.specs import WhisperSpec

    spec = WhisperSpec(
        config["encoder_layers"],
        config["encoder_attention_heads"],
        config["decoder_layers"],
        config["decoder_attention_heads"],
    )
    weights = _Weights(tensors)
    try:
        weights.encoder(spec.encoder)
        weights.decoder(spec.decoder)
    except KeyError as error:
        raise DownloadFailed(f"The weights lack {error.args[0]}; is this a whole Whisper?") from error
    return spec


class _Weights:
    """Puts tensors of one naming into specifications of the other."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._prefix = "model." if "model.encoder.conv1.weight" in tensors else ""
        wide = tensors.is_single_precision()
        self._type = np.float32 if wide else np.float16

    def encoder(self, spec: Any) -> None:
        for convolution in ("conv1", "conv2"):
            self._linear(getattr(spec, convolution), f"encoder.{convolution}")
        self._ends(spec, "encoder")
        for number, layer in enumerate(spec.layer):
            self._layer(layer, f"encoder.layers.{number}")

    def decoder(self, spec: Any) -> None:
        spec.embeddings.weight = self._get("decoder.embed_tokens.weight")
        tied = "proj_out.weight" not in self._tensors
        spec.projection.weight = spec.embeddings.weight if tied else self._typed("proj_out.weight")
        self._ends(spec, "decoder")
        for number, layer in enumerate(spec.layer):
            name = f"decoder.layers.{number}"
            self._layer(layer, name)
            self._norm(layer.attention.layer_norm, f"{name}.encoder_attn_layer_norm")
            self._fused(layer.attention.linear[0], f"{name}.encoder_attn", "q")
            self._fused(layer.attention.linear[1], f"{name}.encoder_attn", "kv")
            self._linear(layer.attention.linear[2], f"{name}.encoder_attn.out_proj")

    def _ends(self, spec: Any, name: str) -> None:
        spec.position_encodings.encodings = self._get(f"{name}.embed_positions.weight")
        self._norm(spec.layer_norm, f"{name}.layer_norm")

    def _layer(self, spec: Any, name: str) -> None:
        self._norm(spec.self_attention.layer_norm, f"{name}.self_attn_layer_norm")
        self._fused(spec.self_attention.linear[0], f"{name}.self_attn", "qkv")
        self._linear(spec.self_attention.linear[1], f"{name}.self_attn.out_proj")
        self._norm(spec.ffn.layer_norm, f"{name}.final_layer_norm")
        self._linear(spec.ffn.linear_0, f"{name}.fc1")
        self._linear(spec.ffn.linear_1, f"{name}.fc2")

    def _norm(self, spec: Any, name: str) -> None:
        spec.gamma, spec.beta = self._get(f"{name}.weight"), self._get(f"{name}.bias")

    def _linear(self, spec: Any, name: str) -> None:
        spec.weight, spec.bias = self._get(f"{name}.weight"), self._get(f"{name}.bias")

    def _fused(self, spec: Any, name: str, parts: str) -> None:
        """Put projections on top of each other; that of the keys has no bias."""
        weights = [self._get(f"{name}.{part}_proj.weight") for part in parts]
        biases = [
            self._get(f"{name}.{part}_proj.bias") if part != "k" else np.zeros(len(weight), self._type)
            for part, weight in zip(parts, weights, strict=True)
        ]
        spec.weight, spec.bias = np.concatenate(weights), np.concatenate(biases)

    def _get(self, name: str) -> np.ndarray[Any, Any]:
        return self._typed(self._prefix + name)

    def _typed(self, name: str) -> np.ndarray[Any, Any]:
        return self._tensors[name].astype(self._type)


def _names(vocabulary: tokenizer.Vocabulary, size: int) -> list[str]:
    """List every token by id; timestamps that the tokenizer does not name follow its last one."""
    known = {id_: token for token, id_ in (*vocabulary.pieces.items(), *vocabulary.special.items())}
    begin = vocabulary.timestamp_begin
    return [known.get(id_, f"<|{(id_ - begin) * _TIMESTAMP_SECONDS:.2f}|>") for id_ in range(size)]


def _configure(
    spec: WhisperSpec, config: dict[str, Any], generation: dict[str, Any], vocabulary: tokenizer.Vocabulary
) -> None:
    blank = [*vocabulary.encode(" "), vocabulary.end_of_text]
    layers, heads = config["decoder_layers"], config["decoder_attention_heads"]
    upper_half = [list(pair) for pair in product(range(layers // 2, layers), range(heads))]
    spec.config.suppress_ids = list(vocabulary.suppressed)
    spec.config.suppress_ids_begin = generation.get("begin_suppress_tokens") or blank
    spec.config.lang_ids = sorted(vocabulary.languages.values())
    spec.config.alignment_heads = generation.get("alignment_heads") or upper_half
