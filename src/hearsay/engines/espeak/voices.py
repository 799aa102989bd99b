"""The voices of espeak-ng, read from the files of its data folder.

Loads no library and starts nothing. A voice is a file in `lang/` and speaks a language; a
variant is a file in `voices/!v` and changes how any voice sounds. Format of the files: docs/voices.md of
espeak-ng.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hearsay.domain import Gender, Voice

FIRST = "en-us"
"""Named before all others, and before the British voice, which espeak-ng itself prefers for English."""

FEMALE_VARIANT = "f3"
"""With it every voice is listed once more; none of espeak-ng's own is female."""

_LISTED_PRIORITY = 5
"""Priority of a language in a voice's file where none is written; lower ones are better."""

_UNLISTED_PRIORITY = 100
"""Of a voice that does not claim its language as a whole, but a dialect of it."""

_ISO_639_1 = {"cmn": "zh", "hak": "zh", "yue": "zh", "nb": "no"}
"""The code that callers use for a language which has none of two letters, or two."""


@dataclass(frozen=True, slots=True)
class VoiceFile:
    """A voice as its file describes it."""

    path: str
    """Below `lang/`; that is also what espeak-ng calls it."""
    voice: Voice
    priority: int
    """How well it suits its language: lower is better."""


def read_voices(data: Path) -> dict[str, VoiceFile]:
    """Return the voices of a data folder by id, best first: what espeak-ng prefers, language by language."""
    files = sorted(path for path in (data / "lang").rglob("*") if path.is_file())
    found: dict[str, VoiceFile] = {}
    for file in files:
        entry = _read_voice(file, file.relative_to(data / "lang").as_posix(), data)
        if entry is None:
            continue
        if entry.voice.id in found:  # two ways to write a language: the file's name tells them apart
            voice = Voice(file.name.lower(), entry.voice.name, entry.voice.languages, entry.voice.gender)
            entry = VoiceFile(entry.path, voice, entry.priority)
        found[entry.voice.id] = entry
    ordered = sorted(found.values(), key=_rank)
    return {entry.voice.id: entry for entry in ordered}


def read_variants(data: Path) -> dict[str, tuple[str, Voice]]:
    """Return the variants by id: the name of the file and, as a voice without languages, what is known."""
    variants = {}
    for file in sorted((data / "voices" / "!v").iterdir()):
        words = _read(file)
        name = words.get("name", [file.name])[0]
        variant = Voice(file.name.lower().replace(" ", "-"), name, (), _gender(words, None))
        variants[variant.id] = (file.name, variant)
    return variants


def _read_voice(file: Path, path: str, data: Path) -> VoiceFile | None:
    """Read one file; None for a voice whose dictionary is missing, which spells everything wrong."""
    words = _read(file)
    languages = [line.split() for line in words.get("language", [])]
    if not languages:
        return None
    tags = list(dict.fromkeys(tag[0].lower() for tag in languages))
    dictionary = words.get("dictionary", [tags[0].partition("-")[0]])[0]
    if not (data / f"{dictionary}_dict").exists():
        return None
    base = tags[0].partition("-")[0]
    code = _ISO_639_1.get(base, base)
    tags += [code] if code not in tags else []
    priorities = {tag[0].lower(): int(tag[1]) if len(tag) > 1 else _LISTED_PRIORITY for tag in languages}
    voice = Voice(tags[0], words.get("name", [tags[0]])[0], tuple(tags), _gender(words, Gender.MALE))
    return VoiceFile(path, voice, priorities.get(code, _UNLISTED_PRIORITY))


def _rank(entry: VoiceFile) -> tuple[bool, str, int, str]:
    """Put voices of one language together, the best of them first."""
    base = entry.voice.id.partition("-")[0]
    code = _ISO_639_1.get(base, base)
    return entry.voice.id != FIRST, code, 0 if entry.voice.id == code else entry.priority, entry.path


def _read(file: Path) -> Mapping[str, list[str]]:
    """Return the values of each word with which a line begins, without comments."""
    words: dict[str, list[str]] = {}
    for line in file.read_text("utf-8", errors="replace").splitlines():
        word, *value = line.partition("//")[0].split(None, 1) or [""]
        words.setdefault(word, []).append("".join(value).strip())
    return words


def _gender(words: Mapping[str, list[str]], otherwise: Gender | None) -> Gender | None:
    """Read `gender female 30`."""
    said = words.get("gender", [""])[0].lower().split()
    return Gender(said[0]) if said and said[0] in set(Gender) else otherwise
