"""The toy engine as the registry knows it.

Knows no test.
"""

from __future__ import annotations

from hearsay.domain import ModelCard, Task, unix_time
from hearsay.engines.engine_spec import EngineSpec, Execution, Runtime
from hearsay.engines.protocols import WindowRecognizer


def _cards() -> tuple[ModelCard, ...]:
    card = ModelCard(
        id="toy-beeps",
        engine="toy",
        owner="tests",
        created=unix_time("2026-01-01"),
        tasks=frozenset({Task.TRANSCRIBE}),
        languages=("en",),
        context_window=0,
        aliases=("beeps",),
        description="hears beeps",
    )
    return (card,)


def _load(runtime: Runtime) -> WindowRecognizer:
    from tests.support.toy_engine.recognizer import ToyRecognizer

    return ToyRecognizer()


TOY = EngineSpec(name="toy", cards=_cards, execution=Execution.BATCHED, load_embedded=_load)
