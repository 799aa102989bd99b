"""The catalogue: every name that a caller may say, the model it means, whether it is there, how it is loaded.

Knows no request and no thread. Loading, pulling and removing block; looking a name up touches a few files at
most.
"""

from __future__ import annotations

import difflib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hearsay import cards
from hearsay.domain import ModelCard, Task
from hearsay.engines.protocols import Recognizer
from hearsay.errors import (
    ConfigurationError,
    DownloadFailed,
    ModelNotFound,
    ModelNotInstalled,
    UnsupportedOption,
)
from hearsay.hub import Hub, Progress
from hearsay.machine import Machine, detect, ranking, recommend, suits
from hearsay.weights import Checks, is_transformers, local_card

AUTO = "auto"
"""The default that is whatever installed model suits the machine best."""

_FRESH_SECONDS = 2.0
"""For how long the choice of the best installed model is remembered; another process may install one."""


_LOOK_SECONDS = 1.0
"""How often to look how far another process is that pulls the same model."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """How Whisper models are run."""

    device: str = "auto"
    device_indices: tuple[int, ...] = (0,)
    """GPUs, each of which holds a copy of a model."""
    compute_type: str = "default"
    cpu_threads: int = 0
    """0 lets the engine choose."""
    encoder: str = "auto"
    decoder: str = "auto"


class Catalogue:
    """All models that can be named, and the way from a name to a recogniser."""

    def __init__(
        self,
        *,
        models_folder: Path,
        local: Mapping[str, Path] | None = None,
        aliases: Mapping[str, str] | None = None,
        default: str = AUTO,
        hub: Hub | None = None,
        runtime: Runtime | None = None,
        machine: Machine | None = None,
        offer_fake: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Collect the cards. Raises: `ConfigurationError` where a folder, alias or default leads nowhere."""
        self.models_folder = models_folder
        self.hub = hub or Hub()
        self.default = default
        self._runtime = runtime or Runtime()
        self._machine = machine
        self._clock = clock
        self._conversions = models_folder / "converted"
        self._checks = Checks(models_folder / "checked.json")
        self._local = dict(local or {})
        own = [local_card(name, folder) for name, folder in self._local.items()]
        builtin = (*cards.known(), *((cards.fake(),) if offer_fake else ()))
        self._cards: dict[str, ModelCard] = {
            card.id: card for card in (*own, *(c for c in builtin if c.id not in self._local))
        }
        self._aliases = dict(aliases or {})
        self._names = self._index()
        self._best: dict[Task, tuple[float, ModelCard]] = {}
        self._avoided: set[str] = set()
        self._check_choices()

    @property
    def machine(self) -> Machine:
        """What this machine can carry; found out once."""
        if self._machine is None:
            self._machine = detect(self._runtime.device)
        return self._machine

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """Names of hosted models that mean the default here (unless an own model or alias has the name)."""
        return tuple(name for name in cards.STAND_INS if name not in self._names)

    @property
    def aliases(self) -> dict[str, str]:
        """The operator's own aliases: the name and the model that is meant."""
        return dict(self._aliases)

    def cards(self) -> list[ModelCard]:
        """Give every model, the operator's own first."""
        return list(self._cards.values())

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Find the model that a name means.

        None, the empty string, `auto` and the names of hosted models mean the default; under `auto` that is
        the best installed model that can do the task.
        Raises: `ModelNotFound` with the nearest names, `UnsupportedOption` for a task that the model lacks.
        """
        if self._means_default(name):
            card = self._default(task)
        else:
            assert name is not None
            card = self._named(name)
        if task not in card.tasks:
            raise UnsupportedOption(self._lacks(card, task), param="model")
        return card

    def installed(self, card: ModelCard) -> bool:
        """Tell whether a model could be loaded now."""
        return card.engine != "whisper" or self.folder(card) is not None

    def folder(self, card: ModelCard) -> Path | None:
        """Find a model's weights: the operator's folder, our models folder, then the hub's cache."""
        if card.id in self._local:
            return self._local[card.id]
        if card.repository is None:
            return None
        own = self._own_folder(card)
        if own.is_dir():
            return own
        places = (card.repository, *card.extra.get("also_at", ()))
        return next((found for place in places if (found := self.hub.cached(place)) is not None), None)

    def load(self, card: ModelCard) -> Recognizer:
        """Load a model; damaged weights are pulled again where that is possible.

        Raises: `ModelNotInstalled` naming the command that helps, `DownloadFailed` for damaged weights,
        `EngineFailed`.
        """
        if card.engine == "sphinx":
            from hearsay.engines.sphinx import load

            return load()
        if card.engine == "fake":
            from hearsay.engines.fake import FakeWindowRecognizer

            return FakeWindowRecognizer()
        return self._load_whisper(card)

    def check(self, card: ModelCard, *, thorough: bool = False) -> list[str]:
        """Say what is wrong with an installed model's files, one sentence each."""
        folder = self.folder(card)
        return [] if folder is None else self._checks.damaged(folder, thorough=thorough)

    def pull(self, name: str | None = None, progress: Progress | None = None) -> Path:
        """Download what is missing or damaged of a model; without a name, of the one that suits the machine.

        Raises: `ModelNotFound`, `ConfigurationError` for a model that has nothing to download,
        `DownloadFailed`.
        """
        card = self.recommended() if self._means_default(name) else self._named(name or "")
        if card.repository is None:
            raise ConfigurationError(f"There is nothing to download for {card.id}: {card.description}.")
        found = self.folder(card)
        if found is not None and not self._checks.damaged(found, thorough=True):
            return found
        _make_folder(self.models_folder)
        folder, tell = self._own_folder(card), progress or (lambda done, total: None)
        with _only_puller(folder, card.size_bytes or 0, tell):
            self.hub.download(card.repository, folder, tell)
        self.refresh()
        return folder

    def remove(self, name: str) -> Path:
        """Delete a model's weights from our models folder and give the folder that is gone.

        Raises: `ModelNotFound`, `ModelNotInstalled`, `ConfigurationError` where the weights are not ours to
        delete.
        """
        if self._means_default(name):
            raise ConfigurationError(
                f"{name or AUTO} stands for the default model, {self.card().id} now; name the one to remove."
            )
        card = self._named(name)
        folder = self._own_folder(card) if card.repository else None
        partial = folder.with_name(f"{folder.name}.part") if folder else None
        if folder is not None and partial is not None and (folder.is_dir() or partial.is_dir()):
            shutil.rmtree(folder, ignore_errors=False) if folder.is_dir() else None
            shutil.rmtree(partial) if partial.is_dir() else None
            self.refresh()
            return folder
        elsewhere = self.folder(card)
        if elsewhere is not None:
            raise ConfigurationError(
                f"{card.id} is in {elsewhere}, which Hearsay did not make and will not delete."
            )
        if card.repository is None:
            raise ConfigurationError(f"{card.id} is part of Hearsay and cannot be removed.")
        raise ModelNotInstalled(f"{card.id} is not installed.")

    def recommended(self) -> ModelCard:
        """Give the Whisper that suits this machine, installed or not."""
        return self._cards[recommend(self.machine).model]

    def wanted(self) -> ModelCard | None:
        """Give the model that ought to be pulled: the recommended one, if `auto` finds none that suits."""
        if not self._means_default(self.default) or self._local:
            return None
        suitable = (c for c in self._cards.values() if suits(c.id, self.machine) and self.installed(c))
        return None if any(suitable) else self.recommended()

    def advice(self, card: ModelCard) -> str | None:
        """Say how to get better answers than an embedded model gives; None where there is nothing to say."""
        if card.engine != "sphinx":
            return None
        better = self.recommended().id
        if self.installed(self.recommended()):
            return f"{card.id} is far less accurate than Whisper; ask for {better}, which is installed."
        return f"{card.id} is far less accurate than Whisper; `hearsay models pull {better}` installs one."

    def avoid(self, card: ModelCard) -> None:
        """Let a model that cannot be loaded be nobody's default for as long as this process lives."""
        self._avoided.add(card.id)
        self.refresh()

    def refresh(self) -> None:
        """Forget which model is the best installed one."""
        self._best.clear()

    def _index(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for card in reversed(self._cards.values()):
            names.update({alias.casefold(): card.id for alias in card.aliases})
        names.update({id_.casefold(): id_ for id_ in self._cards})
        names.update({own.casefold(): own for own in self._local})
        for alias in self._aliases:
            names.pop(alias.casefold(), None)
        return names

    def _check_choices(self) -> None:
        for alias in self._aliases:
            self._choice(alias, f"the alias {alias}")
        self._choice(self.default, "the default model")

    def _choice(self, name: str, what: str) -> None:
        try:
            if not self._means_default(name):
                self._named(name)
        except ModelNotFound as error:
            raise ConfigurationError(f"{what[0].upper()}{what[1:]} leads nowhere. {error.message}") from error

    def _means_default(self, name: str | None) -> bool:
        meant = self._meant(name).casefold() if name else AUTO
        return meant not in self._names and meant in {AUTO, *cards.STAND_INS}

    def _alias(self, name: str) -> str | None:
        return next((to for alias, to in self._aliases.items() if alias.casefold() == name.casefold()), None)

    def _meant(self, name: str) -> str:
        """Follow aliases, which may mean each other, to a name that is none. Raises: `ConfigurationError`."""
        meant, passed = name, {name.casefold()}
        while (target := self._alias(meant)) is not None:
            if target.casefold() in passed:
                raise ConfigurationError(f"The alias {name} means itself.")
            passed.add(target.casefold())
            meant = target
        return meant

    def _named(self, name: str) -> ModelCard:
        target = self._meant(name)
        found = self._names.get(target.casefold())
        if found is None:
            raise ModelNotFound(f"The model `{name}` does not exist.{self._nearest(target)}")
        return self._cards[found]

    def _nearest(self, name: str) -> str:
        everything = {alias.casefold(): alias for alias in (*cards.STAND_INS, *self._aliases)} | self._names
        close = difflib.get_close_matches(name.casefold(), everything, n=5, cutoff=0.5)
        near = list(dict.fromkeys(everything[text] for text in close))[:3]
        return (
            f" Did you mean {' or '.join(near)}?" if near else " `hearsay models list` shows what there is."
        )

    def _default(self, task: Task) -> ModelCard:
        if not self._means_default(self.default):
            return self._named(self.default)
        found_at, card = self._best.get(task, (float("-inf"), None))
        if card is None or self._clock() - found_at > _FRESH_SECONDS:
            card = self._best_installed(task)
            self._best[task] = (self._clock(), card)
        return card

    def _best_installed(self, task: Task) -> ModelCard:
        """Choose among what is installed: the operator's own, what suits the machine, the embedded one."""
        order = (*self._local, *ranking(self.machine), cards.EMBEDDED)
        able = [self._cards[n] for n in order if task in self._cards[n].tasks and n not in self._avoided]
        return next((card for card in able if self.installed(card)), self._cards[cards.EMBEDDED])

    def _lacks(self, card: ModelCard, task: Task) -> str:
        what = "translate to English" if task is Task.TRANSLATE else "transcribe"
        able = [other.id for other in self._cards.values() if task in other.tasks]
        here = [name for name in able if self.installed(self._cards[name])]
        if here:
            return f"The model `{card.id}` cannot {what}. {here[-1]} can, and is installed."
        suited = next((n for n in ranking(self.machine) if n in able), able[-1])
        return f"The model `{card.id}` cannot {what}. `hearsay models pull {suited}` installs one that can."

    def _own_folder(self, card: ModelCard) -> Path:
        return self.models_folder / (card.repository or card.id).replace("/", "--")

    def _load_whisper(self, card: ModelCard) -> Recognizer:
        from hearsay.engines import whisper

        folder = self.folder(card)
        if folder is None:
            raise ModelNotInstalled(
                f"The model `{card.id}` is not installed. `hearsay models pull {card.id}` installs it."
            )
        problems = self._checks.damaged(folder)
        if problems:
            folder = self._repaired(card, folder, problems)
        run = self._runtime
        # A folder in Hugging Face format is converted by the first who loads it; others wait for that.
        with self._conversions_locked() if is_transformers(folder) else nullcontext():
            return whisper.load(
                folder,
                device=run.device,
                device_index=run.device_indices,
                compute_type=run.compute_type,
                # The machine's cores, which a container may have fewer of than this process may run on.
                cpu_threads=run.cpu_threads or min(self.machine.cores, whisper.MOST_THREADS),
                conversions=self._conversions,
                encoder=run.encoder,
                decoder=run.decoder,
            )

    def _conversions_locked(self) -> FileLock:
        _make_folder(self._conversions)
        return FileLock(self._conversions / ".lock")

    def _repaired(self, card: ModelCard, folder: Path, problems: list[str]) -> Path:
        if card.repository is not None and not self.hub.closed():
            return self.pull(card.id)
        remedy = f" `hearsay models pull {card.id}` mends it." if card.repository else ""
        raise DownloadFailed(
            f"The weights of {card.id} in {folder} are damaged: {' '.join(problems)}{remedy}"
        )


@contextmanager
def _only_puller(folder: Path, n_bytes: int, progress: Progress) -> Iterator[None]:
    """Wait until no other process pulls into a folder, telling how far that one is of about `n_bytes`."""
    lock = FileLock(f"{folder}.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_LOOK_SECONDS)
        except Timeout:
            progress(min(_arrived(folder.with_name(f"{folder.name}.part")), n_bytes), n_bytes)
        except OSError as error:
            raise ConfigurationError(f"Nothing can be stored in {folder.parent}: {error}.") from error
    try:
        yield
    finally:
        lock.release()


def _arrived(part: Path) -> int:
    try:
        return sum(file.stat().st_size for file in part.iterdir())
    except FileNotFoundError:  # not begun, or complete and moved to its place meanwhile
        return 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The folder {folder} cannot be made: {error.strerror}.") from error
