"""Folders of weights: which format they are in, what their files must be, whether those are intact.

Knows neither the hub nor the catalogue, and loads nothing. Formats of Whispers: CTranslate2 (`model.bin`,
`config.json`, `vocabulary.*`) and Hugging Face transformers (`config.json` with `model_type`, safetensors);
those of voices are the affair of the engine that speaks with them.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearsay.domain import RECOGNITION, ModelCard
from hearsay.engines.whisper.cards import CONTEXT_WINDOW, TRANSCRIBE_ONLY
from hearsay.errors import ConfigurationError, DownloadFailed
from hearsay.storage.atomic import write_atomically

MANIFEST = "hearsay.json"
"""In every folder that we downloaded: repository, revision and the expected files."""

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_LEAST_MULTILINGUAL = 51865
_BLOCK = 1 << 20
_HEX = {40: "git", 64: "sha256"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What one file must be."""

    name: str
    size: int | None
    digest: str | None
    """Hexadecimal SHA-256 (64 digits), or git's SHA-1 of a blob (40 digits); None where nothing is known."""


def is_converted(folder: Path) -> bool:
    """Return whether a folder holds a complete Whisper in CTranslate2 format."""
    complete = (folder / "model.bin").is_file() and (folder / "config.json").is_file()
    return complete and _vocabulary_file(folder) is not None


def is_transformers(folder: Path) -> bool:
    """Return whether a folder holds a Whisper in Hugging Face format."""
    if (folder / "model.bin").exists() or not any(folder.glob("*.safetensors")):
        return False
    return _config(folder).get("model_type") == "whisper"


def local_card(name: str, folder: Path) -> ModelCard:
    """Describe an operator's own model from the small files in its folder.

    Raises: `ConfigurationError` where the folder is neither a Whisper nor a voice.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"The model {name} should be in {folder}, but there is no such folder.")
    if is_converted(folder):
        languages = _converted_languages(folder)
    elif is_transformers(folder):
        languages = _transformers_languages(folder)
    elif _is_voice(folder):
        from hearsay.engines.sherpa.synthesizer import describe

        return describe(name, folder)
    else:
        raise ConfigurationError(
            f"The folder {folder} of the model {name} holds no Whisper in CTranslate2 format (model.bin, "
            "config.json, vocabulary.json) or Hugging Face format (config.json, model.safetensors), and no "
            "voice in ONNX format (a model, tokens.txt)."
        )
    return ModelCard(
        id=name,
        engine="whisper",
        owner="local",
        created=int((folder / "config.json").stat().st_mtime),
        tasks=RECOGNITION if languages != ("en",) else TRANSCRIBE_ONLY,
        languages=languages,
        context_window=CONTEXT_WINDOW,
        size_bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        description="the operator's own",  # callers read this, so it names no folder
    )


def _is_voice(folder: Path) -> bool:
    from hearsay.engines.sherpa.synthesizer import is_voice

    return is_voice(folder)


def expected_files(folder: Path) -> list[Expected]:
    """Return what a folder's files must be: from our manifest, or from the blob names of the hub's cache."""
    manifest = read_manifest(folder)
    if manifest is not None:
        return [Expected(name, file["size"], file["digest"]) for name, file in manifest["files"].items()]
    found = []
    for file in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        blob = file.resolve().name if file.is_symlink() else ""
        digest = blob if len(blob) in _HEX and re.fullmatch(r"[0-9a-f]+", blob) else None
        found.append(Expected(file.relative_to(folder).as_posix(), None, digest))
    return found


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read what a download left behind; None in folders that we did not download."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


def digest_of(path: Path, kind: str) -> str:
    """Hash a file; `kind` is `sha256`, or `git` for the id that git gives it as a blob."""
    digest = hashlib.sha256()
    if kind == "git":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_intact(path: Path, expected: Expected) -> bool:
    """Return whether a file is there and is what it must be, by size and checksum."""
    if not path.is_file() or (expected.size is not None and path.stat().st_size != expected.size):
        return False
    return expected.digest is None or digest_of(path, _HEX[len(expected.digest)]) == expected.digest


class Checks:
    """Which files were found intact, so that gigabytes are hashed once and not at every start."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def damaged(self, folder: Path, *, engine: str = "whisper", thorough: bool = False) -> list[str]:
        """Return what is wrong with a folder for an engine, one sentence each; empty when all is well.

        A file that was intact and kept its size and time of change is trusted, unless `thorough`.
        """
        # Where there are checksums, they say more than a look at the structure could.
        look = _structure if engine == "whisper" else _structure_of_voice
        problems = list(look(folder)) if read_manifest(folder) is None else []
        passed = self._read()
        before = dict(passed)
        for expected in expected_files(folder):
            problem = self._check(folder / expected.name, expected, {} if thorough else passed, passed)
            problems += [problem] if problem else []
        if passed != before:
            self._write(passed)
        return problems

    def _check(
        self, path: Path, expected: Expected, trusted: dict[str, list[Any]], passed: dict[str, list[Any]]
    ) -> str | None:
        if not path.is_file():
            return f"{expected.name} is missing."
        real = path.resolve()
        state = real.stat()
        if expected.size is not None and state.st_size != expected.size:
            return f"{expected.name} has {state.st_size} bytes instead of {expected.size}."
        stamp = [state.st_size, state.st_mtime_ns, expected.digest]
        if expected.digest is None or trusted.get(str(real)) == stamp:
            return None
        if digest_of(real, _HEX[len(expected.digest)]) != expected.digest:
            passed.pop(str(real), None)
            return f"{expected.name} has changed since it was published (its checksum is wrong)."
        passed[str(real)] = stamp
        return None

    def _read(self) -> dict[str, list[Any]]:
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, passed: dict[str, list[Any]]) -> None:
        # A read-only models folder costs a hash at every start, nothing else.
        with suppress(OSError):
            write_atomically(self._path, json.dumps({k: v for k, v in passed.items() if Path(k).exists()}))


