"""Whisper as the registry knows it: its files, an operator's own folder, and which size suits a machine.

Knows no format: folders are read by `weights.folder`.
"""

from __future__ import annotations

from pathlib import Path

from hearsay.domain import RECOGNITION, ModelCard, Task
from hearsay.engines.engine_spec import EngineSpec, Execution, FileSelection, ModelFiles, Runtime
from hearsay.engines.protocols import WindowRecognizer
from hearsay.engines.whisper import cards
from hearsay.engines.whisper.recommendation import ranking, suits
from hearsay.engines.whisper.weights import folder as weights

CONVERTED = FileSelection(
    ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
    ("model.bin", "config.json", "vocabulary.*"),
    "CTranslate2 model",
)
"""The files of a Whisper in CTranslate2's format; a repository may hold more."""


def _is_model(folder: Path) -> bool:
    return weights.is_converted(folder) or weights.is_transformers(folder)


def _describe(name: str, folder: Path) -> ModelCard:
    languages = weights.languages(folder)
    return ModelCard(
        id=name,
        engine="whisper",
        owner="local",
        created=int((folder / "config.json").stat().st_mtime),
        tasks=RECOGNITION if languages != ("en",) else frozenset({Task.TRANSCRIBE}),
        languages=languages,
        context_window=cards.CONTEXT_WINDOW,
        size_bytes=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        description="the operator's own",  # clients read this, so it names no folder
    )


def _load(folder: Path, card: ModelCard, runtime: Runtime) -> WindowRecognizer:
    from hearsay.engines.whisper import loading

    return loading.load(
        folder,
        device=runtime.device,
        device_index=runtime.device_indices,
        compute_type=runtime.compute_type,
        cpu_threads=runtime.cpu_threads or min(runtime.cores, loading.MAX_THREADS),
        conversions=runtime.conversions,
        encoder=runtime.encoder,
        decoder=runtime.decoder,
    )


WHISPER = EngineSpec(
    name="whisper",
    cards=cards.known,
    execution=Execution.BATCHED,
    files=ModelFiles(
        formats=(
            "Whisper in CTranslate2 format (model.bin, config.json, vocabulary.json) or Hugging Face format "
            "(config.json, model.safetensors)"
        ),
        select=lambda card: CONVERTED,
        is_model=_is_model,
        describe=_describe,
        damage=weights.damage,
        load=_load,
        named_by_repository=True,
    ),
    requires=("ctranslate2",),
    remedy="the package `ctranslate2` is not installed",
    ranking=ranking,
    suitable=lambda machine: tuple(name for name in ranking(machine) if suits(name, machine)),
    wants_speech_detection=True,
)
