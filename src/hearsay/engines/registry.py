"""The table of engines, and what is asked of the engine of a model: what it needs, its voices, loading it.

Knows neither names of models nor the hub. Runtimes are imported when a model is loaded, not before.
"""

from __future__ import annotations

from pathlib import Path

from hearsay.domain import ModelCard, Task, Voice
from hearsay.engines.engine_spec import EngineSpec, Runtime
from hearsay.engines.espeak.spec import ESPEAK
from hearsay.engines.fake.spec import FAKE_RECOGNIZER, FAKE_SYNTHESIZER
from hearsay.engines.onnx_tts.spec import ONNX_TTS
from hearsay.engines.protocols import Engine, SpeechDetector
from hearsay.engines.silero import detector
from hearsay.engines.whisper.spec import WHISPER
from hearsay.errors import ConfigurationError

ENGINES: tuple[EngineSpec, ...] = (WHISPER, ONNX_TTS, ESPEAK, FAKE_RECOGNIZER, FAKE_SYNTHESIZER)
"""Every engine, the better default first; a new one is a folder and an entry here."""


def spec(card: ModelCard) -> EngineSpec:
    """Return the engine that runs a model. Raises: `LookupError` where the table has none of that name."""
    for engine in ENGINES:
        if engine.name == card.engine:
            return engine
    raise LookupError(f"{card.id} is a model of {card.engine}, which is no engine.")


def recognizer_cards() -> tuple[ModelCard, ...]:
    """Return the cards of all models that transcribe but the test engine's, smallest Whisper first."""
    return _cards(Task.TRANSCRIBE)


def synthesizer_cards() -> tuple[ModelCard, ...]:
    """Return the cards of all models that synthesize speech but the test engine's, best first."""
    return _cards(Task.SYNTHESIZE)


def embedded_synthesizer() -> ModelCard:
    """Return the synthesizer that serves where no other is installed."""
    return next(card for card in synthesizer_cards() if spec(card).is_embedded)


def is_runnable(card: ModelCard) -> bool:
    """Return whether a model's engine can run here; its weights may still be missing."""
    return not spec(card).missing()


def voices(card: ModelCard) -> tuple[Voice, ...]:
    """Return the voices of a model without loading it, best first; none for a recogniser."""
    engine = spec(card)
    return engine.voices() if engine.voices and is_runnable(card) else card.voices


def variants(card: ModelCard) -> tuple[Voice, ...]:
    """Return what may follow the id of each voice and a plus sign, to make another voice of it."""
    return spec(card).variants() if is_runnable(card) else ()


def describe(name: str, folder: Path) -> ModelCard:
    """Describe an operator's own model from the small files in its folder.

    Raises: `ConfigurationError` where no engine recognises the folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"The model {name} should be in {folder}, but there is no such folder.")
    known = [engine.files for engine in ENGINES if engine.files]
    for each in known:
        if each.is_model(folder):
            return each.describe(name, folder)
    formats = ", and ".join(f"no {each.formats}" for each in known)
    raise ConfigurationError(f"The folder {folder} of the model {name} holds {formats}.")


def load(card: ModelCard, folder: Path | None, runtime: Runtime) -> Engine:
    """Load a model, from its folder where it has one. Raises: `EngineFailed`, and what its engine names."""
    engine = spec(card)
    if engine.load_embedded is not None:
        return engine.load_embedded(runtime)
    if engine.files is None or folder is None:
        raise LookupError(f"{card.id} is loaded from a folder.")
    return engine.files.load(folder, card, runtime)


def _cards(task: Task) -> tuple[ModelCard, ...]:
    engines = (engine for engine in ENGINES if not engine.is_test)
    return tuple(card for engine in engines for card in engine.cards() if task in card.tasks)


def speech_detector(card: ModelCard) -> SpeechDetector | None:
    """Return the speech detector for a model; None for engines that want none. Raises: `EngineFailed`."""
    return detector.shared() if spec(card).wants_speech_detection else None
