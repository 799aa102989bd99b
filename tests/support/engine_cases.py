"""The models with which engines keep the contracts of `engines.protocols`, found through the registry.

Knows no engine: embedded models need no files, and others lie in the folders of `tests/data`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hearsay.domain import ModelCard, Task
from hearsay.engines import registry
from hearsay.engines.engine_spec import Runtime
from hearsay.engines.protocols import Engine
from tests.support.paths import DATA

RUNTIME = Runtime(device="cpu", speech_processes=2)


@dataclass(frozen=True)
class Case:
    """A model under test."""

    name: str
    card: ModelCard
    load: Callable[[], Engine]


def cases(task: Task) -> list[Case]:
    """Return a case for every embedded model and for every folder with a model that can do a task."""
    found = []
    for engine in registry.ENGINES:
        if engine.files is None:
            found += [_case(engine.name, card, None) for card in engine.cards()]
        else:
            folders = [folder for folder in sorted(DATA.iterdir()) if engine.files.is_model(folder)]
            found += [
                _case(folder.name, engine.files.describe(folder.name, folder), folder) for folder in folders
            ]
    return [case for case in found if task in case.card.tasks]


def _case(name: str, card: ModelCard, folder: Path | None) -> Case:
    return Case(name, card, lambda: registry.load(card, folder, RUNTIME))
