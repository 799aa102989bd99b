"""The model cards of the two test engines.

Knows no other engine.
"""

from __future__ import annotations

from hearsay.domain import RECOGNITION, ModelCard, Task, unix_time
from hearsay.engines.fake.synthesizer import VOICES

FAKE = "fake"
"""Id of the recogniser."""

FAKE_VOICE = "fake-voice"
"""Id of the synthesizer."""


def fake() -> ModelCard:
    return ModelCard(
        id=FAKE,
        engine="fake",
        owner="hearsay",
        created=unix_time("2026-11-20"),
        tasks=RECOGNITION,
        languages=("en", "de", "es", "fr"),
        context_window=448,
        description="hears one word in every loud half second; for people who write clients",
    )


def fake_voice() -> ModelCard:
    return ModelCard(
        id=FAKE_VOICE,
        engine="fake_voice",
        owner="hearsay",
        created=unix_time("2026-11-21"),
        tasks=frozenset({Task.SYNTHESIZE}),
        languages=VOICES[0].languages,
        context_window=0,
        description="says every word as a tone; for people who write clients",
        voices=VOICES,
    )
