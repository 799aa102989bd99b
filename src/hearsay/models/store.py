"""Weights on this machine: in the operator's folders, the models folder and the hub's cache; and downloads.

Knows neither names nor defaults. Everything here blocks.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hearsay.domain import ModelCard
from hearsay.engines import registry
from hearsay.errors import ConfigurationError, DownloadFailed, ModelNotInstalled
from hearsay.models.checksums import Checks
from hearsay.models.hub import Hub, Progress, partial_folder

_LOOK_SECONDS = 1.0
"""Seconds between two looks at how far another process is that downloads the same model."""


class Store:
    """The models folder, the operator's own folders by the ids of their models, and the hub."""

    def __init__(self, folder: Path, local: Mapping[str, Path], hub: Hub) -> None:
        self._folder = folder
        self._local = dict(local)
        self._hub = hub
        self._checks = Checks(folder / "checked.json")

    def is_ready(self, card: ModelCard) -> bool:
        """Return whether a model could be loaded now."""
        if not registry.is_runnable(card):
            return False
        return registry.spec(card).is_embedded or self.find(card) is not None

    def find(self, card: ModelCard) -> Path | None:
        """Find a model's weights: in the operator's folder, the models folder, then the hub's cache."""
        if card.id in self._local:
            return self._local[card.id]
        if card.repository is None:
            return None
        own = self.own(card)
        if own.is_dir():
            return own
        wanted = registry.files(card).select(card)
        places = (card.repository, *card.extra.get("also_at", ()))
        return next((found for place in places if (found := self._hub.cached(place, wanted))), None)

    def own(self, card: ModelCard) -> Path:
        """Return the folder that a model's weights are downloaded to (it need not exist)."""
        name = card.repository if card.repository and registry.files(card).named_by_repository else card.id
        return self._folder / name.replace("/", "--")

    def damage(self, card: ModelCard, *, thorough: bool = False) -> list[str]:
        """Return what is wrong with an installed model's files, one sentence each."""
        folder = self.find(card)
        return [] if folder is None else self._damage(folder, card, thorough=thorough)

    def sound(self, card: ModelCard) -> Path:
        """Return the folder of a model whose files are in order; damaged ones are fetched again if possible.

        Raises: `ModelNotInstalled`, `DownloadFailed`.
        """
        folder = self.find(card)
        if folder is None:
            raise ModelNotInstalled(
                f"The model `{card.id}` is not installed. `hearsay models pull {card.id}` installs it."
            )
        if not registry.is_runnable(card):
            raise ModelNotInstalled(f"The model `{card.id}` cannot run here: {registry.remedy(card)}.")
        problems = self._damage(folder, card)
        if not problems:
            return folder
        if card.repository is not None and not self._hub.closed():
            return self.fetch(card)
        mend = f" `hearsay models pull {card.id}` mends it." if card.repository else ""
        raise DownloadFailed(f"The weights of {card.id} in {folder} are damaged: {' '.join(problems)}{mend}")

    def fetch(self, card: ModelCard, progress: Progress = lambda done, total: None) -> Path:
        """Download what is missing or damaged of a model, and return its folder.

        Raises: `ConfigurationError` for a model that has nothing to download, `DownloadFailed`.
        """
        if card.repository is None:
            raise ConfigurationError(f"There is nothing to download for {card.id}: {card.description}.")
        found = self.find(card)
        if found is not None and not self._damage(found, card, thorough=True):
            return found
        folder = self.own(card)
        with _locked(folder, card.size_bytes or 0, progress):
            self._hub.download(card.repository, folder, registry.files(card).select(card), progress)
        return folder

    def delete(self, card: ModelCard) -> Path:
        """Delete a model's weights from the models folder, and return the folder that is gone.

        Raises: `ModelNotInstalled`, `ConfigurationError` where the weights lie elsewhere.
        """
        if card.repository is not None:
            folder = self.own(card)
            present = [each for each in (folder, partial_folder(folder)) if each.is_dir()]
            for each in present:
                shutil.rmtree(each)
            if present:
                return folder
        elsewhere = self.find(card)
        if elsewhere is not None:
            raise ConfigurationError(
                f"{card.id} is in {elsewhere}, which Hearsay did not make and will not delete."
            )
        if card.repository is None:
            raise ConfigurationError(f"{card.id} is part of Hearsay and cannot be removed.")
        raise ModelNotInstalled(f"{card.id} is not installed.")

    def _damage(self, folder: Path, card: ModelCard, *, thorough: bool = False) -> list[str]:
        return self._checks.damaged(folder, registry.files(card).damage, thorough=thorough)


@contextmanager
def _locked(folder: Path, n_bytes: int, progress: Progress) -> Iterator[None]:
    """Wait until no other process downloads to a folder, and report its progress of about `n_bytes`."""
    lock = FileLock(f"{folder}.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_LOOK_SECONDS)
        except Timeout:
            progress(min(_arrived(partial_folder(folder)), n_bytes), n_bytes)
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
