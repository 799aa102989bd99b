"""The model of PocketSphinx, which comes with the library.

Knows no other engine.
"""

from __future__ import annotations

from hearsay.domain import ModelCard, Task, unix_time

POCKETSPHINX = "pocketsphinx-en-us"
"""The model that is always there."""


def embedded() -> ModelCard:
    return ModelCard(
        id=POCKETSPHINX,
        engine="sphinx",
        owner="CMU Sphinx",
        created=unix_time("2022-10-17"),
        tasks=frozenset({Task.TRANSCRIBE}),
        languages=("en",),
        context_window=0,
        aliases=("pocketsphinx", "sphinx", "embedded"),
        description="always there, US English only, far less accurate than any Whisper",
    )
