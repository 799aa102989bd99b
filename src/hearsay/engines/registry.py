"""From a card and a folder to a model in memory: what each engine has to be told, and what it needs to run.

Knows no names and no hub; weights are there and sound when these functions are called. Engines are imported
when a model of theirs is wanted, and not before.
"""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

from hearsay.domain import ModelCard, Voice
from hearsay.engines.espeak import cards as espeak_cards
from hearsay.engines.pocketsphinx import cards as pocketsphinx_cards
from hearsay.engines.protocols import Engine, Recognizer, Synthesizer, WindowRecognizer
from hearsay.engines.sherpa import cards as sherpa_cards
from hearsay.engines.whisper import cards as whisper_cards
from hearsay.engines.whisper.weights.folder import is_transformers
from hearsay.errors import ConfigurationError, UnsupportedOption

EMBEDDED_ENGINES = frozenset({"sphinx", "espeak", "fake", "fake_voice"})
"""Those whose models come with the program: there is nothing to download."""

_LIBRARIES = {"espeak": ("espeakng_loader",), "sherpa": ("sherpa_onnx", "espeakng_loader")}
"""What must be importable besides, by engine; not every platform or installation has it."""

_REMEDIES = {
    "espeak": "the package `espeakng-loader` is not installed",
    "sherpa": "`pip install 'hearsay[speech]'` installs what runs neural voices",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """How models are run."""

    device: str = "auto"
    device_indices: tuple[int, ...] = (0,)
    """GPUs, each of which holds a copy of a model."""
    compute_type: str = "default"
    cpu_threads: int = 0
    """0 lets the engine choose."""
    encoder: str = "auto"
    decoder: str = "auto"
    speech_processes: int = 0
    """Processes that speak with the embedded engine; 0 is one per core."""


def recognizer_cards() -> tuple[ModelCard, ...]:
    """Return the cards of all models that transcribe, smallest Whisper first."""
    return (*whisper_cards.known(), pocketsphinx_cards.embedded())


def synthesizer_cards() -> tuple[ModelCard, ...]:
    """Return the cards of all models that synthesize speech, best first."""
    return (*sherpa_cards.known(), espeak_cards.embedded())


def is_runnable(card: ModelCard) -> bool:
    """Return whether what runs a model is installed; whether its weights are is another question."""
    return all(_is_there(library) for library in _LIBRARIES.get(card.engine, ()))


def remedy(card: ModelCard) -> str:
    """Return why a model cannot run that is not runnable."""
    return _REMEDIES[card.engine]


def voices(card: ModelCard) -> tuple[Voice, ...]:
    """List the voices of a model without loading it, best first; none for one that does not speak."""
    if card.engine == "espeak" and is_runnable(card):
        from hearsay.engines.espeak import synthesizer as espeak

        return espeak.voices()
    return card.voices


def variants(card: ModelCard) -> tuple[Voice, ...]:
    """List what may follow the id of each voice and a plus sign, to make another voice of it."""
    if card.engine == "espeak" and is_runnable(card):
        from hearsay.engines.espeak import synthesizer as espeak

        return espeak.variants()
    return ()


def load_embedded(card: ModelCard, runtime: Runtime, *, cores: int) -> Engine:
    """Load a model that has no weights of its own. Raises: `EngineFailed`."""
    if card.engine == "sphinx":
        from hearsay.engines.pocketsphinx import recognizer as sphinx

        return sphinx.load()
    if card.engine == "espeak":
        from hearsay.engines.espeak import synthesizer as espeak

        return espeak.load(n_processes=runtime.speech_processes or cores)
    if card.engine == "fake_voice":
        from hearsay.engines.fake.synthesizer import FakeSynthesizer

        return FakeSynthesizer()
    from hearsay.engines.fake.recognizer import FakeWindowRecognizer

    return FakeWindowRecognizer()


def load_from(folder: Path, card: ModelCard, runtime: Runtime, *, cores: int, conversions: Path) -> Engine:
    """Load a model from its weights; converted ones are kept in `conversions`. Raises: `EngineFailed`."""
    if card.engine == "sherpa":
        from hearsay.engines.sherpa import synthesizer as sherpa

        return sherpa.load(folder, card, n_threads=runtime.cpu_threads or cores)
    return _whisper(folder, runtime, cores=cores, conversions=conversions)


def recognizer(engine: Engine, card: ModelCard) -> Recognizer:
    """Take a loaded model for one that listens. Raises: `UnsupportedOption` for one that does not."""
    if isinstance(engine, Synthesizer):
        raise UnsupportedOption(f"The model `{card.id}` speaks; it cannot transcribe.", param="model")
    return engine


def synthesizer(engine: Engine, card: ModelCard) -> Synthesizer:
    """Take a loaded model for one that speaks. Raises: `UnsupportedOption` for one that does not."""
    if not isinstance(engine, Synthesizer):
        raise UnsupportedOption(f"The model `{card.id}` transcribes; it cannot speak.", param="model")
    return engine


def make_folder(folder: Path) -> None:
    """Make a folder for models. Raises: `ConfigurationError` where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"The folder {folder} cannot be made: {error.strerror}.") from error


@cache
def _is_there(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _whisper(folder: Path, runtime: Runtime, *, cores: int, conversions: Path) -> WindowRecognizer:
    from hearsay.engines.whisper import loading

    # A folder in Hugging Face format is converted by the first who loads it; others wait for that.
    with _locked(conversions) if is_transformers(folder) else nullcontext():
        return loading.load(
            folder,
            device=runtime.device,
            device_index=runtime.device_indices,
            compute_type=runtime.compute_type,
            # The machine's cores, which a container may have fewer of than this process may run on.
            cpu_threads=runtime.cpu_threads or min(cores, loading.MAX_THREADS),
            conversions=conversions,
            encoder=runtime.encoder,
            decoder=runtime.decoder,
        )


def _locked(conversions: Path) -> FileLock:
    make_folder(conversions)
    return FileLock(conversions / ".lock")
