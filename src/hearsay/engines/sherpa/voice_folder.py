"""Folders of neural voices: the family of the model, its speakers, and their languages.

Does not know the hub or the engine, and loads nothing. Families: Kokoro (`voices.bin` beside the model) and
Piper (VITS), in the form in which the k2-fsa project publishes both: an ONNX file with metadata, and
`tokens.txt`. Sources: k2-fsa/sherpa-onnx `scripts/kokoro` and `scripts/piper` (`add_meta_data.py`), and the
configuration that Piper writes beside each voice (`NAME.onnx.json`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearsay.domain import Gender, ModelCard, Task, Voice
from hearsay.engines.onnx_file import read_metadata
from hearsay.engines.sherpa.phonemes import MOST_PHONEMES, Spelling
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

_GENDERS = {"f": Gender.FEMALE, "m": Gender.MALE}


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker of a folder's model."""

    number: int
    """By which the engine knows the speaker."""
    voice: Voice
    language: str
    """Tag of the language for its phonemes, as the model's metadata have it."""


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """What is in a folder."""

    family: str
    """`kokoro` or `piper`."""
    model: Path
    tokens: Path
    styles: Path | None
    """`voices.bin`, which Kokoro alone has."""
    spelling: Spelling
    most_phonemes: int
    """In one utterance; given more than a Kokoro has styles for, sherpa-onnx ends the whole process."""
    speakers: tuple[Speaker, ...]


def is_voice(folder: Path) -> bool:
    """Return, by the names of its files, whether a folder holds a neural voice."""
    return (folder / "tokens.txt").is_file() and _model(folder) is not None


def examine(folder: Path) -> VoiceFolder:
    """Return what is in a voice's folder. Raises `ConfigurationError`, which says what is wrong with it."""
    model = _model(folder)
    if model is None or not is_voice(folder):
        raise ConfigurationError(
            f"The folder {folder} holds no voice: a model (one file NAME.onnx) and tokens.txt must be there."
        )
    try:
        known = read_metadata(model)
        config = _config(model)
        n_speakers = int(known.get("n_speakers", 1))
        n_styles = int(known.get("style_dim", "").partition(",")[0] or MOST_PHONEMES + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The voice {model} cannot be read: {error}.") from error
    styles: Path | None = None
    if known.get("model_type") == "kokoro":
        styles = folder / "voices.bin"
        if not styles.is_file():
            raise ConfigurationError(f"The voice {model} is a Kokoro, but beside it voices.bin is missing.")
        speakers = kokoro_speakers(known.get("speaker_names", "").split(","))
        first = known.get("version", "1") == "1"
        family, spelling = "kokoro", Spelling.KOKORO_FIRST if first else Spelling.KOKORO
    elif "piper" in known.get("comment", ""):
        speakers = _piper_speakers(model, known, config, n_speakers)
        if config.get("phoneme_type", "espeak") != "espeak":
            raise ConfigurationError(
                f"The voice {model} was taught letters, not sounds, and would pass over every number."
            )
        family, spelling = "piper", Spelling.ESPEAK
    else:
        raise ConfigurationError(
            f"The voice {model} is neither a Kokoro nor a Piper with the metadata that sherpa-onnx needs."
        )
    if not speakers:
        raise ConfigurationError(f"The voice {model} has no speaker of a language that can be read aloud.")
    most = min(MOST_PHONEMES, n_styles - 1)
    return VoiceFolder(family, model, folder / "tokens.txt", styles, spelling, most, speakers)


def describe(name: str, folder: Path) -> ModelCard:
    """Return the card of an operator's own voice. Raises `ConfigurationError` where the folder holds none."""
    found = examine(folder)
    voices = tuple(speaker.voice for speaker in found.speakers)
    files = (found.model, found.tokens, *([found.styles] if found.styles else []))
    return ModelCard(
        id=name,
        engine="sherpa",
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


def kokoro_speakers(names: Iterable[str]) -> tuple[Speaker, ...]:
    """Return the speakers of a Kokoro; names come in the engine's order and tell language and gender."""
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


def _piper_speakers(
    model: Path, known: Mapping[str, str], config: Mapping[str, Any], n_speakers: int
) -> tuple[Speaker, ...]:
    """Return the speakers of a Piper (`de_DE-thorsten-medium.onnx`): one, named in the name, or several."""
    locale, _, rest = model.stem.partition("-")
    tag = locale.replace("_", "-").lower() if rest else known.get("voice", "")
    own = rest.rpartition("-")[0] or rest or model.stem
    names = {str(name): int(number) for name, number in dict(config.get("speaker_id_map") or {}).items()}
    if n_speakers <= 1:
        names = {own: 0}
    elif len(names) != n_speakers:
        names = {str(number): number for number in range(n_speakers)}
    read_as = known.get("voice") or tag
    return tuple(
        Speaker(number, Voice(name, name.replace("_", " ").capitalize(), (tag,)), read_as)
        for name, number in sorted(names.items(), key=lambda item: item[1])
    )


def _model(folder: Path) -> Path | None:
    """Return the one model in a folder; a quantised twin beside it is passed over."""
    models = sorted(folder.glob("*.onnx"))
    plain = [path for path in models if not path.stem.endswith((".int8", ".fp16"))]
    chosen = plain or models
    return chosen[0] if len(chosen) == 1 else None


def _config(model: Path) -> Mapping[str, Any]:
    """Return the configuration that Piper writes beside a voice; nothing where there is no such file."""
    path = model.with_name(f"{model.name}.json")
    if not path.is_file():
        return {}
    data = json.loads(path.read_text(encoding="utf-8"))
    return data if isinstance(data, dict) else {}
