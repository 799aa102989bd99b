"""A piece of text that is being spoken, to whoever listens: its sound, block by block, or why there is none.

Knows no process but as something that can be told to be quiet.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hearsay.domain import Pcm
from hearsay.errors import Cancelled, EngineFailed

Samples = npt.NDArray[np.uint8]
"""Sound as it comes: bytes of `s16le`."""

_Item = Samples | EngineFailed | None
"""Some of a piece's sound, or its end: why there is no more, or None."""

_NOTHING = np.empty(0, np.uint8)

_LARGEST = 1 << 20
"""Bytes up to which sound that waits is given as one block: every block costs whoever takes it a turn."""


class SynthesizerProcess(Protocol):
    """What says pieces, one after the other; a `Child`."""

    def begin(self, request: bytes) -> None:
        """Let a piece be said. Raises `OSError` where nobody is there to say it."""
        ...

    def cancel(self) -> None:
        """Let nothing more be said of the piece; it does not matter if nobody is there."""
        ...


class Utterance:
    """One piece of text being spoken: a `Speaking`."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        # Reentrant, which a lock is not: pieces may be failed by the garbage collector, in any thread.
        self._sound: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._mouth: SynthesizerProcess | None = None
        self._stopped_at: float | None = None
        self.is_begun = False
        """Whether any of its sound has come."""

    def __iter__(self) -> Iterator[Pcm]:
        """Return `int16[n]` blocks as they are made, once.

        Raises `EngineFailed`, `Cancelled` once stopped.
        """
        while True:
            sound, item = self._waiting()
            if self._stopped_at is not None:
                self._sound.put(None)  # for whoever asks again
                raise Cancelled
            if not isinstance(item, np.ndarray):
                self._sound.put(item)  # for the next turn
            if len(sound):
                yield sound.view("<i2").astype(np.int16, copy=False)
            elif item is None:
                return
            elif isinstance(item, EngineFailed):
                raise item

    def stop(self) -> None:
        """Say no more of it and forget what was said."""
        with self._lock:
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
            if self._mouth is not None:
                self._mouth.cancel()
        with contextlib.suppress(queue.Empty):
            while True:
                self._sound.get_nowait()
        self._sound.put(None)

    def begin(self, mouth: SynthesizerProcess) -> bool:
        """Have it said; False when nobody wants it. Raises `OSError` if nobody is there."""
        with self._lock:
            if self._stopped_at is not None:
                return False
            mouth.begin(self._request)
            self._mouth = mouth
            return True

    def add(self, sound: Samples) -> None:
        """Take some of its sound, bytes of `s16le` that nobody else has."""
        self.is_begun = True
        if self._stopped_at is None:
            self._sound.put(sound)

    def end(self, failure: EngineFailed | None = None) -> None:
        """Take note that there is no more."""
        self.leave()
        self._sound.put(failure)

    def leave(self) -> None:
        """Forget who says it, who has done so or is gone, and is not to be hushed any more."""
        with self._lock:
            self._mouth = None

    def is_unwanted(self, *, seconds: float) -> bool:
        """Return whether it was stopped so long ago."""
        return self._stopped_at is not None and time.monotonic() - self._stopped_at > seconds

    def _waiting(self) -> tuple[Samples, _Item]:
        """Wait for sound or its end; take what is there of it already, and give the last thing taken."""
        sound: list[Samples] = []
        n_bytes = 0
        item = self._sound.get()
        with contextlib.suppress(queue.Empty):
            while isinstance(item, np.ndarray):
                sound.append(item)
                n_bytes += len(item)
                if n_bytes >= _LARGEST:
                    break
                item = self._sound.get_nowait()
        return sound[0] if len(sound) == 1 else np.concatenate([_NOTHING, *sound]), item
