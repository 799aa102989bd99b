"""espeak-ng with the data of its wheel: synthesis that needs no download, in a hundred languages.

Does not know the requests. The library runs in processes of its own (`espeak.process`), because it has one
global state, and because its licence (GPL-3) is not ours.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

from hearsay.domain import SynthesisOptions, Voice
from hearsay.engines.espeak import voices as espeak_voices
from hearsay.engines.espeak.voices import FEMALE_VARIANT, VoiceFile
from hearsay.engines.tts_worker.pool import SynthesizerPool
from hearsay.engines.tts_worker.utterance import Utterance
from hearsay.errors import EngineFailed, UnsupportedOption

SPEEDS = (0.8, 1.2)
"""Here the length of the audio follows the speed within 5 %, whatever the language; beyond, it does not,
because espeak-ng shortens pauses, vowels and consonants each in its own way."""

UTTERANCE_CHARACTERS = 800
"""Some 48 s of speech, 2 MB: each utterance costs the library's loading and a turn of the server."""


def load(*, n_processes: int) -> EspeakSynthesizer:
    """Start the processes and wait until they are ready. Raises `EngineFailed`."""
    return EspeakSynthesizer(n_processes)


@cache
def voices() -> tuple[Voice, ...]:
    """Return the voices, best first, without starting anything; each comes again with a female variant.

    Any other `variants()` may be put to any voice's id too: `de+m3`. Raises `EngineFailed`.
    """
    plain = [entry.voice for entry in _voices().values()]
    _, female = _variants()[FEMALE_VARIANT]
    return tuple(plain + [voice.varied(female) for voice in plain])


@cache
def variants() -> tuple[Voice, ...]:
    """Return what may follow a voice's id and a plus sign. Raises `EngineFailed`."""
    return tuple(variant for _, variant in _variants().values())


class EspeakSynthesizer:
    """A `Synthesizer` for many languages, in as many processes as it is given."""

    speeds = SPEEDS
    utterance_characters = UTTERANCE_CHARACTERS

    def __init__(self, n_processes: int) -> None:
        self.voices = voices()
        loader = _loader()
        settings = {"library": loader.get_library_path(), "data": loader.get_data_path()}
        self._processes = SynthesizerPool(
            "hearsay.engines.espeak.process", settings, n_processes=n_processes, name="espeak-ng"
        )
        self.sample_rate = int(self._processes.about["sample_rate"])

    def synthesize(self, text: str, options: SynthesisOptions, *, is_awaited: bool = True) -> Utterance:
        """Begin one utterance. Raises `UnsupportedOption` for an unknown voice, `EngineFailed`."""
        options = replace(options, voice=_file(options.voice))
        return self._processes.submit(text, options, is_awaited=is_awaited)

    def close(self) -> None:
        self._processes.close()


def _file(voice_id: str) -> str:
    """Return the file by which the process knows a voice, with its variant. Raises `UnsupportedOption`."""
    tag, plus, variant_id = voice_id.lower().partition("+")
    entry, variant = _voices().get(tag), _variants().get(variant_id)
    if entry is None or (plus and variant is None):
        raise UnsupportedOption(f"espeak-ng has no voice {voice_id!r}.", param="voice")
    return entry.path if variant is None else f"{entry.path}+{variant[0]}"


@cache
def _voices() -> dict[str, VoiceFile]:
    return espeak_voices.read_voices(Path(_loader().get_data_path()))


@cache
def _variants() -> dict[str, tuple[str, Voice]]:
    return espeak_voices.read_variants(Path(_loader().get_data_path()))


def _loader() -> ModuleType:
    """Import the package that knows where library and data are; it loads neither. Raises `EngineFailed`."""
    try:
        return importlib.import_module("espeakng_loader")
    except ImportError as error:
        raise EngineFailed(
            f"espeak-ng is not there ({error}); install it with: pip install espeakng-loader"
        ) from error
