"""PocketSphinx as the registry knows it.

Knows no audio.
"""

from __future__ import annotations

from hearsay.engines.engine_spec import EngineSpec, Execution
from hearsay.engines.pocketsphinx import cards, recognizer

POCKETSPHINX = EngineSpec(
    name="sphinx",
    cards=lambda: (cards.embedded(),),
    execution=Execution.OWN_PROCESS,
    load_embedded=lambda runtime: recognizer.load(),
    requires=("pocketsphinx",),
    remedy="the package `pocketsphinx` is not installed",
    drawback="is far less accurate than Whisper",
)
