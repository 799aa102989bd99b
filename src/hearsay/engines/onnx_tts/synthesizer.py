"""Neural voices, Kokoro and Piper.

Does not know the server, and never loads what it runs: model, runtime and the espeak-ng that makes their
phonemes live in a process of their own (`onnx_tts.process`). One process has all threads, and utterances take
turns.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hearsay.domain import ModelCard, SynthesisOptions, Voice
from hearsay.engines.espeak.voices import read_voices
from hearsay.engines.onnx_tts.voice_folder import VoiceFolder, examine
from hearsay.engines.tts_worker.pool import SynthesizerPool
from hearsay.engines.tts_worker.utterance import Utterance
from hearsay.errors import ConfigurationError, EngineFailed, UnsupportedOption

_MODULE = "hearsay.engines.onnx_tts.process"
_SPEEDS = (0.5, 2.0)
"""Beyond these the voices slur or drag; `tts.synthesis` stretches time for the rest."""
_UTTERANCE_CHARACTERS = 300
"""Some 20 s of speech, so that utterances of several callers take turns often."""


def load(folder: Path, card: ModelCard, *, n_threads: int = 0, n_processes: int = 1) -> OnnxSynthesizer:
    """Load a voice from its folder; 0 threads are one for each core.

    Raises: `EngineFailed` where it cannot be loaded.
    """
    data = _espeak_data(card)
    try:
        found = examine(folder)
    except ConfigurationError as error:
        raise EngineFailed(f"{card.id} cannot be loaded. {error.message}") from error
    voices = _voices(card, found)
    settings = _settings(found, data, n_threads or os.cpu_count() or 1)
    processes = SynthesizerPool(_MODULE, settings, n_processes=n_processes, name=card.id)
    return OnnxSynthesizer(processes, voices, found.sample_rate)


class OnnxSynthesizer:
    """A `Synthesizer`: one model, whose speakers are its voices."""

    speeds = _SPEEDS
    utterance_characters = _UTTERANCE_CHARACTERS

    def __init__(self, processes: SynthesizerPool, voices: tuple[Voice, ...], sample_rate: int) -> None:
        self.voices = voices
        self.sample_rate = sample_rate
        self._processes = processes
        self._ids = {voice.id for voice in voices}

    def synthesize(self, text: str, options: SynthesisOptions, *, is_awaited: bool = True) -> Utterance:
        """Begin one utterance. Raises `UnsupportedOption` for an unknown voice, `EngineFailed`."""
        if options.voice not in self._ids:
            raise UnsupportedOption(f"{self._processes.name} has no voice {options.voice!r}.", param="voice")
        slowest, fastest = self.speeds
        options = replace(options, speed=min(max(options.speed, slowest), fastest))
        return self._processes.submit(text, options, is_awaited=is_awaited)

    def close(self) -> None:
        self._processes.close()


def _espeak_data(card: ModelCard) -> Path:
    """Return the folder of espeak-ng's data. Raises `EngineFailed` where it is not installed."""
    found = importlib.util.find_spec("espeakng_loader")
    if found is None or found.origin is None:
        raise EngineFailed(f"{card.id} needs espeak-ng; install it with: pip install espeakng-loader")
    return Path(found.origin).parent / "espeak-ng-data"


def _voices(card: ModelCard, found: VoiceFolder) -> tuple[Voice, ...]:
    """Return the folder's voices, in the card's order and words where it knows them."""
    there = {speaker.voice.id: speaker.voice for speaker in found.speakers}
    known = {voice.id: voice for voice in card.voices if voice.id in there}
    return (*known.values(), *(voice for id_, voice in there.items() if id_ not in known))


def _settings(found: VoiceFolder, data: Path, n_threads: int) -> Mapping[str, Any]:
    """Return what a process needs to know. Raises `EngineFailed` for a language that espeak-ng lacks."""
    speakers = {}
    for speaker in found.speakers:
        name = reader(speaker.language, data)
        if name is None:
            raise EngineFailed(f"espeak-ng does not read {speaker.language!r}, which {found.model} speaks.")
        speakers[speaker.voice.id] = (speaker.number, name)
    return {
        "model": str(found.model.resolve()),
        "styles": str(found.styles.resolve()) if found.styles else None,
        "symbols": found.symbols,
        "scales": found.scales,
        "spelling": found.spelling.value,
        "max_phonemes": found.most_phonemes,
        "speakers": speakers,
        "threads": n_threads,
    }


def reader(tag: str, data: Path) -> str | None:
    """Return the name by which espeak-ng, with these data, reads a language; None for one that it lacks."""
    names = _names(data)
    return names.get(tag) or names.get(tag.partition("-")[0])


@cache
def _names(data: Path) -> Mapping[str, str]:
    """Return the best reader of each language as espeak-ng names it: a file, in lower case."""
    names: dict[str, str] = {}
    for id_, entry in read_voices(data).items():
        name = entry.path.rpartition("/")[2].lower()
        names[id_] = name
        for tag in entry.voice.languages:
            names.setdefault(tag, name)
    return names
