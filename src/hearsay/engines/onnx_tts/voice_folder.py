"""Folders of neural voices: the family of the model, its speakers, and their languages.

Does not know the hub or the engine, and loads nothing. Families: Piper (`NAME.onnx` and `NAME.onnx.json`, as
rhasspy/piper-voices publishes them) and Kokoro (`kokoro-*.onnx` and `voices-*.bin`, an archive of numpy's, as
thewh1teagle/kokoro-onnx publishes them, or `model.onnx` with metadata, `voices.bin` and `tokens.txt`, as
k2-fsa/sherpa-onnx does). Sources: `config.py` of piper-tts, `scripts/kokoro` of sherpa-onnx.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import Gender, ModelCard, Task, Voice
from hearsay.engines.onnx_file import read_metadata
from hearsay.engines.onnx_tts.phonemes import KOKORO_SYMBOLS, MOST_PHONEMES, Spelling
from hearsay.errors import ConfigurationError

KOKORO_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "a": ("en-us",),
    "b": ("en-gb",),
    "e": ("es",),
    "f": ("fr-fr",),
    "h": ("hi",),
    "i": ("it",),
    "p": ("pt-br",),
}
"""What the first letter of a voice's id says. Voices of Japanese (`j`) and Chinese (`z`) were taught phonemes
that espeak-ng does not write, so they are not offered."""

IGNORED = frozenset({"instructions"})
"""Options that no neural voice of these families can honour, by their names on the wire."""

FORMATS = "voice (Piper's NAME.onnx and NAME.onnx.json, or Kokoro's NAME.onnx and voices*.bin)"

_GENDERS = {"f": Gender.FEMALE, "m": Gender.MALE}
_KOKORO_RATE = 24_000
_SCALES = {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8}
"""Piper's own values where a voice names none, in the order in which a model takes them."""
_QUANTISED = re.compile(r"\.(int8|fp16)")
_SIGNS = ("*.onnx.json", "voices*.bin", "kokoro*.onnx", "[a-z][a-z]_[A-Z][A-Z]-*.onnx")
"""Names that only voices have; a folder with one of them should be a voice, if perhaps not a whole one."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker of a folder's model."""

    number: int
    """By which the model knows the speaker."""
    voice: Voice
    language: str
    """Tag of the language for its phonemes."""


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """What is in a folder."""

    model: Path
    styles: Path | None
    """The file of its speakers' styles, which Kokoro alone has; None for a Piper."""
    symbols: Mapping[str, Sequence[int]]
    """What the model calls each phoneme."""
    sample_rate: int
    spelling: Spelling
    speakers: tuple[Speaker, ...]
    most_phonemes: int = MOST_PHONEMES
    """In one sentence; a Kokoro has styles for so many."""
    scales: tuple[float, ...] = ()
    """Of a Piper: how much its sound varies, its own pace, how much the lengths of its phonemes vary."""


def is_voice(folder: Path) -> bool:
    """Return, by the names of its files, whether a folder holds, or was meant to hold, a neural voice."""
    return any(next(folder.glob(sign), None) for sign in _SIGNS)


def examine(folder: Path) -> VoiceFolder:
    """Return what is in a voice's folder. Raises `ConfigurationError`, which says what is wrong with it."""
    model = _model(folder)
    try:
        known = read_metadata(model)
        styles = next(iter(sorted(folder.glob("voices*.bin"))), None)
        found = _kokoro(model, known, styles) if styles else _piper(model, known)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"The voice {model} cannot be read: {error}.") from error
    if not found.speakers:
        raise ConfigurationError(f"The voice {model} has no speaker of a language that can be read aloud.")
    return found


def describe(name: str, folder: Path) -> ModelCard:
    """Return the card of an operator's own voice. Raises `ConfigurationError` where the folder holds none."""
    found = examine(folder)
    voices = tuple(speaker.voice for speaker in found.speakers)
    files = (found.model, *([found.styles] if found.styles else []))
    return ModelCard(
        id=name,
        engine="onnx_tts",
        owner="local",
        created=int(found.model.stat().st_mtime),
        tasks=frozenset({Task.SYNTHESIZE}),
        languages=languages_of(voices),
        context_window=0,
        size_bytes=sum(file.stat().st_size for file in files),
        description="the operator's own",  # callers read this, so it names no folder
        voices=voices,
        ignores=IGNORED,
    )


def read_styles(path: Path, known: Mapping[str, str]) -> dict[str, NDArray[np.float32]]:
    """Return the styles of each speaker of a Kokoro, `float32[n_lengths, style_size]`, in order.

    `known` are the metadata of its model, which a file needs that tells nothing of itself.
    Raises: `OSError`, `ValueError`, `KeyError`, `zipfile.BadZipFile`.
    """
    data = path.read_bytes()
    if data.startswith(b"PK"):
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            styles = {name: np.asarray(archive[name], np.float32) for name in archive.files}
    else:
        names = known["speaker_names"].split(",")
        shape = [int(size) for size in known["style_dim"].split(",")]
        styles = dict(zip(names, np.frombuffer(data, "<f4").reshape(len(names), *shape), strict=True))
    return {name: style.reshape(len(style), -1) for name, style in styles.items()}


