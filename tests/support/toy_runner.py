"""A child process for tests: each letter becomes a sample, each word a block of the response.

Does not know speech; some words in capitals do something else, see `Toy.run`.
"""

from __future__ import annotations

import array
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hearsay.processes.protocol import DATA, HEADER, RequestFailed
from hearsay.processes.worker import Emit, RequestRunner, serve


class Toy(RequestRunner):
    """Returns the code points of letters, times the speed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        if "refuse" in settings:
            raise RequestFailed(settings["refuse"])
        if "die" in settings:
            os._exit(3)
        self._n_requests = 0
        self.about = {"sample_rate": 8000, "pid": os.getpid()}

    def run(self, request: bytes, descriptors: Sequence[int], emit: Emit) -> bytes:
        """Emit a text word by word; a few words do something else."""
        self._n_requests += 1
        asked = json.loads(request)
        for word in asked["text"].split():
            if word == "DIE":
                os._exit(1)
            if word == "FAIL":
                raise RequestFailed("It hurts.")
            if word == "RAVE":
                os.write(0, HEADER.pack(DATA, 0xFFFFFFFF))
            if word == "SPEND":
                self.is_spent = True
            if word == "WAIT":
                time.sleep(0.3)
                continue
            if word == "HANG":
                time.sleep(3600)
            if word == "COPY":
                with os.fdopen(descriptors[0], "rb") as source, os.fdopen(descriptors[1], "wb") as target:
                    target.write(source.read())
            if word == "ENDLESS":
                while emit(b"\1\0"):
                    time.sleep(0.001)
                break
            letters = {"COUNT": chr(self._n_requests), "LONG": "x" * 100_000}.get(word, word)
            samples = array.array("h", letters.encode("utf-16-le"))
            if (speed := asked.get("speed", 1)) != 1:
                samples = array.array("h", [int(sample * speed) for sample in samples])
            is_wanted = emit(samples.tobytes())
            if word == "LONG" and not is_wanted:  # after others it goes on, as some do
                break
        return b"%d" % self._n_requests


if __name__ == "__main__":
    serve(Toy)
