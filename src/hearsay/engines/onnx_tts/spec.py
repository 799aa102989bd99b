"""Neural voices as the registry knows them: each in a folder of its own.

Knows neither the hub nor what is in a folder: that is read by `voice_folder`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hearsay.domain import ModelCard
from hearsay.engines.engine_spec import EngineSpec, Execution, FileSelection, ModelFiles
from hearsay.engines.onnx_tts import cards, synthesizer, voice_folder
from hearsay.errors import ConfigurationError


def _select(card: ModelCard) -> FileSelection:
    names = tuple(card.extra["files"])
    return FileSelection(names, names, "voice")


def _damage(folder: Path) -> Iterator[str]:
    try:
        voice_folder.examine(folder)
    except ConfigurationError as error:
        yield error.message


ONNX_TTS = EngineSpec(
    name="onnx_tts",
    cards=cards.known,
    execution=Execution.OWN_PROCESS,
    files=ModelFiles(
        formats=voice_folder.FORMATS,
        select=_select,
        is_model=voice_folder.is_voice,
        describe=voice_folder.describe,
        damage=_damage,
        load=lambda folder, card, runtime: synthesizer.load(
            folder, card, n_threads=runtime.cpu_threads or runtime.cores
        ),
    ),
    requires=("openvino or onnxruntime", "espeakng_loader"),
    remedy="`pip install onnxruntime` installs what runs neural voices",
)
