"""The child process of a neural voice: its model, and espeak-ng to make phonemes for it.

Does not know folders and cards. espeak-ng (GPL-3) is why this is a process of its own. Sources of what the
models are given: `voice.py` of piper-tts, `pipeline.py` of hexgrad/kokoro.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.onnx_file import read_metadata
from hearsay.engines.onnx_tts import network, phonemes
from hearsay.engines.onnx_tts.phonemes import Spelling
from hearsay.engines.onnx_tts.phonemizer import Phonemizer
from hearsay.engines.onnx_tts.voice_folder import read_styles
from hearsay.processes.protocol import RequestFailed
from hearsay.processes.worker import Emit, RequestRunner, serve

_FULL_SCALE = 32767.0
_BEGIN, _END, _BETWEEN = "^", "$", "_"
"""Symbols of Piper that stand for no sound."""
_ROUNDING = 0.25
"""Share of Piper's speech at its own pace that comes of rounding the length of each symbol up to frames, and
that no pace shortens (measured on `joe`, which would speak at 1.6 if it was asked for 2)."""
_SILENT = 1e-3
"""Samples this small are not made louder."""


class VoiceRunner(RequestRunner):
    """One model, any of its speakers."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Load what the parent names (`onnx_tts.synthesizer._settings`). Raises `RequestFailed`."""
        self._speakers: Mapping[str, tuple[int, str]] = settings["speakers"]
        self._spelling = Spelling(settings["spelling"])
        self._max_phonemes = int(settings["max_phonemes"])
        self._symbols: Mapping[str, Sequence[int]] = settings["symbols"]
        self._known = self._symbols.keys() - {_BEGIN, _END, _BETWEEN}
        try:
            self._model = _model(settings)
            # The first sentence takes longest, and what does not belong together shows.
            self._model.speak([self._symbols[min(self._known)]], next(iter(self._speakers)), 0, 1.0)
        except Exception as error:  # each runtime has errors of its own
            raise RequestFailed(f"the model cannot be loaded: {error}") from error
        self._phonemizer = _phonemizer()
        for language in {language for _, language in self._speakers.values()}:
            self._phonemizer.clauses("", language, tied=False)

    def run(self, request: bytes, descriptors: Sequence[int], emit: Emit) -> bytes:
        """Synthesize `text` with a `voice` at a `speed`, sentence by sentence. Raises `RequestFailed`."""
        utterance = json.loads(request)
        voice = utterance["voice"]
        speaker, language = self._speakers[voice]
        for sentence in self._sentences(utterance["text"], language):
            symbols = [self._symbols[letter] for letter in sentence]
            try:
                samples = self._model.speak(symbols, voice, speaker, utterance["speed"])
            except Exception as error:  # each runtime has errors of its own
                raise RequestFailed(str(error)) from error
            if not emit(pcm(samples)):
                break
        return b""

    def _sentences(self, text: str, language: str) -> Iterable[str]:
        tied = phonemes.is_tied(self._spelling)
        clauses = self._phonemizer.clauses(text, language, tied=tied)
        return phonemes.sentences(clauses, self._spelling, language, self._known, self._max_phonemes)


class Kokoro:
    """A StyleTTS 2: symbols, a style for their number, and a speed."""

    def __init__(self, model: network.Network, styles: Mapping[str, NDArray[np.float32]]) -> None:
        self._model = model
        self._styles = styles
        (self._symbols,) = model.inputs.keys() - {"style", "speed"}  # which exports call by different names

    def speak(
        self, symbols: Sequence[Sequence[int]], voice: str, speaker: int, speed: float
    ) -> NDArray[np.float32]:
        """Return `float32[n_samples]`."""
        numbers = [number for each in symbols for number in each]
        style = self._styles[voice][max(len(numbers) - 1, 0)]
        given: dict[str, Any] = {self._symbols: [[0, *numbers, 0]], "style": [style], "speed": [speed]}
        return _infer(self._model, given)


class Piper:
    """A VITS: symbols with a pause between them, scales, and the number of a speaker."""

    def __init__(
        self, model: network.Network, symbols: Mapping[str, Sequence[int]], scales: Sequence[float]
    ) -> None:
        self._model = model
        self._begin, self._end, self._between = (symbols[each] for each in (_BEGIN, _END, _BETWEEN))
        self._noise, self._pace, self._variation = scales

    def speak(
        self, symbols: Sequence[Sequence[int]], voice: str, speaker: int, speed: float
    ) -> NDArray[np.float32]:
        """Return `float32[n_samples]`, at full scale as Piper's own program does."""
        numbers = [*self._begin, *self._between]
        for each in symbols:
            numbers += [*each, *self._between]
        numbers += self._end
        pace = self._pace * (1 / speed - _ROUNDING) / (1 - _ROUNDING)
        given: dict[str, Any] = {
            "input": [numbers],
            "input_lengths": [len(numbers)],
            "scales": [self._noise, pace, self._variation],
            "sid": [speaker],
        }
        samples = _infer(self._model, {name: given[name] for name in self._model.inputs})
        return np.divide(samples, max(np.abs(samples).max(initial=0.0), _SILENT))


def pcm(samples: NDArray[Any]) -> bytes:
    """Return `float32[n]` as `s16le`; what is too loud is clipped, and what is no number is silence."""
    loud = np.nan_to_num(np.asarray(samples, np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    whole = np.rint(np.clip(loud, -1.0, 1.0) * _FULL_SCALE).astype("<i2")
    return bytes(whole.data)


def _infer(model: network.Network, given: Mapping[str, Any]) -> NDArray[np.float32]:
    typed = {name: np.array(value, model.inputs[name]) for name, value in given.items()}
    samples: NDArray[np.float32] = model.infer(typed).ravel()
    return samples


def _model(settings: Mapping[str, Any]) -> Kokoro | Piper:
    model = network.load(settings["model"], settings["threads"])
    if settings["styles"] is None:
        return Piper(model, settings["symbols"], settings["scales"])
    return Kokoro(model, read_styles(Path(settings["styles"]), read_metadata(Path(settings["model"]))))


def _phonemizer() -> Phonemizer:
    try:
        import espeakng_loader
    except ImportError as error:
        raise RequestFailed(f"espeak-ng cannot be imported ({error})") from error
    return Phonemizer(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())


if __name__ == "__main__":
    serve(VoiceRunner)
