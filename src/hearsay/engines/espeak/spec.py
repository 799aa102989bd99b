"""espeak-ng as the registry knows it.

Knows no voice: those are read from the library's data when they are asked for.
"""

from __future__ import annotations

from hearsay.domain import Voice
from hearsay.engines.engine_spec import EngineSpec, Execution, Runtime
from hearsay.engines.espeak import cards
from hearsay.engines.protocols import Synthesizer


def _load(runtime: Runtime) -> Synthesizer:
    from hearsay.engines.espeak import synthesizer

    return synthesizer.load(n_processes=runtime.speech_processes or runtime.cores)


def _voices() -> tuple[Voice, ...]:
    from hearsay.engines.espeak import synthesizer

    return synthesizer.voices()


def _variants() -> tuple[Voice, ...]:
    from hearsay.engines.espeak import synthesizer

    return synthesizer.variants()


ESPEAK = EngineSpec(
    name="espeak",
    cards=lambda: (cards.embedded(),),
    execution=Execution.OWN_PROCESS,
    load_embedded=_load,
    requires=("espeakng_loader",),
    remedy="the package `espeakng-loader` is not installed",
    voices=_voices,
    variants=_variants,
    drawback="sounds like a machine",
    is_light=True,
)
