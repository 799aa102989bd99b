"""Folders of Whisper weights: which format one is in, whether it is whole, and what shape the model has.

Knows no runtime: nothing is loaded, only headers are read, so that a check takes milliseconds. The layout of
`model.bin` is that of CTranslate2 `specs/model_spec.py`.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hearsay.errors import ConfigurationError, DownloadFailed

BINARY = "model.bin"
"""CTranslate2's weights."""

TENSORS = "model.safetensors"
"""Hugging Face's weights when in one piece."""

TENSORS_INDEX = "model.safetensors.index.json"
"""Hugging Face's list of pieces."""

_BINARY_VERSIONS = (5, 6)
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
    n_languages: int
    """Languages that it can detect; 0 for English-only models."""
    aligns: bool
    """Whether it is known which heads attend to the word that is said, as word times need."""


def is_converted(folder: Path) -> bool:
    """Say whether a folder holds weights in CTranslate2's format."""
    return (folder / BINARY).is_file()


def is_transformers(folder: Path) -> bool:
    """Say whether a folder holds a Whisper in Hugging Face's format with safetensors."""
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
    try:
        with path.open("rb") as file:
            shapes = _variables(file, path.stat().st_size)
        return Shape(
            n_mels=shapes["encoder/conv1/weight"][1],
            n_audio_ctx=shapes["encoder/position_encodings/encodings"][0],
            n_text_ctx=shapes["decoder/position_encodings/encodings"][0],
            n_vocab=shapes["decoder/embeddings/weight"][0],
            n_languages=len(config.get("lang_ids") or ()),
            aligns=bool(config.get("alignment_heads")),
        )
    except struct.error as error:
        raise DownloadFailed(f"{path} is cut short; download the model again.") from error
    except KeyError as error:
        raise ConfigurationError(f"{path} is not a Whisper model: it has no {error.args[0]}.") from error


def _variables(file: BinaryIO, size: int) -> dict[str, tuple[int, ...]]:
    """Walk the headers of all weights: the shape of each by name. Raises `struct.error` at an early end."""
    (version,) = _read(file, "<I")
    if version not in _BINARY_VERSIONS:
        raise ConfigurationError(
            f"{file.name} is not a CTranslate2 model, or from a release that is too new."
        )
    if _text(file) != "WhisperSpec":
        raise ConfigurationError(f"{file.name} is a CTranslate2 model, but not a Whisper.")
    _revision, n_variables = _read(file, "<II")
    shapes: dict[str, tuple[int, ...]] = {}
    for _ in range(n_variables):
        name = _text(file)
        (rank,) = _read(file, "<B")
        shapes[name] = _read(file, f"<{rank}I")
        _type, n_bytes = _read(file, "<BI")
        if file.seek(n_bytes, 1) > size:
            raise struct.error(f"{name} is cut short")
    (n_aliases,) = _read(file, "<I")
    for _ in range(n_aliases):
        alias, target = _text(file), _text(file)
        shapes[alias] = shapes[target]
    return shapes


def _read(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _text(file: BinaryIO) -> str:
    (length,) = _read(file, "<H")
    (text,) = struct.unpack(f"<{length}s", file.read(length))
    return bytes(text).rstrip(b"\0").decode(errors="replace")
