"""Weights on this machine: in the operator's folders, the models folder, the hub's cache; and their sources.

Knows neither names nor defaults. Everything here blocks.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from hearsay.domain import ModelCard
from hearsay.engines.engine_spec import EngineSpec, FileSelection
from hearsay.errors import ConfigurationError, DownloadFailed, ModelDownloading, ModelNotInstalled
from hearsay.models import bundle
from hearsay.models.checksums import Checks, read_manifest
from hearsay.models.hub import Hub
from hearsay.models.package_index import PackageIndex
from hearsay.models.partial_folder import Contents, Progress, collect, leftovers
from hearsay.models.sources import AUTO, HUB, INDEX, Sources, sources

_LOOK_SECONDS = 1.0
"""Seconds between two looks at how far another process is that downloads the same model."""


class Store:
    """The models folder, the operator's own folders by the ids of their models, and the sources."""

    def __init__(
        self,
        folder: Path,
        local: Mapping[str, Path],
        hub: Hub,
        spec: Callable[[ModelCard], EngineSpec],
        index: PackageIndex | None = None,
    ) -> None:
        """Use these folders and sources; `spec` returns the engine of a model."""
        self._spec = spec
        self._folder = folder
        self._local = dict(local)
        self.sources = Sources(hub, index or PackageIndex())
        self._checks = Checks(folder / "checked.json")

    def is_ready(self, card: ModelCard) -> bool:
        """Return whether a model could be loaded now."""
        spec = self._spec(card)
        return not spec.missing() and (spec.is_embedded or self.find(card) is not None)

    def unready(self, card: ModelCard) -> ModelNotInstalled | None:
        """Return why a model cannot be loaded now, and the command that helps; None where it can be."""
        if self.is_ready(card):
            return None
        if self._spec(card).missing():
            return ModelNotInstalled(f"The model `{card.id}` cannot run here: {self._spec(card).remedy}.")
        arrived = self.arrived(card)
        if arrived is None:
            return ModelNotInstalled(
                f"The model `{card.id}` is not installed. `hearsay models pull {card.id}` installs it."
            )
        share = min(arrived / card.size_bytes, 0.99) if card.size_bytes else 0.0
        return ModelDownloading(f"The model `{card.id}` is being downloaded ({share:.0%}); try again soon.")

    def arrived(self, card: ModelCard) -> int | None:
        """Return the bytes that have arrived of a model that a process is downloading; None where none is."""
        folder = self.own(card)
        lock = Path(f"{folder}.lock")
        if not lock.is_file():
            return None
        try:
            with FileLock(lock, timeout=0):
                return None
        except Timeout:
            return sum(map(_arrived, leftovers(folder)))

    def find(self, card: ModelCard) -> Path | None:
        """Find a model's weights: in the operator's folder, the models folder, then the hub's cache."""
        if card.id in self._local:
            return self._local[card.id]
        if not sources(card):
            return None
        own = self.own(card)
        if own.is_dir():
            return own
        if card.repository is None:
            return None
        wanted = self._spec(card).model_files.select(card)
        places = (card.repository, *card.extra.get("also_at", ()))
        return next((found for place in places if (found := self.sources.hub.cached(place, wanted))), None)

    def own(self, card: ModelCard) -> Path:
        """Return the folder that a model's weights are downloaded to (it need not exist)."""
        name = card.id
        if card.repository and self._spec(card).model_files.named_by_repository:
            name = card.repository
        return self._folder / name.replace("/", "--")

    def damage(self, card: ModelCard, *, thorough: bool = False) -> list[str]:
        """Return what is wrong with an installed model's files, one sentence each."""
        folder = self.find(card)
        return [] if folder is None else self._damage(folder, card, thorough=thorough)

    def sound(self, card: ModelCard) -> Path:
        """Return the folder of a model whose files are in order; damaged ones are fetched again if possible.

        Raises: `ModelNotInstalled`, `DownloadFailed`.
        """
        problem, folder = self.unready(card), self.find(card)
        if problem is not None or folder is None:
            raise problem or ModelNotInstalled()
        problems = self._damage(folder, card)
        if not problems:
            return folder
        if sources(card) and not self.sources.closed(card):
            return self.fetch(card)
        mend = f" `hearsay models pull {card.id}` mends it." if sources(card) else ""
        raise DownloadFailed(f"The weights of {card.id} in {folder} are damaged: {' '.join(problems)}{mend}")

    def fetch(
        self,
        card: ModelCard,
        progress: Progress = lambda done, total: None,
        source: str | Path = AUTO,
    ) -> Path:
        """Get what is missing or damaged of a model, and return its folder.

        `source` is `auto`, `hub`, `index`, or the path of a bundle.
        Raises: `ConfigurationError` for a model that has nothing to download and for what is no bundle of
        the model, `DownloadFailed`.
        """
        if not sources(card):
            raise ConfigurationError(f"There is nothing to download for {card.id}: {card.description}.")
        found = self.find(card)
        if found is not None and not self._damage(found, card, thorough=True):
            return found
        folder, wanted = self.own(card), self._spec(card).model_files.select(card)
        if source in (AUTO, HUB, INDEX):
            with _locked(folder, card.size_bytes or 0, progress):
                # Another process may have fetched it in the meantime.
                if not folder.is_dir() or self._damage(folder, card, thorough=True):
                    self.sources.fetch(card, folder, wanted, progress, str(source))
        else:
            with bundle.open_bundle(Path(source)) as given, _locked(folder, card.size_bytes or 0, progress):
                collect(folder, _chosen(card, given.contents, wanted), given.blocks, progress)
        return folder

    def import_bundle(self, path: Path, cards: Iterable[ModelCard], progress: Progress) -> Path:
        """Store the model of a bundle, one of `cards` or a model that was an operator's own.

        Return its folder. Raises: `ConfigurationError` for what is no bundle, `DownloadFailed` for damage.
        """
        with bundle.open_bundle(path) as given:
            for card in cards:
                if sources(card) and given.name == self.own(card).name:
                    return self.fetch(card, progress, path)
            folder = self._folder / given.name
            if folder.exists() and read_manifest(folder) is None:
                raise ConfigurationError(f"{folder} is there already, and no bundle was its source.")
            with _locked(folder, 0, progress):
                collect(folder, given.contents, given.blocks, progress)
        return folder

    def export(self, card: ModelCard, path: Path, progress: Progress) -> None:
        """Write an installed model to a bundle.

        Raises: `ModelNotInstalled`, `DownloadFailed` for damaged weights, `ConfigurationError` for a model
        without files and for a path that cannot be written.
        """
        folder = self.find(card)
        if folder is None and not sources(card):
            raise ConfigurationError(f"{card.id} is part of Hearsay: there is nothing to export.")
        if folder is None:
            raise self.unready(card) or ModelNotInstalled()
        if problems := self._damage(folder, card, thorough=True):
            raise DownloadFailed(f"The weights of {card.id} in {folder} are damaged: {' '.join(problems)}")
        name = self.own(card).name if sources(card) else card.id.replace("/", "--")
        bundle.export(folder, name, card.repository, path, progress)

    def delete(self, card: ModelCard) -> Path:
        """Delete a model's weights from the models folder, and return the folder that is gone.

        Raises: `ModelNotInstalled`, `ConfigurationError` where the weights lie elsewhere.
        """
        if sources(card):
            folder = self.own(card)
            present = [each for each in (folder, *leftovers(folder)) if each.is_dir()]
            for each in present:
                shutil.rmtree(each)
            if present:
                return folder
        elsewhere = self.find(card)
        if elsewhere is not None:
            raise ConfigurationError(
                f"{card.id} is in {elsewhere}, which Hearsay did not make and will not delete."
            )
        if not sources(card):
            raise ConfigurationError(f"{card.id} is part of Hearsay and cannot be removed.")
        raise ModelNotInstalled(f"{card.id} is not installed.")

    def _damage(self, folder: Path, card: ModelCard, *, thorough: bool = False) -> list[str]:
        return self._checks.damaged(folder, self._spec(card).model_files.damage, thorough=thorough)


