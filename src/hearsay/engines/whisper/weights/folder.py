"""Folders of Whisper weights: which format one is in, whether it is whole, and what shape the model has.

Knows no runtime: nothing is loaded, only headers are read, so that a check takes milliseconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearsay.engines.whisper.weights.ctranslate2_file import entries
from hearsay.errors import ConfigurationError, DownloadFailed

BINARY = "model.bin"
"""CTranslate2's weights."""

TENSORS = "model.safetensors"
"""Hugging Face's weights when in one piece."""

TENSORS_INDEX = "model.safetensors.index.json"
"""Hugging Face's list of pieces."""

_LAYER = re.compile(r"decoder/layer_\d+/ffn/layer_norm/gamma")

_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the headers of the weights say about a model."""

    n_mels: int
    """Features per frame: 80, or 128 since large-v3."""
    n_audio_ctx: int
    """Positions of the encoder's output: 1500 for 30 s."""
    n_text_ctx: int
    """Positions of the decoder: 448 tokens."""
    n_vocab: int
    n_layers: int
    """Layers of the decoder."""
    width: int
    """Size of a state."""
    n_languages: int
    """Languages that it can detect; 0 for English-only models."""
    alignment_heads: tuple[tuple[int, int], ...]
    """Layer and head of those that attend to the word being said, which word times need; none if unknown."""


def is_converted(folder: Path) -> bool:
    """Return whether a folder holds weights in CTranslate2's format."""
    return (folder / BINARY).is_file()


def is_transformers(folder: Path) -> bool:
    """Return whether a folder holds a Whisper in Hugging Face's format with safetensors."""
    if not (folder / TENSORS).is_file() and not (folder / TENSORS_INDEX).is_file():
        return False
    return bool(read_json(folder / "config.json").get("model_type") == "whisper")


def check(folder: Path) -> Shape:
    """Check a folder in CTranslate2's format and give the model's shape.

    Raises: `DownloadFailed` for missing or cut files, `ConfigurationError` where it is not a Whisper model.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.")
    if not is_converted(folder):
        raise DownloadFailed(_why_not_weights(folder))
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise DownloadFailed(f"{folder} has no {_VOCABULARIES[0]}; download the model again.")
    return _shape(folder / BINARY, read_json(folder / "config.json"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of JSON whose top is an object. Raises `DownloadFailed` where it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DownloadFailed(f"{path.parent} has no {path.name}; the download is not complete.") from error
    except (OSError, ValueError) as error:
        raise DownloadFailed(f"{path} is damaged ({error}); download the model again.") from error
    if not isinstance(content, dict):
        raise DownloadFailed(f"{path} is damaged: it holds no JSON object.")
    return content


def _why_not_weights(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    if any(name.endswith((".bin", ".pt", ".pth")) for name in names):
        return f"{folder} holds PyTorch weights only; a Whisper needs {BINARY} (CTranslate2) or {TENSORS}."
    return f"{folder} holds neither {BINARY} (CTranslate2) nor {TENSORS} with a Whisper's config.json."


def _shape(path: Path, config: dict[str, Any]) -> Shape:
    found = entries(path)
    try:
        return Shape(
            n_mels=found["encoder/conv1/weight"].shape[1],
            n_audio_ctx=found["encoder/position_encodings/encodings"].shape[0],
            n_text_ctx=found["decoder/position_encodings/encodings"].shape[0],
            n_vocab=found["decoder/embeddings/weight"].shape[0],
            n_layers=sum(bool(_LAYER.fullmatch(name)) for name in found),
            width=found["decoder/embeddings/weight"].shape[1],
            n_languages=len(config.get("lang_ids") or ()),
            alignment_heads=tuple((layer, head) for layer, head in config.get("alignment_heads") or ()),
        )
    except KeyError as error:
        raise ConfigurationError(f"{path} is not a Whisper model: it has no {error.args[0]}.") from error
