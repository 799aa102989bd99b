"""sherpa-onnx as the registry knows it: neural voices, each in a folder of its own.

Knows neither the hub nor what is in a folder: that is read by `voice_folder`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hearsay.domain import ModelCard
from hearsay.engines.engine_spec import EngineSpec, Execution, FileSelection, ModelFiles
from hearsay.engines.sherpa import cards, synthesizer, voice_folder


def _select(card: ModelCard) -> FileSelection:
    names = tuple(card.extra["files"])
    return FileSelection(names, names, "voice")


def _damage(folder: Path) -> Iterator[str]:
    if not voice_folder.is_voice(folder):
        yield "What makes it a voice is missing (a model in ONNX format, tokens.txt)."


SHERPA = EngineSpec(
    name="sherpa",
    cards=cards.known,
    execution=Execution.OWN_PROCESS,
    files=ModelFiles(
        formats="voice in ONNX format (a model, tokens.txt)",
        select=_select,
        is_model=voice_folder.is_voice,
        describe=voice_folder.describe,
        damage=_damage,
        load=lambda folder, card, runtime: synthesizer.load(
            folder, card, n_threads=runtime.cpu_threads or runtime.cores
        ),
    ),
    requires=("sherpa_onnx", "espeakng_loader"),
    remedy="`pip install 'hearsay[speech]'` installs what runs neural voices",
)
