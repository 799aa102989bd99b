"""The model card of PocketSphinx, whose US English model comes with the library.

Knows no other engine.
"""

from __future__ import annotations

from hearsay.domain import ModelCard, Task, unix_time

POCKETSPHINX = "pocketsphinx-en-us"
"""Id of the model."""


def embedded() -> ModelCard:
    """Return the card of the model that comes with the library."""
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
