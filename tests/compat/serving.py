"""The app with everything real but its engines, which behave as a test wants.

Knows no client and no test; `tests.support.server` puts it on a socket.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from starlette.types import ASGIApp

from hearsay.api.app import Limits, create_app
from hearsay.api.request.url_fetch import Fetcher, FetchPolicy
from hearsay.api.routes.transcriptions import Detector, no_detector
from hearsay.domain import ModelCard, Task
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.engines.jobs import Job, Jobs, Stage
from hearsay.engines.protocols import Engine, WindowRecognizer
from hearsay.engines.whisper.window_loop import WindowLoop
from hearsay.errors import EngineFailed
from hearsay.media.worker_pool import MediaDecoderPool
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.scheduling.admission import Admission
from hearsay.scheduling.model_pool import ModelPool
from hearsay.storage.api_keys import Keyring

ALIASES = {"whisper-large-v3": fake_cards.FAKE, "openai/whisper-large-v3": fake_cards.FAKE}
"""Names that clients' defaults and examples use, served by the fake engine here."""


@dataclass
class Gate:
    """What a slow engine waits at."""

    opened: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when an engine has come to the closed gate."""

    def __post_init__(self) -> None:
        self.opened.set()

    def close(self) -> None:
        """Let engines wait from now on."""
        self.reached.clear()
        self.opened.clear()

    def wait(self) -> None:
        """Wait until the gate is open."""
        if not self.opened.is_set():
            self.reached.set()
            assert self.opened.wait(timeout=60)


class FragileRecognizer(FakeWindowRecognizer):
    """A fake engine that breaks at the end of every recording."""

    def window_loop(self, *args: Any, **options: Any) -> WindowLoop:
        """Begin a recording with the mishap still ahead."""
        loop = super().window_loop(*args, **options)
        jobs = loop.jobs

        def breaking() -> Jobs[None]:
            yield from jobs()
            yield Break()

        loop.jobs = breaking  # type: ignore[method-assign]
        return loop


class Break(Job):
    """Fails."""

    stage: ClassVar[Stage] = Stage.DECODE

    def kind(self, model: Any) -> Hashable:
        """Return what no other job is of."""
        return self

    @classmethod
    def run(cls, model: Any, jobs: Sequence[Self]) -> list[Any]:
        """Raise."""
        raise EngineFailed("The fake engine failed as it was told to.")


def doze() -> None:
    """Take a moment, as a model does."""
    threading.Event().wait(0.03)


ENGINES: dict[str, Callable[[Gate], WindowRecognizer]] = {
    "breaks": lambda _: FakeWindowRecognizer(mishaps=Faults(fail_after=0)),
    "breaks-later": lambda _: FragileRecognizer(),
    "drowsy": lambda _: FakeWindowRecognizer(mishaps=Faults(pause=doze)),
    "slow": lambda gate: FakeWindowRecognizer(mishaps=Faults(pause=gate.wait)),
}
"""Further models of the test server: name → what makes its engine."""


class StagedCatalogue(Catalogue):
    """The real catalogue with the fake engine and its ill-behaved variants; nothing is ever downloaded."""

    def __init__(
        self,
        folder: Path,
        gate: Gate,
        *,
        default: str = fake_cards.FAKE,
        local: Mapping[str, Path] | None = None,
    ) -> None:
        super().__init__(
            models_folder=folder,
            local=local,
            aliases=ALIASES,
            default=fake_cards.FAKE if default in ENGINES else default,
            hub=Hub(allowed=False),
            offer_fake=True,
        )
        self._gate = gate
        self._stands_for_default = default if default in ENGINES else None

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Find a model, the ill-behaved ones included."""
        card = super().card(fake_cards.FAKE if name in ENGINES else name, task)
        staged = name if name in ENGINES else self._stands_for_default
        return replace(card, id=staged) if staged and card.id == fake_cards.FAKE else card

    def load(self, card: ModelCard) -> Engine:
        """Make an engine."""
        return ENGINES[card.id](self._gate) if card.id in ENGINES else super().load(card)


async def only_here(host: str, port: int) -> Sequence[str]:
    """Resolve nothing but this machine: tests stay off the network."""
    if host in ("127.0.0.1", "localhost"):
        return ["127.0.0.1"]
    raise OSError(f"{host} is unknown in tests")


@dataclass
class Scene:
    """A server to be: the real rooms around the fake engines; URLs may point to this machine."""

    folder: Path
    key: str = ""
    """What callers must know; empty lets everybody in."""
    gate: Gate = field(default_factory=Gate)
    max_waiting: int = 32
    default: str = fake_cards.FAKE
    local: Mapping[str, Path] = field(default_factory=dict)
    """Folders of real weights by name."""
    limits: Limits = field(default_factory=Limits)
    detector: Detector = no_detector

    def app(self) -> ASGIApp:
        """Join everything."""
        catalogue = StagedCatalogue(self.folder, self.gate, default=self.default, local=self.local)
        return create_app(
            catalogue=catalogue,
            pool=ModelPool(catalogue, admission=Admission(max_waiting=self.max_waiting), max_loaded=4),
            decoders=MediaDecoderPool(n_workers=1, timeout=60.0),
            keys=Keyring(fixed=(self.key,) if self.key else ()),
            limits=self.limits,
            detector=self.detector,
            fetcher=Fetcher(FetchPolicy(allow_private=True), resolver=only_here),
            folder=self.folder,
        )
