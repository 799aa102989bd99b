"""What a decoder remembers: keys and values of the tokens of each row, in blocks that rows may share.

Knows no runtime and no search. Rows that continue the same row share its full blocks, and only the block
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

from hearsay.engines.whisper.openvino.decoder_graph import BLOCK, DecoderShape


@dataclass(slots=True, eq=False)
class CachedSequence:
    """One sequence of tokens in the cache."""

    blocks: list[int] = field(default_factory=list)
    """Blocks of `BLOCK` positions each, in order."""
    length: int = 0
    """Positions filled."""


class PagedKVCache:
    """Keys and values of all layers for rows of one decoding; it grows as rows ask for blocks."""

    def __init__(self, shape: DecoderShape, dtype: np.dtype[Any], n_blocks: int = 64) -> None:
        """Begin with room for `n_blocks`; `dtype` is the numpy type that stands for the cache's."""
        self._block = (shape.n_heads, BLOCK, shape.head)
        self.arrays: NDArray[Any] = np.zeros((2 * shape.n_layers, n_blocks, *self._block), dtype)
        self._free = list(range(n_blocks))
        self._users = [0] * n_blocks

    def extend(self, row: CachedSequence, n: int) -> None:
        """Allocate memory of a row for `n` more positions, and count them as filled."""
        row.length += n
        while len(row.blocks) * BLOCK < row.length:
            row.blocks.append(self._take())

    def release(self, row: CachedSequence) -> None:
        """Forget a row."""
        for block in row.blocks:
            self._drop(block)
        row.blocks, row.length = [], 0

    def fork(self, rows: Sequence[CachedSequence], parents: Sequence[int]) -> list[CachedSequence]:
        """Let new rows continue the rows named by `parents`; the old rows are gone."""
        forked: list[CachedSequence] = []
        copies: list[tuple[int, int]] = []
        kept: set[int] = set()
        for parent in parents:
            row = rows[parent]
            if parent in kept:
                forked.append(self._copy(row, copies))
            else:
                kept.add(parent)
                forked.append(CachedSequence(list(row.blocks), row.length))
        for parent, row in enumerate(rows):
            if parent not in kept:
                self.release(row)
        if copies:
            self._copy_blocks(copies)
        return forked

    def _copy(self, row: CachedSequence, copies: list[tuple[int, int]]) -> CachedSequence:
        """Share full blocks, and note which block must be copied."""
        n_full = row.length // BLOCK
        blocks = row.blocks[:n_full]
        for block in blocks:
            self._users[block] += 1
        if row.length % BLOCK:
            blocks.append(self._take())
            copies.append((row.blocks[n_full], blocks[-1]))
        return CachedSequence(blocks, row.length)

    def _copy_blocks(self, copies: Sequence[tuple[int, int]]) -> None:
        sources, targets = zip(*copies, strict=True)
        self.arrays[:, list(targets)] = self.arrays[:, list(sources)]

    def _take(self) -> int:
        if not self._free:
            self._grow()
        block = heapq.heappop(self._free)
        self._users[block] = 1
        return block

    def _drop(self, block: int) -> None:
        self._users[block] -= 1
        if not self._users[block]:
            heapq.heappush(self._free, block)

    def _grow(self) -> None:
        n_layers, n_blocks = self.arrays.shape[:2]
        larger = np.zeros((n_layers, 2 * n_blocks, *self._block), self.arrays.dtype)
        larger[:, :n_blocks] = self.arrays
        self.arrays = larger
        self._free = list(range(n_blocks, 2 * n_blocks))
        self._users += [0] * n_blocks