def kokoro_speakers(names: Iterable[str]) -> tuple[Speaker, ...]:
    """Return the speakers of a Kokoro; names come in the model's order and tell language and gender."""
    return tuple(
        Speaker(number, kokoro_voice(name), KOKORO_LANGUAGES[name[0]][0])
        for number, name in enumerate(names)
        if name[:1] in KOKORO_LANGUAGES
    )


def kokoro_voice(name: str) -> Voice:
    """Return a voice of Kokoro by its id, `af_heart`."""
    head, _, rest = name.partition("_")
    return Voice(name, (rest or name).capitalize(), KOKORO_LANGUAGES[head[0]], _GENDERS.get(head[1:2]))


def languages_of(voices: Iterable[Voice]) -> tuple[str, ...]:
    """Return the ISO 639-1 codes of the languages of voices."""
    return tuple(dict.fromkeys(tag.partition("-")[0] for voice in voices for tag in voice.languages))


def _model(folder: Path) -> Path:
    """Return the one model in a folder; a quantised twin beside it is passed over."""
    models = sorted(folder.glob("*.onnx"))
    chosen = [path for path in models if not _QUANTISED.search(path.stem)] or models[:1]
    if not chosen:
        raise ConfigurationError(f"The folder {folder} holds no voice: a model (NAME.onnx) must be there.")
    if len(chosen) > 1:
        names = ", ".join(path.name for path in chosen)
        raise ConfigurationError(
            f"The folder {folder} holds several models ({names}); give each voice a folder of its own."
        )
    return chosen[0]


def _kokoro(model: Path, known: Mapping[str, str], path: Path) -> VoiceFolder:
    styles = read_styles(path, known)
    is_first = known.get("version", "1") == "1" if "style_dim" in known else "v0" in model.stem
    return VoiceFolder(
        model=model,
        styles=path,
        symbols=_kokoro_symbols(model.with_name("tokens.txt"), known),
        sample_rate=_KOKORO_RATE,
        spelling=Spelling.KOKORO_FIRST if is_first else Spelling.KOKORO,
        speakers=kokoro_speakers(styles),
        most_phonemes=min(MOST_PHONEMES, *map(len, styles.values())),
    )


def _kokoro_symbols(tokens: Path, known: Mapping[str, str]) -> Mapping[str, Sequence[int]]:
    """Return the symbols of a file beside a model, of its metadata, or else those of Kokoro 1.0.

    A line of the file is a symbol, a space and a number.
    """
    if tokens.is_file():
        lines = (line.rpartition(" ") for line in tokens.read_text("utf-8").split("\n") if line.strip())
        return {symbol or " ": [int(number)] for symbol, _, number in lines}
    config = json.loads(known.get("kokoro_config", "{}"))
    return {symbol: [int(number)] for symbol, number in config.get("vocab", KOKORO_SYMBOLS).items()}


def _piper(model: Path, known: Mapping[str, str]) -> VoiceFolder:
    if known.get("model_type") == "kokoro" or model.stem.startswith("kokoro"):
        raise ConfigurationError(f"The voice {model} is a Kokoro, but beside it voices*.bin is missing.")
    path = model.with_name(f"{model.name}.json")
    if not path.is_file():
        raise ConfigurationError(f"Beside the voice {model} its configuration, {path.name}, is missing.")
    config = json.loads(path.read_text("utf-8"))
    if str(config.get("phoneme_type", "espeak")).lower().rpartition(".")[2] != "espeak":
        raise ConfigurationError(
            f"The voice {model} was taught letters, not sounds, and would pass over every number."
        )
    symbols = dict(config["phoneme_id_map"])
    scales = _SCALES | config.get("inference", {})
    return VoiceFolder(
        model=model,
        styles=None,
        symbols={symbol: [int(number) for number in numbers] for symbol, numbers in symbols.items()},
        sample_rate=int(config["audio"]["sample_rate"]),
        spelling=Spelling.ESPEAK,
        speakers=_piper_speakers(model, config),
        scales=tuple(float(scales[name]) for name in _SCALES),
    )


def _piper_speakers(model: Path, config: Mapping[str, Any]) -> tuple[Speaker, ...]:
    """Return the speakers of a Piper (`de_DE-thorsten-medium.onnx`): one, named in the name, or several."""
    locale, _, rest = model.stem.partition("-")
    read_as = str(config["espeak"]["voice"])
    code = dict(config.get("language") or {}).get("code") or (locale if rest else read_as)
    tag = str(code).replace("_", "-").lower()
    n_speakers = int(config.get("num_speakers", 1))
    names = {str(name): int(number) for name, number in dict(config.get("speaker_id_map") or {}).items()}
    if n_speakers <= 1:
        names = {rest.rpartition("-")[0] or rest or model.stem: 0}
    elif len(names) != n_speakers:
        names = {str(number): number for number in range(n_speakers)}
    return tuple(
        Speaker(number, Voice(name, name.replace("_", " ").capitalize(), (tag,)), read_as)
        for name, number in sorted(names.items(), key=lambda item: item[1])
    )
