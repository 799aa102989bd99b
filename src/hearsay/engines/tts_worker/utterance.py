"""An utterance being synthesized, as its listener sees it: the audio block by block, or why there is none.

Does not know which process synthesizes it.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator

import numpy as np

from hearsay.domain import Pcm
from hearsay.errors import Cancelled, EngineFailed
from hearsay.processes.supervisor import WorkerRequest

_Item = bytearray | EngineFailed | None
"""A block of audio (`s16le`), or the end of the utterance: why there is no more, or None."""

_MAX_BLOCK_BYTES = 1 << 20
"""Bytes up to which waiting audio is joined to one block: each block costs the server a turn."""


class Utterance:
    """A `SynthesisStream`: one piece of text that a worker process synthesizes."""

    def __init__(self, payload: bytes) -> None:
        self.request = WorkerRequest(payload)
        # Reentrant, which a lock is not: the garbage collector may end utterances, in any thread.
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Pcm]:
        while True:
            audio, item = self._take()
            if self.request.is_cancelled:
                self._items.put(None)  # for the next iteration
                raise Cancelled
            if not isinstance(item, bytearray):
                self._items.put(item)
            if audio:
                yield np.frombuffer(audio, "<i2").astype(np.int16, copy=False)
            elif isinstance(item, EngineFailed):
                raise item
            else:
                return

    def stop(self) -> None:
        self.request.cancel()
        with contextlib.suppress(queue.Empty):
            while True:
                self._items.get_nowait()
        self._items.put(None)

    def add(self, block: bytearray) -> None:
        """Take some of its audio, bytes of `s16le`."""
        if not self.request.is_cancelled:
            self._items.put(block)

    def end(self, failure: EngineFailed | None = None) -> None:
        self._items.put(failure)

    def _take(self) -> tuple[bytearray, _Item]:
        """Wait for audio or the end; return all audio that is there already, and the last item taken."""
        blocks: list[bytearray] = []
        item = self._items.get()
        with contextlib.suppress(queue.Empty):
            while isinstance(item, bytearray):
                blocks.append(item)
                if sum(map(len, blocks)) >= _MAX_BLOCK_BYTES:
                    break
                item = self._items.get_nowait()
        return blocks[0] if len(blocks) == 1 else bytearray().join(blocks), item
