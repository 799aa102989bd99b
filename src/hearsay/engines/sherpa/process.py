"""The far side of `sherpa`: a process with a neural voice, sherpa-onnx, and espeak-ng to read for it.

Knows no folder and no card. sherpa-onnx 2 takes phonemes and gives sound; espeak-ng (GPL-3), which reads, is
why this is a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hearsay.engines.sherpa import phonemes
from hearsay.engines.sherpa.phonemes import Spelling
from hearsay.engines.sherpa.phonemizer import Phonemizer
from hearsay.engines.tts_worker.process import CannotSynthesize, EmitAudio, run

_FULL_SCALE = 32767.0
_MARKERS = frozenset("^$_")
"""Tokens of Piper's that stand for no sound; the engine puts them where they belong."""


class SherpaMouth:
    """A `Mouth`: one model, any of its speakers."""

    is_spent = False

    def __init__(self, start: Mapping[str, Any]) -> None:
        """Load what the parent names (`sherpa._start`). Raises `CannotSynthesize`."""
        self._speakers: Mapping[str, tuple[int, str]] = start["speakers"]
        self._spelling = Spelling(start["spelling"])
        self._most = int(start["most_phonemes"])
        self._known = _tokens(Path(start["tokens"])) - _MARKERS
        self._engine = _engine(start)
        self._phonemizer = _phonemizer()
        for language in {language for _, language in self._speakers.values()}:
            self._phonemizer.clauses("", language, tied=False)
        self.about: Mapping[str, Any] = {
            "sample_rate": int(self._engine.sample_rate),
            "n_speakers": int(self._engine.num_speakers),
        }

    def say(self, piece: Mapping[str, Any], give: EmitAudio) -> None:
        """Say a piece, sentence by sentence. Raises `CannotSynthesize`."""
        import sherpa_onnx

        speaker, language = self._speakers[piece["voice"]]
        for utterance in self._utterances(piece["text"], language):
            wish = sherpa_onnx.GenerationConfig()
            wish.sid = speaker
            wish.speed = piece["speed"]
            wish.silence_scale = 1.0  # pauses are the voice's own
            wish.phoneme_codepoints = [[ord(letter) for letter in utterance]]
            wanted = True

            def hear(samples: Any, progress: float) -> int:
                nonlocal wanted
                wanted = give(pcm(samples))
                return int(wanted)

            try:
                self._engine.generate("", wish, hear)
            except RuntimeError as error:
                raise CannotSynthesize(str(error)) from error
            if not wanted:
                return

    def rest(self) -> None:
        """Do nothing: no piece leaves anything behind."""

    def _utterances(self, text: str, language: str) -> Iterable[str]:
        tied = phonemes.is_tied(self._spelling)
        clauses = self._phonemizer.clauses(text, language, tied=tied)
        return phonemes.sentences(clauses, self._spelling, language, self._known, self._most)


def pcm(samples: Any) -> bytes:
    """Turn `float32[n]` into `s16le`; what is too loud is clipped, and what is no number is silence."""
    loud = np.nan_to_num(np.asarray(samples, np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    whole = np.rint(np.clip(loud, -1.0, 1.0) * _FULL_SCALE).astype("<i2")
    return bytes(whole.data)


def _engine(start: Mapping[str, Any]) -> Any:
    try:
        import sherpa_onnx
    except ImportError as error:
        raise CannotSynthesize(f"sherpa-onnx cannot be imported ({error})") from error
    model, tokens = start["model"], start["tokens"]
    if start["family"] == "kokoro":
        family = {
            "kokoro": sherpa_onnx.OfflineTtsKokoroModelConfig(
                model=model, voices=start["styles"], tokens=tokens
            )
        }
    else:
        family = {"vits": sherpa_onnx.OfflineTtsVitsModelConfig(model=model, tokens=tokens)}
    config = sherpa_onnx.OfflineTtsConfig(
        model=sherpa_onnx.OfflineTtsModelConfig(**family, num_threads=start["threads"])
    )
    if not config.validate():
        raise CannotSynthesize("sherpa-onnx does not accept the model; the log says why")
    try:
        return sherpa_onnx.OfflineTts(config)
    except (RuntimeError, ValueError) as error:
        raise CannotSynthesize(f"the model cannot be loaded: {error}") from error


def _phonemizer() -> Phonemizer:
    try:
        import espeakng_loader
    except ImportError as error:
        raise CannotSynthesize(f"espeak-ng cannot be imported ({error})") from error
    return Phonemizer(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())


def _tokens(path: Path) -> frozenset[str]:
    """Read which phonemes a model knows; a line is a phoneme, a space and a number."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise CannotSynthesize(f"{path.name} cannot be read: {error}") from error
    return frozenset(line.rpartition(" ")[0] or " " for line in lines if line.strip())


if __name__ == "__main__":
    run(SherpaMouth)
