"""The record in which an engine describes itself, so that the rest of the program needs no engine's name.

Knows no engine: each has such a record in the `spec.py` of its folder, and `registry` lists them.
"""

from __future__ import annotations

import fnmatch
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from hearsay.domain import ModelCard, Voice
from hearsay.engines.hardware import Machine
from hearsay.engines.protocols import Engine

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Runtime:
    """How models are run."""

    device: str = "auto"
    device_indices: tuple[int, ...] = (0,)
    """GPUs, each of which holds a copy of a model."""
    compute_type: str = "default"
    cpu_threads: int = 0
    """0 lets the engine choose."""
    encoder: str = "auto"
    decoder: str = "auto"
    speech_processes: int = 0
    """Processes of the embedded synthesizer; 0 is one per core."""
    cores: int = 1
    """CPU cores of the machine, which a container may have fewer of than this process may run on."""
    conversions: Path | None = None
    """Folder for weights in a converted format; None leaves them beside their source."""


class Execution(StrEnum):
    """Where an engine computes."""

    BATCHED = "in the server's process, requests in one batch"
    OWN_PROCESS = "in processes of its own"
    IN_PROCESS = "in the server's process"


@dataclass(frozen=True, slots=True)
class FileSelection:
    """Which files of a repository make up a model.

    Patterns are those of the hub's library: `*` matches anything, in a pattern with a slash also slashes; a
    pattern without a slash matches files at the top only.
    """

    patterns: tuple[str, ...]
    required: tuple[str, ...]
    """Patterns each of which a file must match, or the repository holds no such model."""
    what: str
    """What these files are, as part of a sentence."""

    def wants(self, name: str) -> bool:
        """Return whether a file belongs to the model."""
        return any(_matches(name, pattern) for pattern in self.patterns)

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return the required patterns that no name matches, in alphabetical order."""
        present = tuple(names)
        return sorted(p for p in self.required if not any(_matches(name, p) for name in present))

    @property
    def landmark(self) -> str | None:
        """Return the first required name; None where patterns alone are required."""
        return next((pattern for pattern in self.required if not _WILD.intersection(pattern)), None)

    @property
    def has_open_folders(self) -> bool:
        """Return whether a whole folder is required, of which no pattern tells how many files it has."""
        return any("/" in pattern and _WILD.intersection(pattern) for pattern in self.required)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """How an engine's models are stored, for engines whose models have files."""

    formats: str
    """What an operator's folder may hold, as part of a sentence."""
    select: Callable[[ModelCard], FileSelection]
    """Return which files of its card's repository make up a model."""
    is_model: Callable[[Path], bool]
    """Return whether a folder holds a model of this engine, by its names and small files."""
    describe: Callable[[str, Path], ModelCard]
    """Describe an operator's folder under a name. Raises: `ConfigurationError`."""
    damage: Callable[[Path], Iterable[str]]
    """Return what is wrong with a folder as far as it shows without checksums, one sentence each."""
    load: Callable[[Path, ModelCard, Runtime], Engine]
    """Load a model from its folder. Raises: `EngineFailed` and what else the engine names."""
    named_by_repository: bool = False
    """Whether a download's folder has the name of its repository, or else that of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """One engine, as the catalogue, the scheduler, `doctor` and the documentation see it.

    Either `files` or `load_embedded` is given.
    """

    name: str
    """As `ModelCard.engine` has it."""
    cards: Callable[[], tuple[ModelCard, ...]]
    """Return the models that are known, the order in which they are listed."""
    execution: Execution
    files: ModelFiles | None = None
    load_embedded: Callable[[Runtime], Engine] | None = None
    """Load the model that comes with the engine: nothing is downloaded. Raises: `EngineFailed`."""
    requires: tuple[str, ...] = ()
    """Names of the packages that must be importable (`a or b`: one of them is enough); not every platform or
    installation has them."""
    remedy: str = ""
    """What helps where one is missing, as part of a sentence."""
    voices: Callable[[], tuple[Voice, ...]] | None = None
    """Return the voices of its models without loading one; None where cards list them."""
    variants: Callable[[], tuple[Voice, ...]] = tuple
    """Return what may follow the id of each voice and a plus sign, to make another voice of it."""
    ranking: Callable[[Machine], tuple[str, ...]] | None = None
    """Order the ids of its models from best to worst default; None for the order of the cards."""
    suitable: Callable[[Machine], tuple[str, ...]] = lambda machine: ()
    """Return the ids of the models that a machine carries, best first: the first is the one to install."""
    drawback: str = ""
    """What is wrong with its answers, as a predicate, where a better engine should be recommended."""
    is_light: bool = False
    """Whether its models weigh next to nothing: they do not count towards those in memory."""
    is_test: bool = False
    """Whether it is offered only where the operator says so, and never as a default."""
    wants_speech_detection: bool = False
    """Whether speech is to be detected before recognition."""

    def missing(self) -> list[str]:
        """Return the packages that it requires and that are not installed."""
        return [each for each in self.requires if not any(map(is_installed, each.split(" or ")))]

    @property
    def model_files(self) -> ModelFiles:
        """Return how its models are stored. Raises: `LookupError` for an embedded engine."""
        if self.files is None:
            raise LookupError(f"The models of {self.name} have no files.")
        return self.files

    @property
    def is_embedded(self) -> bool:
        """Return whether its models come with the program: there is nothing to download."""
        return self.files is None


@cache
def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def _matches(name: str, pattern: str) -> bool:
    return ("/" in pattern or "/" not in name) and fnmatch.fnmatchcase(name, pattern)