def _structure(folder: Path) -> Iterator[str]:
    """Look for damage that can be seen without checksums.

    Source: CTranslate2 `src/models/model.cc` (binary version, then the name of the specification).
    """
    if is_transformers(folder):
        return
    if not is_converted(folder):
        yield "config.json, model.bin or vocabulary.json is missing."
        return
    with (folder / "model.bin").open("rb") as file:
        head = file.read(6)
        name = file.read(struct.unpack("<IH", head)[1]) if len(head) == 6 else b""
    if name.rstrip(b"\0") != b"WhisperSpec":
        yield "model.bin is not a CTranslate2 Whisper."
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        yield "config.json is not JSON."


def _structure_of_voice(folder: Path) -> Iterator[str]:
    if not _is_voice(folder):
        yield "What makes it a voice is missing (a model in ONNX format, tokens.txt)."


def _config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    try:
        data = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _vocabulary_file(folder: Path) -> Path | None:
    return next((folder / n for n in ("vocabulary.json", "vocabulary.txt") if (folder / n).is_file()), None)


def _converted_languages(folder: Path) -> tuple[str, ...]:
    """Read languages off a vocabulary; English-only ones lack the empty token (CTranslate2's own test)."""
    path = _vocabulary_file(folder)
    text = path.read_text(encoding="utf-8") if path is not None else ""
    try:
        tokens = json.loads(text) if path is not None and path.suffix == ".json" else text.splitlines()
    except ValueError as error:
        raise ConfigurationError(f"{path} is not a vocabulary: {error}") from error
    if "" not in tokens:
        return ("en",)
    found = (_LANGUAGE.fullmatch(token) for token in tokens[-2000:])
    return tuple(match[1] for match in found if match) or ("en",)


def _transformers_languages(folder: Path) -> tuple[str, ...]:
    """Read languages off the tokenizer.

    Multilingual vocabularies hold an empty token (CTranslate2's test) and 51865 tokens or more
    (openai/whisper's).
    """
    from hearsay.engines.whisper import tokenizer

    try:
        vocabulary = tokenizer.read(folder)
    except DownloadFailed as error:
        raise ConfigurationError(error.message) from error
    empty = "" in vocabulary.pieces or "" in vocabulary.special
    multilingual = empty or int(_config(folder).get("vocab_size", 0)) >= _LEAST_MULTILINGUAL
    if not multilingual or _config(folder, "generation_config.json").get("is_multilingual") is False:
        return ("en",)
    return tuple(vocabulary.languages)
