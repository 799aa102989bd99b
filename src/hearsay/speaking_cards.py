"""What is known about every model that speaks, before it is installed.

A table of data that knows neither files nor the network nor which of these models is on this machine.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hearsay.domain import ModelCard, Task

EMBEDDED_VOICE = "espeak-ng"
"""The model that speaks and is always there."""


def known() -> tuple[ModelCard, ...]:
    """Give the cards of all models that speak, best first; the embedded one comes last."""
    return (_embedded(),)


def _embedded() -> ModelCard:
    return ModelCard(
        id=EMBEDDED_VOICE,
        engine="espeak",
        owner="eSpeak NG",
        created=int(datetime(2024, 12, 11, tzinfo=UTC).timestamp()),
        tasks=frozenset({Task.SPEAK}),
        languages=("en", "de", "es", "fr"),
        context_window=0,
        aliases=("espeak",),
        description="always there, speaks many languages, sounds like a machine",
        ignores=frozenset({"instructions"}),
    )
