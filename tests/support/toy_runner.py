"""A child process that speaks for tests: each letter is a sample, each word a block.

Knows no speech; some words in capitals do something else, see `Mouth.say`.
"""

from __future__ import annotations

import array
import os
import time
from collections.abc import Mapping
from typing import Any

from hearsay.engines.tts_worker.frames import AUDIO, HEADER
from hearsay.engines.tts_worker.process import CannotSynthesize, EmitAudio, run


class Mouth:
    """Says the code points of letters, times the speed."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        if "refuse" in start:
            raise CannotSynthesize(start["refuse"])
        if "die" in start:
            os._exit(3)
        self._n_pieces = 0
        self.is_spent = False
        self.about: Mapping[str, Any] = {"sample_rate": 8000, "pid": os.getpid()}

    def say(self, piece: Mapping[str, Any], give: EmitAudio) -> None:
        """Say a piece word by word; a few words are told to do something else."""
        self._n_pieces += 1
        for word in piece["text"].split():
            if word == "DIE":
                os._exit(1)
            if word == "FAIL":
                raise CannotSynthesize("It hurts.")
            if word == "RAVE":
                os.write(0, HEADER.pack(AUDIO, 0xFFFFFFFF))
            if word == "SPEND":
                self.is_spent = True
            if word == "HANG":
                time.sleep(3600)
            if word == "ENDLESS":
                while give(b"\1\0"):
                    time.sleep(0.001)
                return
            said = {"COUNT": chr(self._n_pieces), "LONG": "x" * 100_000}.get(word, word)
            samples = array.array("h", [int(ord(letter) * piece["speed"]) for letter in said])
            is_wanted = give(samples.tobytes())
            if word == "LONG" and not is_wanted:  # after others it goes on, as some do
                return

    def rest(self) -> None:
        """Do nothing."""


if __name__ == "__main__":
    run(Mouth)
