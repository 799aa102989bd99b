"""espeak-ng as the registry knows it.

Knows no voice: those are read from the library's data when they are asked for.
"""

from __future__ import annotations

from hearsay.engines.engine_spec import EngineSpec, Execution
from hearsay.engines.espeak import cards, synthesizer

ESPEAK = EngineSpec(
    name="espeak",
    cards=lambda: (cards.embedded(),),
    execution=Execution.OWN_PROCESS,
    load_embedded=lambda runtime: synthesizer.load(n_processes=runtime.speech_processes or runtime.cores),
    requires=("espeakng_loader",),
    remedy="the package `espeakng-loader` is not installed",
    voices=synthesizer.voices,
    variants=synthesizer.variants,
    drawback="sounds like a machine",
    is_light=True,
)
