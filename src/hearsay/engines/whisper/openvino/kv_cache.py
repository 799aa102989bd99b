"""The decoder's self-attention cache: keys and values of each sequence, in blocks that sequences may share.

Knows no runtime and no search. Sequences that continue the same one share its full blocks, and only the block
that is being filled is copied: the paging of Kwon et al. 2023, "Efficient Memory Management for Large
Language Model Serving with PagedAttention".
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.whisper.openvino.decoder_network import BLOCK, DecoderShape


@dataclass(slots=True, eq=False)
class CachedSequence:
    """One sequence of tokens in the cache."""

    blocks: list[int] = field(default_factory=list)
    """Blocks of `BLOCK` positions each, in order."""
    length: int = 0
    """Positions filled."""


class PagedKVCache:
    """Keys and values of all layers for sequences decoded together; it grows as they need blocks."""

    def __init__(self, shape: DecoderShape, dtype: np.dtype[Any], n_blocks: int = 64) -> None:
        """Begin with room for `n_blocks`; `dtype` is the numpy type that stands for the cache's."""
        self._block = (shape.n_heads, BLOCK, shape.head)
        self.arrays: NDArray[Any] = np.zeros((2 * shape.n_layers, n_blocks, *self._block), dtype)
        self._free = list(range(n_blocks))
        self._n_users = [0] * n_blocks

    def extend(self, sequence: CachedSequence, n: int) -> None:
        """Reserve `n` more positions for a sequence, and count them as filled."""
        sequence.length += n
        while len(sequence.blocks) * BLOCK < sequence.length:
            sequence.blocks.append(self._allocate())

    def release(self, sequence: CachedSequence) -> None:
        """Empty a sequence; blocks that no other one shares become free."""
        for block in sequence.blocks:
            self._n_users[block] -= 1
            if not self._n_users[block]:
                heapq.heappush(self._free, block)
        sequence.blocks, sequence.length = [], 0

    def fork(self, sequences: Sequence[CachedSequence], parents: Sequence[int]) -> list[CachedSequence]:
        """Return a continuation of each sequence named by `parents`; the old sequences are invalid then."""
        forked: list[CachedSequence] = []
        copies: list[tuple[int, int]] = []
        continued: set[int] = set()
        for parent in parents:
            sequence = sequences[parent]
            if parent in continued:
                forked.append(self._share(sequence, copies))
            else:
                continued.add(parent)
                forked.append(CachedSequence(list(sequence.blocks), sequence.length))
        for parent, sequence in enumerate(sequences):
            if parent not in continued:
                self.release(sequence)
        if copies:
            sources, targets = zip(*copies, strict=True)
            self.arrays[:, list(targets)] = self.arrays[:, list(sources)]
        return forked

    def _share(self, sequence: CachedSequence, copies: list[tuple[int, int]]) -> CachedSequence:
        """Return a sequence of the same full blocks; append to `copies` the block that must be copied."""
        n_full = sequence.length // BLOCK
        blocks = sequence.blocks[:n_full]
        for block in blocks:
            self._n_users[block] += 1
        if sequence.length % BLOCK:
            blocks.append(self._allocate())
            copies.append((sequence.blocks[n_full], blocks[-1]))
        return CachedSequence(blocks, sequence.length)

    def _allocate(self) -> int:
        if not self._free:
            self._grow()
        block = heapq.heappop(self._free)
        self._n_users[block] = 1
        return block

    def _grow(self) -> None:
        n_layers, n_blocks = self.arrays.shape[:2]
        larger = np.zeros((n_layers, 2 * n_blocks, *self._block), self.arrays.dtype)
        larger[:, :n_blocks] = self.arrays
        self.arrays = larger
        self._free = list(range(n_blocks, 2 * n_blocks))
        self._n_users += [0] * n_blocks
