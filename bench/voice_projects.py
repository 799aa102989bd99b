"""A voice through its own project: run by path with an interpreter that has `piper-tts` and `kokoro-onnx`.

Knows nothing of Hearsay. Arguments: the model, the file of Kokoro's styles or an empty string, the voice, and
a folder for the recordings; sentences come as lines of the standard input. Prints the seconds that all took.
"""

from __future__ import annotations

import importlib
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def piper(model: str) -> Callable[[str], tuple[Any, int]]:
    """Return what speaks through piper-tts."""
    voice = importlib.import_module("piper").PiperVoice.load(model)

    def speak(text: str) -> tuple[Any, int]:
        parts = [chunk.audio_float_array for chunk in voice.synthesize(text)]
        return np.concatenate(parts), voice.config.sample_rate

    return speak


def kokoro(model: str, styles: str, voice: str) -> Callable[[str], tuple[Any, int]]:
    """Return what speaks through kokoro-onnx."""
    engine = importlib.import_module("kokoro_onnx").Kokoro(model, styles)
    return lambda text: engine.create(text, voice=voice, lang="en-us")


def main(model: str, styles: str, voice: str, folder: str) -> None:
    """Speak each sentence into a file of its own."""
    speak = kokoro(model, styles, voice) if styles else piper(model)
    speak("One.")
    taken = 0.0
    for number, sentence in enumerate(sys.stdin.read().splitlines()):
        begin = time.perf_counter()
        samples, rate = speak(sentence)
        taken += time.perf_counter() - begin
        with wave.open(str(Path(folder, f"{number}.wav")), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    print(taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
