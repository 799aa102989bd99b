"""The child process of a neural voice: sherpa-onnx, and espeak-ng to make phonemes for it.

Does not know folders and cards. sherpa-onnx 2 takes phonemes and returns audio; espeak-ng (GPL-3), which
makes the phonemes, is why this is a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hearsay.engines.sherpa import phonemes
from hearsay.engines.sherpa.phonemes import Spelling
from hearsay.engines.sherpa.phonemizer import Phonemizer
from hearsay.processes.child import Emit, RequestRunner, serve
from hearsay.processes.protocol import RequestFailed

_FULL_SCALE = 32767.0
_MARKERS = frozenset("^$_")
"""Tokens of Piper that stand for no sound; the engine puts them where they belong."""


class SherpaRunner(RequestRunner):
    """One model, any of its speakers."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Load what the parent names (`sherpa.synthesizer._settings`). Raises `RequestFailed`."""
        self._speakers: Mapping[str, tuple[int, str]] = settings["speakers"]
        self._spelling = Spelling(settings["spelling"])
        self._max_phonemes = int(settings["max_phonemes"])
        self._known = _tokens(Path(settings["tokens"])) - _MARKERS
        self._engine = _engine(settings)
        self._phonemizer = _phonemizer()
        for language in {language for _, language in self._speakers.values()}:
            self._phonemizer.clauses("", language, tied=False)
        self.about = {
            "sample_rate": int(self._engine.sample_rate),
            "n_speakers": int(self._engine.num_speakers),
        }

    def run(self, request: bytes, descriptors: Sequence[int], emit: Emit) -> bytes:
        """Synthesize `text` with a `voice` at a `speed`, sentence by sentence. Raises `RequestFailed`."""
        import sherpa_onnx

        utterance = json.loads(request)
        speaker, language = self._speakers[utterance["voice"]]
        for sentence in self._sentences(utterance["text"], language):
            config = sherpa_onnx.GenerationConfig()
            config.sid = speaker
            config.speed = utterance["speed"]
            config.silence_scale = 1.0  # pauses are the voice's own
            config.phoneme_codepoints = [[ord(letter) for letter in sentence]]
            is_wanted = True

            def take(samples: Any, progress: float) -> int:
                nonlocal is_wanted
                is_wanted = emit(pcm(samples))
                return int(is_wanted)

            try:
                self._engine.generate("", config, take)
            except RuntimeError as error:
                raise RequestFailed(str(error)) from error
            if not is_wanted:
                break
        return b""

    def _sentences(self, text: str, language: str) -> Iterable[str]:
        tied = phonemes.is_tied(self._spelling)
        clauses = self._phonemizer.clauses(text, language, tied=tied)
        return phonemes.sentences(clauses, self._spelling, language, self._known, self._max_phonemes)


def pcm(samples: Any) -> bytes:
    """Return `float32[n]` as `s16le`; what is too loud is clipped, and what is no number is silence."""
    loud = np.nan_to_num(np.asarray(samples, np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    whole = np.rint(np.clip(loud, -1.0, 1.0) * _FULL_SCALE).astype("<i2")
    return bytes(whole.data)


def _engine(settings: Mapping[str, Any]) -> Any:
    try:
        import sherpa_onnx
    except ImportError as error:
        raise RequestFailed(f"sherpa-onnx cannot be imported ({error})") from error
    model, tokens = settings["model"], settings["tokens"]
    if settings["family"] == "kokoro":
        family = {
            "kokoro": sherpa_onnx.OfflineTtsKokoroModelConfig(
                model=model, voices=settings["styles"], tokens=tokens
            )
        }
    else:
        family = {"vits": sherpa_onnx.OfflineTtsVitsModelConfig(model=model, tokens=tokens)}
    config = sherpa_onnx.OfflineTtsConfig(
        model=sherpa_onnx.OfflineTtsModelConfig(**family, num_threads=settings["threads"])
    )
    if not config.validate():
        raise RequestFailed("sherpa-onnx does not accept the model; the log says why")
    try:
        return sherpa_onnx.OfflineTts(config)
    except (RuntimeError, ValueError) as error:
        raise RequestFailed(f"the model cannot be loaded: {error}") from error


def _phonemizer() -> Phonemizer:
    try:
        import espeakng_loader
    except ImportError as error:
        raise RequestFailed(f"espeak-ng cannot be imported ({error})") from error
    return Phonemizer(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())


def _tokens(path: Path) -> frozenset[str]:
    """Return the phonemes that a model knows; a line is a phoneme, a space and a number."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise RequestFailed(f"{path.name} cannot be read: {error}") from error
    return frozenset(line.rpartition(" ")[0] or " " for line in lines if line.strip())


if __name__ == "__main__":
    serve(SherpaRunner)
