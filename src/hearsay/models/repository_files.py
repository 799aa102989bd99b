"""Which files of a repository make up a model, and which of their names may be trusted.

Knows neither the hub nor a file system. Patterns are those of the hub's library: `*` stands for anything, in
a pattern with a slash for slashes too; one without a slash means files at the top.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hearsay.domain import ModelCard

_WILD = frozenset("*?[")
_SPECIAL = frozenset("\\:\0")
"""What no name may hold: Windows would read a folder, a drive or a stream into it, and nobody a zero."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of one kind of model."""

    patterns: tuple[str, ...]
    required: tuple[str, ...]
    """Patterns that a file must match each, or the repository holds no such model."""
    what: str
    """What these files are, in a sentence."""

    def wants(self, name: str) -> bool:
        """Return whether a file belongs to the model."""
        return any(_matches(name, pattern) for pattern in self.patterns)

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return what must be there and is not, in alphabetical order."""
        there = tuple(names)
        return sorted(
            pattern for pattern in self.required if not any(_matches(name, pattern) for name in there)
        )

    @property
    def landmark(self) -> str | None:
        """Return the name of a file that is certainly there; None where all are known by patterns only."""
        return next((pattern for pattern in self.required if not _WILD.intersection(pattern)), None)


WHISPER = Selection(
    ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
    ("config.json", "model.bin"),
    "CTranslate2 model",
)
"""The files of a converted Whisper; a repository may hold more."""


def of(card: ModelCard) -> Selection:
    """Return which files a model is made of."""
    if card.engine == "whisper":
        return WHISPER
    patterns = tuple(card.extra["files"])
    return Selection(patterns, patterns, "voice")


def is_safe(name: str, reserved: Collection[str] = ()) -> bool:
    """Return whether a file of that name stays within its folder, and harms nothing there."""
    parts = name.split("/")
    return (
        not _SPECIAL.intersection(name)
        and all(part.strip(". ") for part in parts)
        and not any(part in reserved for part in parts)
    )


def _matches(name: str, pattern: str) -> bool:
    return ("/" in pattern or "/" not in name) and fnmatch.fnmatchcase(name, pattern)
