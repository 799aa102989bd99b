"""Folders of Whisper weights: their format, damage that shows without checksums, languages, and shape.

Knows no runtime: nothing is loaded, only headers and small files are read, in milliseconds. Formats:
CTranslate2 (`model.bin`, `config.json`, `vocabulary.*`) and Hugging Face transformers (`config.json` with
`model_type`, safetensors, a tokenizer).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.weights.ctranslate2_file import entries, is_whisper
from hearsay.errors import ConfigurationError, DownloadFailed

BINARY = "model.bin"
"""CTranslate2's weights."""

TENSORS = "model.safetensors"
"""Hugging Face's weights when in one piece."""

TENSORS_INDEX = "model.safetensors.index.json"
"""Hugging Face's list of pieces."""

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
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
    """Return whether a folder holds every file of a Whisper in CTranslate2's format."""
    complete = (folder / BINARY).is_file() and (folder / "config.json").is_file()
    return complete and _vocabulary_file(folder) is not None


def is_transformers(folder: Path) -> bool:
    """Return whether a folder holds a Whisper in Hugging Face's format with safetensors, to be converted."""
    if (folder / BINARY).exists() or not any((folder / name).is_file() for name in (TENSORS, TENSORS_INDEX)):
        return False
    try:
        return bool(read_json(folder / "config.json").get("model_type") == "whisper")
    except DownloadFailed:
        return False


def damage(folder: Path) -> Iterator[str]:
    """Return what is wrong with a folder as far as it shows at a glance, one sentence each."""
    if is_transformers(folder):
        return
    if not is_converted(folder):
        yield "config.json, model.bin or vocabulary.json is missing."
        return
    if not is_whisper(folder / BINARY):
        yield "model.bin is not a CTranslate2 Whisper."
    try:
        read_json(folder / "config.json")
    except DownloadFailed:
        yield "config.json is not JSON."


def languages(folder: Path) -> tuple[str, ...]:
    """Return the codes of the languages that a Whisper of either format knows.

    English-only vocabularies lack the empty token (CTranslate2's own test).
    Raises: `ConfigurationError` where the vocabulary cannot be read.
    """
    try:
        if is_transformers(folder):
            vocabulary = tokenizer.read(folder)
            multilingual = read_generation(folder).get("is_multilingual") is not False
            return tuple(vocabulary.languages) if multilingual and vocabulary.multilingual else ("en",)
        tokens = _tokens(folder)
    except (DownloadFailed, TypeError, ValueError) as error:
        raise ConfigurationError(f"{folder} holds a file that is not a vocabulary: {error}") from error
    if "" not in tokens:
        return ("en",)
    found = (_LANGUAGE.fullmatch(token) for token in tokens[-2000:])
    return tuple(match[1] for match in found if match) or ("en",)


def check(folder: Path) -> Shape:
    """Check a folder in CTranslate2's format down to every header, and return the model's shape.

    Raises: `DownloadFailed` for missing or cut files, `ConfigurationError` where it is not a Whisper model.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.")
    if not (folder / BINARY).is_file():
        raise DownloadFailed(_why_not_weights(folder))
    if _vocabulary_file(folder) is None:
        raise DownloadFailed(f"{folder} has no {_VOCABULARIES[0]}; download the model again.")
    return _shape(folder / BINARY, read_json(folder / "config.json"))


def read_generation(folder: Path) -> dict[str, Any]:
    """Read Hugging Face's settings of the search; empty where there are none. Raises: `DownloadFailed`."""
    path = folder / "generation_config.json"
    return read_json(path) if path.is_file() else {}


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


def _vocabulary_file(folder: Path) -> Path | None:
    return next((folder / name for name in _VOCABULARIES if (folder / name).is_file()), None)


def _tokens(folder: Path) -> list[str]:
    """Read the tokens of a converted Whisper, by id. Raises: `ValueError` where they are no list."""
    path = _vocabulary_file(folder)
    text = path.read_text(encoding="utf-8") if path is not None else ""
    return list(json.loads(text) if path is not None and path.suffix == ".json" else text.splitlines())


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
