"""PocketSphinx as the registry knows it.

Knows no audio.
"""

from __future__ import annotations

from hearsay.engines.engine_spec import EngineSpec, Execution, Runtime
from hearsay.engines.pocketsphinx import cards
from hearsay.engines.protocols import Recognizer


def _load(runtime: Runtime) -> Recognizer:
    from hearsay.engines.pocketsphinx import recognizer

    return recognizer.load()


POCKETSPHINX = EngineSpec(
    name="sphinx",
    cards=lambda: (cards.embedded(),),
    execution=Execution.OWN_PROCESS,
    load_embedded=_load,
    requires=("pocketsphinx",),
    remedy="the package `pocketsphinx` is not installed",
    drawback="is far less accurate than Whisper",
)