def _chosen(card: ModelCard, given: Contents, wanted: FileSelection) -> Contents:
    """Return the files of a bundle that make up a model. Raises: `ConfigurationError` if it is another's."""
    if given.repository not in (None, card.repository, *card.extra.get("also_at", ())):
        raise ConfigurationError(f"{given.name} holds {given.repository}, not {card.id}.")
    files = [file for file in given.files if wanted.wants(file.name)]
    if lacking := wanted.lacking(file.name for file in files):
        missing = ", ".join(lacking)
        raise ConfigurationError(f"{given.name} holds no {wanted.what}: {missing} is missing.")
    return replace(given, repository=card.repository, files=files)


@contextmanager
def _locked(folder: Path, n_bytes: int, progress: Progress) -> Iterator[None]:
    """Wait until no other process downloads to a folder, and report its progress of about `n_bytes`."""
    lock = FileLock(f"{folder}.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_LOOK_SECONDS)
        except Timeout:
            progress(min(sum(map(_arrived, leftovers(folder))), n_bytes), n_bytes)
        except OSError as error:
            raise ConfigurationError(f"Nothing can be stored in {folder.parent}: {error}.") from error
    try:
        yield
    finally:
        lock.release()


def _arrived(part: Path) -> int:
    try:
        return sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
    except FileNotFoundError:  # not begun, or complete and renamed meanwhile
        return 0
