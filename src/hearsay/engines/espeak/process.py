"""The far side of `espeak`: a process with espeak-ng in it, which is never loaded into the server's own.

espeak-ng is free software under the GNU General Public License, version 3 or later. It is no part of
Hearsay: the package `espeakng-loader` brings it, a process of its own runs it, and only text and sound pass
between the two.

Knows no voice by heart and no request. The library keeps state from one text to the next, which colours the
sound, so every piece is spoken by a library as good as new, with random numbers that begin anew: the same
text gives the same sound, whatever was said before. That takes 0.3 ms a piece, between two pieces.

Source: espeak-ng 1.52, `speak_lib.h`, `espeak_ng.h`.
"""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import os
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearsay.engines.tts_worker.library_image import LibraryImage
from hearsay.engines.tts_worker.process import CannotSynthesize, EmitAudio, run

NORMAL_RATE = 175
"""Words per minute at speed 1."""

_SYNCHRONOUS = 2
_BUFFER_MS = 500
"""Sound per call back: less than a millisecond's work, and few calls."""
_DO_NOT_EXIT = 0x8000

_RATE = 1
_UTF8 = 0x0001
_END_PAUSE = 0x1000
"""Pause after the last sentence as after any; with neither SSML nor phonemes, markup is read out."""

_DESCRIPTORS = "/dev/fd"
"""Where a process finds its open files by number: Linux with /proc, macOS, BSD."""

_LOST_BYTES = 64 << 20
"""Lost memory with which a process ends: espeak-ng forgets to free the dictionary of a second language."""

_STATM = Path("/proc/self/statm")
"""Memory in pages, the second number being what is really there: proc(5), Linux. (What a process of Linux has
had at most is of no use: it begins with what its parent has.)"""

_LOOK_EVERY = 8
"""Pieces between two looks at the memory."""

_OK = 0
_STOP, _GO_ON = 1, 0

# Espeak-ng takes some control characters for commands, and the first NUL for the end.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_SoundCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """espeak-ng; voices are files below `lang/` of its data, and a variant's name after a plus sign."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        """Load the library, ready for the first piece. Raises `CannotSynthesize`."""
        data = str(start["data"])
        self._voices = f"{data}/lang/"
        self._library = _Library(str(start["library"]), data)
        self._most_memory = _memory_bytes() + _LOST_BYTES
        self._n_pieces = 0
        self.about = {"sample_rate": self._library.sample_rate}

    @property
    def is_spent(self) -> bool:
        """Whether the library has lost so much memory that the process had better end."""
        return self._n_pieces % _LOOK_EVERY == 0 and _memory_bytes() > self._most_memory

    def say(self, piece: Mapping[str, Any], give: EmitAudio) -> None:
        """Say a piece. Raises `CannotSynthesize`."""
        self._n_pieces += 1
        path, _, variant = piece["voice"].partition("+")
        self._library.choose(self._voices + path, variant)
        self._library.speak_at(round(NORMAL_RATE * piece["speed"]))
        self._library.speak(piece["text"], _Heard(give))

    def rest(self) -> None:
        """Make the library as good as new."""
        self._library.renew()


class _Library:
    """The library; says one text and must then be renewed."""

    def __init__(self, path: str, data: str) -> None:
        self._path = path
        self._data = os.fsencode(data)
        self._image: LibraryImage | None = None
        """Of the library before it was used; None where it must be loaded afresh to be so again."""
        self._load()
        with contextlib.suppress(OSError):
            self._image = LibraryImage(path)
        self.sample_rate = self._initialize()

    def renew(self) -> None:
        """Forget everything: nothing less than the state of before its first use ends the old one."""
        self._functions.espeak_Terminate()
        if self._image is not None:
            self._image.restore()
        else:
            _ctypes.dlclose(self._functions._handle)
            self._load()
        self._initialize()

    def _load(self) -> None:
        try:
            self._functions = ctypes.CDLL(self._path)
        except OSError as error:
            raise CannotSynthesize(f"{error}.") from error

    def _initialize(self) -> int:
        """Read the data; gives the sampling rate. Raises `CannotSynthesize`."""
        rate = int(self._functions.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, self._data, _DO_NOT_EXIT))
        if rate <= 0:
            raise CannotSynthesize(f"espeak-ng cannot read its data in {os.fsdecode(self._data)}.")
        # Noise (breath, whispers) is made of random numbers, which otherwise begin with the time of day.
        self._functions.espeak_ng_SetRandSeed(ctypes.c_long(1))
        return rate

    def choose(self, file: str, variant: str) -> None:
        """Choose a voice. Raises `CannotSynthesize`.

        An open file is named, because names are otherwise found by reading all files, and are put into lower
        case. An unknown voice must be noticed here: espeak-ng would go on with another one.
        """
        try:
            opened = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise CannotSynthesize(f"There is no voice {Path(file).name!r}.") from error
        try:
            path = f"{_DESCRIPTORS}/{opened}"
            code = self._functions.espeak_SetVoiceByFile(f"{path}+{variant}".rstrip("+").encode())
            if code != _OK and not Path(path).exists():
                raise CannotSynthesize(
                    f"Voices are read through {_DESCRIPTORS}, which is missing; mount /proc."
                )
            if code != _OK:
                raise CannotSynthesize(f"espeak-ng refused the voice {Path(file).name!r} (code {code}).")
        finally:
            os.close(opened)

    def speak_at(self, rate: int) -> None:
        """Set the speed, in words per minute. Raises `CannotSynthesize`."""
        _check(self._functions.espeak_SetParameter(_RATE, rate, 0), f"{rate} words per minute")

    def speak(self, text: str, heard: _Heard) -> None:
        """Say a text to its end or until nobody wants more of it. Raises `CannotSynthesize`."""
        callback = _SoundCallback(heard.hear)
        self._functions.espeak_SetSynthCallback(callback)
        data = _CONTROLS.sub(" ", text).encode("utf-8", "replace") + b"\0"
        code = self._functions.espeak_Synth(data, len(data), 0, 0, 0, _UTF8 | _END_PAUSE, None, None)
        if heard.failure is not None:
            raise heard.failure
        _check(code, "the text")


class _Heard:
    """Where the sound of a piece goes; a text that makes only silence (a dash) makes no sound at all."""

    def __init__(self, give: EmitAudio) -> None:
        self.failure: Exception | None = None
        """What went wrong on the way; an exception cannot cross the library."""
        self._give = give
        self._silence = b""
        self._has_begun = False

    def hear(self, samples: Any, n_samples: int, _: object) -> int:
        """Take what the library made."""
        if n_samples <= 0:
            return _GO_ON
        block = ctypes.string_at(samples, 2 * n_samples)
        if not self._has_begun:
            block = self._silence + block
            if not block.strip(b"\0"):
                self._silence = block
                return _GO_ON
            self._has_begun = True
        try:
            return _GO_ON if self._give(block) else _STOP
        except Exception as error:
            self.failure = error
            return _STOP


def _memory_bytes() -> int:
    """Return how much memory this process has, or, where nothing tells that, how much it has had at most."""
    try:
        n_pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10
    return n_pages * resource.getpagesize()


def _check(code: int, what: str) -> None:
    if code != _OK:
        raise CannotSynthesize(f"espeak-ng refused {what} (code {code}).")


if __name__ == "__main__":
    run(Espeak)
