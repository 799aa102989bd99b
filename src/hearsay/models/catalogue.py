"""The catalogue: every name that a caller may say, the model it means, whether it is there, how it is loaded.

Knows no request and no thread. Loading, pulling and removing block; looking a name up touches a few files at
most. Names are the affair of `naming`, weights that of `store`; here is decided what is the default for what.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from hearsay.domain import ModelCard, Task, Voice
from hearsay.engines import registry
from hearsay.engines.espeak import cards as espeak_cards
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.hardware import Machine, detect
from hearsay.engines.pocketsphinx import cards as pocketsphinx_cards
from hearsay.engines.protocols import Engine, Recognizer, Synthesizer
from hearsay.engines.registry import Runtime
from hearsay.engines.whisper.recommendation import ranking, recommend, suits
from hearsay.errors import ConfigurationError, ModelNotInstalled, UnsupportedOption
from hearsay.models.checksums import local_card
from hearsay.models.hub import Hub, Progress
from hearsay.models.names import AUTO, Names
from hearsay.models.store import Store

__all__ = ["AUTO", "Catalogue", "Runtime"]

_FRESH_SECONDS = 2.0
"""For how long the choice of the best installed model is remembered; another process may install one."""

_VERBS = {Task.TRANSCRIBE: "transcribe", Task.TRANSLATE: "translate to English", Task.SYNTHESIZE: "speak"}


class Catalogue:
    """All models that can be named, and the way from a name to an engine."""

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
        runtime: Runtime | None = None,
        machine: Machine | None = None,
        offer_fake: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Collect the cards; `default` recognises and `speaking` speaks for who names no model.

        `aliases` are other names for models, `voices` for voices: the name and what is meant.

        Raises: `ConfigurationError` where a folder, alias or default leads nowhere.
        """
        self.models_folder = models_folder
        self.hub = hub or Hub()
        self._defaults = {Task.TRANSCRIBE: default, Task.TRANSLATE: default, Task.SYNTHESIZE: speaking}
        self._runtime = runtime or Runtime()
        self._machine = machine
        self._clock = clock
        self._conversions = models_folder / "converted"
        self._store = Store(models_folder, local or {}, self.hub)
        self._own = [local_card(name, folder) for name, folder in (local or {}).items()]
        known = (
            *self._own,
            *registry.recognizer_cards(),
            *registry.synthesizer_cards(),
            *(_fakes() if offer_fake else ()),
        )
        self._cards: dict[str, ModelCard] = {}
        for card in known:
            self._cards.setdefault(card.id, card)
        self._names = Names(self._cards.values(), own=local or (), aliases=aliases)
        self.voice_aliases = dict(voices or {})
        """The operator's other names for voices: the name and the voice that is meant."""
        self._best: dict[Task, tuple[float, ModelCard]] = {}
        self._speakers: tuple[float, list[ModelCard]] = (float("-inf"), [])
        self._avoided: set[str] = set()
        self._check_choices()

    @property
    def machine(self) -> Machine:
        """What this machine can carry; found out once."""
        if self._machine is None:
            self._machine = detect(self._runtime.device)
        return self._machine

    @property
    def hosted_names(self) -> tuple[str, ...]:
        """Names of hosted models that mean a default here (unless an own model or alias has the name)."""
        return self._names.hosted_names

    @property
    def aliases(self) -> dict[str, str]:
        """The operator's own aliases: the name and the model that is meant."""
        return dict(self._names.aliases)

    def cards(self) -> list[ModelCard]:
        """Return every model, the operator's own first."""
        return list(self._cards.values())

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Find the model that a name means to whoever wants a task done.

        None, the empty string, `auto` and the names of hosted models that do such a task mean the default;
        under `auto` that is the best installed model that can do it.
        Raises: `ModelNotFound` with the nearest names, `UnsupportedOption` for a task that the model lacks.
        """
        meant = self._names.tasks_of_hosted(name)
        if meant and task not in meant:
            raise UnsupportedOption(self._lacks(name or "", task), param="model")
        card = self._default(task) if meant else self._names.card(name or "")
        if task not in card.tasks:
            raise UnsupportedOption(self._lacks(card.id, task), param="model")
        return card

    def named(self, name: str) -> ModelCard:
        """Find the model that a name means, whatever it can do. Raises: `ModelNotFound`."""
        meant = self._names.tasks_of_hosted(name)
        if not meant:
            return self._names.card(name)
        return self._default(Task.TRANSCRIBE if Task.TRANSCRIBE in meant else Task.SYNTHESIZE)

    def is_default_name(self, name: str | None, task: Task = Task.TRANSCRIBE) -> bool:
        """Return whether who says this name, or none, gets the default model for a task."""
        return task in self._names.tasks_of_hosted(name)

    def is_default(self, card: ModelCard) -> bool:
        """Return whether a model serves requests of any kind that name none."""
        return any(self._default(task).id == card.id for task in card.tasks)

    def implied_language(self, name: str | None) -> str | None:
        """Return the code of the language that a name asks for besides a model; None for most names."""
        return self._names.implied_language(name)

    def synthesizers(self) -> list[ModelCard]:
        """Return the installed models that can speak: the operator's own, neural ones, the embedded one.

        The test engine, where it is offered, comes last.
        """
        found_at, found = self._speakers
        if self._clock() - found_at > _FRESH_SECONDS:
            able = [card for card in self._cards.values() if Task.SYNTHESIZE in card.tasks]
            found = sorted(filter(self.installed, able), key=self._rank_of_speaker)
            self._speakers = (self._clock(), found)
        return list(found)

    def voices(self, card: ModelCard) -> tuple[Voice, ...]:
        """List the voices of a model without loading it, best first; none for one that does not speak."""
        return registry.voices(card)

    def variants(self, card: ModelCard) -> tuple[Voice, ...]:
        """List what may follow the id of each of a model's voices and a plus sign; most models have none."""
        return registry.variants(card)

    def installed(self, card: ModelCard) -> bool:
        """Return whether a model could be loaded now."""
        return self._store.is_ready(card)

    def folder(self, card: ModelCard) -> Path | None:
        """Find a model's weights: the operator's folder, our models folder, then the hub's cache."""
        return self._store.find(card)

    def load(self, card: ModelCard) -> Engine:
        """Load a model; damaged weights are pulled again where that is possible.

        Raises: `ModelNotInstalled` naming the command that helps, `DownloadFailed` for damaged weights,
        `EngineFailed`.
        """
        run, cores = self._runtime, self.machine.cores
        if card.engine in registry.EMBEDDED_ENGINES:
            if not registry.is_runnable(card):
                raise ModelNotInstalled(f"The model `{card.id}` cannot run here: {registry.remedy(card)}.")
            return registry.load_embedded(card, run, cores=cores)
        folder = self._store.sound(card)
        return registry.load_from(folder, card, run, cores=cores, conversions=self._conversions)

    def load_recognizer(self, card: ModelCard) -> Recognizer:
        """Load a model that transcribes. Raises: what `load` raises, `UnsupportedOption` for any other."""
        return registry.recognizer(self.load(card), card)

    def load_synthesizer(self, card: ModelCard) -> Synthesizer:
        """Load a model that speaks. Raises: what `load` raises, `UnsupportedOption` for any other."""
        return registry.synthesizer(self.load(card), card)

    def check(self, card: ModelCard, *, thorough: bool = False) -> list[str]:
        """Return what is wrong with an installed model's files, one sentence each."""
        return self._store.damage(card, thorough=thorough)

    def pull(self, name: str | None = None, progress: Progress | None = None) -> Path:
        """Download what is missing or damaged of a model, and give its folder.

        Without a name, and for that of a hosted recogniser, that is the one that suits the machine; for that
        of a hosted model that speaks the best voices there are.
        Raises: `ModelNotFound`, `ConfigurationError` for a model that has nothing to download,
        `DownloadFailed`.
        """
        if self.is_default_name(name):
            card = self.recommended()
        elif self.is_default_name(name, Task.SYNTHESIZE):
            card = _best_voices() or self._default(Task.SYNTHESIZE)
        else:
            card = self._names.card(name or "")
        folder = self._store.fetch(card, progress or (lambda done, total: None))
        self.refresh()
        return folder

    def remove(self, name: str) -> Path:
        """Delete a model's weights from our models folder and give the folder that is gone.

        Raises: `ModelNotFound`, `ModelNotInstalled`, `ConfigurationError` where the weights are not ours to
        delete.
        """
        if self._names.tasks_of_hosted(name):
            now = self.named(name).id
            raise ConfigurationError(
                f"{name or AUTO} stands for the default model, {now} now; name the one to remove."
            )
        folder = self._store.delete(self._names.card(name))
        self.refresh()
        return folder

    def recommended(self) -> ModelCard:
        """Return the Whisper that suits this machine, installed or not."""
        return self._cards[recommend(self.machine).model]

    def recommended_missing(self) -> ModelCard | None:
        """Return the model that ought to be pulled: the recommended one, if `auto` finds none that suits."""
        chosen = not self.is_default_name(self._defaults[Task.TRANSCRIBE])
        if chosen or any(Task.TRANSCRIBE in own.tasks for own in self._own):
            return None
        suitable = (c for c in self._cards.values() if suits(c.id, self.machine) and self.installed(c))
        return None if any(suitable) else self.recommended()

    def upgrade_hint(self, card: ModelCard) -> str | None:
        """Return how to get better answers than an embedded recogniser gives.

        None where nothing is to say.
        """
        if card.engine != "sphinx":
            return None
        better = self.recommended().id
        if self.installed(self.recommended()):
            return f"{card.id} is far less accurate than Whisper; ask for {better}, which is installed."
        return f"{card.id} is far less accurate than Whisper; `hearsay models pull {better}` installs one."

    def voice_upgrade_hint(self) -> str | None:
        """Return how to get better voices than the embedded one; None where there is nothing to say."""
        now, best = self._default(Task.SYNTHESIZE), _best_voices()
        if now.engine != "espeak" or best is None:
            return None
        first = "" if registry.is_runnable(best) else f"{registry.remedy(best)}, then "
        command = f"`hearsay models pull {best.id}`"
        return f"{now.id} sounds like a machine; {first}{command} installs better voices."

    def mark_unloadable(self, card: ModelCard) -> None:
        """Let a model that cannot be loaded be nobody's default for as long as this process lives."""
        self._avoided.add(card.id)
        self.refresh()

    def refresh(self) -> None:
        """Forget which models are installed, and which is the best of them."""
        self._best.clear()
        self._speakers = (float("-inf"), [])

    def _check_choices(self) -> None:
        self._names.check_aliases()
        kinds = {Task.TRANSCRIBE: "the default model", Task.SYNTHESIZE: "the default speech model"}
        for task, what in kinds.items():
            name = self._defaults[task]
            self._names.check(name, what)
            meant = self._names.tasks_of_hosted(name)
            if task not in (meant or self._names.card(name).tasks):
                raise ConfigurationError(f"{what[0].upper()}{what[1:]}, {name}, does not {_VERBS[task]}.")

    def _default(self, task: Task) -> ModelCard:
        chosen = self._defaults[task]
        if not self.is_default_name(chosen, task):
            return self._names.card(chosen)
        found_at, card = self._best.get(task, (float("-inf"), None))
        if card is None or self._clock() - found_at > _FRESH_SECONDS:
            card = self._best_speaker() if task is Task.SYNTHESIZE else self._best_recognizer(task)
            self._best[task] = (self._clock(), card)
        return card

    def _best_recognizer(self, task: Task) -> ModelCard:
        """Choose among what is installed: the operator's own, what suits the machine, the embedded one."""
        order = [
            *self._own,
            *(self._cards[id_] for id_ in (*ranking(self.machine), pocketsphinx_cards.POCKETSPHINX)),
        ]
        able = (card for card in order if task in card.tasks and card.id not in self._avoided)
        return next(
            (card for card in able if self.installed(card)), self._cards[pocketsphinx_cards.POCKETSPHINX]
        )

    def _best_speaker(self) -> ModelCard:
        real = (card for card in self.synthesizers() if card.engine != "fake_voice")
        embedded = self._cards[espeak_cards.ESPEAK_NG]
        return next((card for card in real if card.id not in self._avoided), embedded)

    def _rank_of_speaker(self, card: ModelCard) -> int:
        if card in self._own:
            return 0
        return {"espeak": 2, "fake_voice": 3}.get(card.engine, 1)

    def _lacks(self, name: str, task: Task) -> str:
        """Say that a model cannot do a task, and which can: the first that is installed, or can be."""
        if task is Task.SYNTHESIZE:
            order = [*self.synthesizers(), self._cards[espeak_cards.ESPEAK_NG]]
        else:
            ranked = [self._cards[id_] for id_ in (*ranking(self.machine), pocketsphinx_cards.POCKETSPHINX)]
            order = [*self._own, *ranked, *self._cards.values()]
        able = [card for card in order if task in card.tasks]
        says = f"The model `{name}` cannot {_VERBS[task]}."
        here = next((card for card in able if self.installed(card)), None)
        if here is not None:
            return f"{says} `{here.id}` can, and is installed."
        return f"{says} `hearsay models pull {able[0].id}` installs one that can."


def _best_voices() -> ModelCard | None:
    return next((card for card in registry.synthesizer_cards() if card.repository), None)


def _fakes() -> tuple[ModelCard, ...]:
    return fake_cards.fake(), fake_cards.fake_voice()
