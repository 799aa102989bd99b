"""The child process of espeak-ng, which is never loaded into the server's own.

espeak-ng is free software under the GNU General Public License, version 3 or later. It is no part of
Hearsay: the package `espeakng-loader` brings it, a process of its own runs it, and only text and audio pass
between the two.

Does not know the voices and the requests. The library keeps state from one text to the next, which colours
the audio, so every utterance has a library loaded afresh (2.5 ms), with random numbers that begin anew: the
same text gives the same audio, whatever was synthesized before.

Source: espeak-ng 1.52, `speak_lib.h`, `espeak_ng.h`.
"""

from __future__ import annotations

import _ctypes
import ctypes
import json
import os
import re
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hearsay.processes.protocol import RequestFailed
from hearsay.processes.worker import Emit, RequestRunner, serve

NORMAL_RATE = 175
"""Words per minute at speed 1."""

_SYNCHRONOUS = 2
_BUFFER_MS = 500
"""Audio per callback: less than a millisecond's work, and few calls."""
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
"""Utterances between two looks at the memory."""

_OK = 0
_STOP, _GO_ON = 1, 0

# Espeak-ng takes some control characters for commands, and the first NUL for the end.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_AudioCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak(RequestRunner):
    """espeak-ng; voices are files below `lang/` of its data, and a variant's name after a plus sign."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Load the library once, to see that it works. Raises `RequestFailed`."""
        self._path, self._data = str(settings["library"]), str(settings["data"])
        with closing(_Library(self._path, self._data)) as library:
            self.about = {"sample_rate": library.sample_rate}
        self._max_memory = _memory_bytes() + _LOST_BYTES
        self._n_utterances = 0

    def run(self, request: bytes, descriptors: Sequence[int], emit: Emit) -> bytes:
        """Synthesize `text` with a `voice` at a `speed`, as `s16le`. Raises `RequestFailed`."""
        utterance = json.loads(request)
        self._n_utterances += 1
        path, _, variant = utterance["voice"].partition("+")
        with closing(_Library(self._path, self._data)) as library:
            library.set_voice(f"{self._data}/lang/{path}", variant)
            library.set_rate(round(NORMAL_RATE * utterance["speed"]))
            library.synthesize(utterance["text"], _AudioSink(emit))
        self.is_spent = self._n_utterances % _LOOK_EVERY == 0 and _memory_bytes() > self._max_memory
        return b""


class _Library:
    """The library, loaded afresh; for one utterance."""

    def __init__(self, path: str, data: str) -> None:
        """Load it and have it read its data. Raises `RequestFailed`."""
        try:
            self._functions = ctypes.CDLL(path)
        except OSError as error:
            raise RequestFailed(f"{error}.") from error
        self.sample_rate = int(
            self._functions.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, os.fsencode(data), _DO_NOT_EXIT)
        )
        if self.sample_rate <= 0:
            raise RequestFailed(f"espeak-ng cannot read its data in {data}.")
        # Noise (breath, whispers) is made of random numbers, which otherwise begin with the time of day.
        self._functions.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def close(self) -> None:
        """Unload it, with all its state: to terminate it is not enough."""
        self._functions.espeak_Terminate()
        _ctypes.dlclose(self._functions._handle)

    def set_voice(self, file: str, variant: str) -> None:
        """Set the voice. Raises `RequestFailed`.

        An open file is named, because names are otherwise found by reading all files, and are put into lower
        case. An unknown voice must be noticed here: espeak-ng would go on with another one.
        """
        try:
            opened = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise RequestFailed(f"There is no voice {Path(file).name!r}.") from error
        try:
            path = f"{_DESCRIPTORS}/{opened}"
            code = self._functions.espeak_SetVoiceByFile(f"{path}+{variant}".rstrip("+").encode())
            if code != _OK and not Path(path).exists():
                raise RequestFailed(f"Voices are read through {_DESCRIPTORS}, which is missing; mount /proc.")
            if code != _OK:
                raise RequestFailed(f"espeak-ng refused the voice {Path(file).name!r} (code {code}).")
        finally:
            os.close(opened)

    def set_rate(self, rate: int) -> None:
        """Set the speed, in words per minute. Raises `RequestFailed`."""
        _check(self._functions.espeak_SetParameter(_RATE, rate, 0), f"{rate} words per minute")

    def synthesize(self, text: str, sink: _AudioSink) -> None:
        """Synthesize a text to its end, or until no more of it is wanted. Raises `RequestFailed`."""
        callback = _AudioCallback(sink.take)
        self._functions.espeak_SetSynthCallback(callback)
        data = _CONTROLS.sub(" ", text).encode("utf-8", "replace") + b"\0"
        code = self._functions.espeak_Synth(data, len(data), 0, 0, 0, _UTF8 | _END_PAUSE, None, None)
        if sink.failure is not None:
            raise sink.failure
        _check(code, "the text")


class _AudioSink:
    """Where the audio of an utterance goes; a text that makes only silence (a dash) makes no audio at all."""

    def __init__(self, emit: Emit) -> None:
        self.failure: Exception | None = None
        """What went wrong on the way; an exception cannot cross the library."""
        self._emit = emit
        self._silence = b""
        self._has_begun = False

    def take(self, samples: Any, n_samples: int, _: object) -> int:
        """Take what the library made; return whether it is to go on."""
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
            return _GO_ON if self._emit(block) else _STOP
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
        raise RequestFailed(f"espeak-ng refused {what} (code {code}).")


if __name__ == "__main__":
    serve(Espeak)
