"""espeak-ng as a phonemizer: text in, phonemes out; no audio is made.

Does not know the model. The library (GPL-3) keeps global state and may be in a process only once, so this
module is used in child processes (`onnx_tts.process`) and never in the server's. Source: `speak_lib.h` of
espeak-ng 1.52.
"""

from __future__ import annotations

import ctypes
import re

from hearsay.engines.onnx_tts.phonemes import TIE, Clause
from hearsay.processes.protocol import RequestFailed

_RETRIEVAL = 1
"""`AUDIO_OUTPUT_RETRIEVAL`: no sound card is touched."""
_DONT_EXIT = 0x8000
"""`espeakINITIALIZE_DONT_EXIT`: without data, answer with an error."""
_UTF8 = 1
_IPA = 0x02
_TIED = 0x80 | ord(TIE) << 8

# Espeak-ng takes some control characters for commands, and the first NUL for the end.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Phonemizer:
    """The library, once a process."""

    def __init__(self, library: str, data: str) -> None:
        """Load the library at one path with its data at another. Raises `RequestFailed`."""
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise RequestFailed(f"espeak-ng could not be loaded: {error}") from error
        read = self._library.espeak_TextToPhonemes
        read.restype = ctypes.c_char_p
        read.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        self._library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        initialize = self._library.espeak_Initialize
        initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        if initialize(_RETRIEVAL, 0, data.encode(), _DONT_EXIT) < 0:
            raise RequestFailed(f"espeak-ng finds no data in {data}.")
        self._language: str | None = None

    def clauses(self, text: str, language: str, *, tied: bool) -> list[Clause]:
        """Return the clauses of a text in a language, by espeak-ng's name for it (`en-us`).

        All of them, since what is not read to its end comes at the head of the next text.
        Raises `RequestFailed`.
        """
        self._choose(language)
        written = _CONTROLS.sub(" ", text).encode("utf-8", "replace")
        buffer = ctypes.create_string_buffer(written)
        begin = ctypes.addressof(buffer)
        position = ctypes.c_void_p(begin)
        mode = _IPA | (_TIED if tied else 0)
        found, done = [], 0
        while position.value:
            phonemes = self._library.espeak_TextToPhonemes(ctypes.byref(position), _UTF8, mode) or b""
            here = position.value - begin if position.value else len(written)
            stretch = written[done:here].decode("utf-8", "replace")
            found.append(Clause(phonemes.decode("utf-8", "replace"), stretch))
            done = here
        return found

    def _choose(self, language: str) -> None:
        # It would go on in the language before without a word.
        if language != self._language and self._library.espeak_SetVoiceByName(language.encode()):
            raise RequestFailed(f"espeak-ng does not know the language {language!r}.")
        self._language = language
