"""Rows that share blocks remember what each of them would remember alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hearsay.engines.whisper.openvino.decoder_network import BLOCK, DecoderShape
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence, PagedKVCache

SHAPE = DecoderShape(n_layers=1, n_heads=1, width=1, n_vocab=9, end_of_text=5)


def write(cache: PagedKVCache, row: CachedSequence, values: list[int]) -> None:
    """Extend a row and fill its new positions, as the graph does."""
    first = row.length
    cache.extend(row, len(values))
    for position, value in enumerate(values, first):
        cache.arrays[:, row.blocks[position // BLOCK], 0, position % BLOCK, 0] = value


def read(cache: PagedKVCache, row: CachedSequence) -> list[int]:
    """What a row remembers; keys and values must be the same here."""
    keys, values = cache.arrays[:, row.blocks].reshape(2, -1)[:, : row.length]
    np.testing.assert_array_equal(keys, values)
    return [int(value) for value in keys]


@given(st.data())
def test_forked_rows_remember_their_own_past(data: st.DataObject) -> None:
    cache = PagedKVCache(SHAPE, np.dtype(np.float32), n_blocks=2)
    rows, told = [CachedSequence()], [list(range(data.draw(st.integers(1, 3 * BLOCK))))]
    write(cache, rows[0], told[0])
    n = 1000
    for _ in range(data.draw(st.integers(1, 8))):
        parents = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=4))
        rows, told = cache.fork(rows, parents), [list(told[parent]) for parent in parents]
        for _ in range(data.draw(st.integers(0, BLOCK))):
            for row, past in zip(rows, told, strict=True):
                write(cache, row, [n])
                past.append(n)
                n += 1
        assert [read(cache, row) for row in rows] == told
    for row in rows:
        cache.release(row)
    # All blocks are free again: as many rows of a block fit as there are blocks, without growing.
    room = cache.arrays.shape[1]
    for _ in range(room):
        cache.extend(CachedSequence(), BLOCK)
    assert cache.arrays.shape[1] == room


def test_full_blocks_are_shared_and_only_the_last_one_is_copied() -> None:
    cache = PagedKVCache(SHAPE, np.dtype(np.float32))
    row = CachedSequence()
    write(cache, row, list(range(BLOCK + 1)))
    first, second = cache.fork([row], [0, 0])
    assert first.blocks[0] == second.blocks[0]
    assert first.blocks[1] != second.blocks[1]
    at_an_edge = CachedSequence()
    write(cache, at_an_edge, list(range(BLOCK)))
    first, second = cache.fork([at_an_edge], [0, 0])
    assert first.blocks == second.blocks


def test_the_block_freed_first_is_the_lowest_so_that_few_pages_are_touched() -> None:
    cache = PagedKVCache(SHAPE, np.dtype(np.float32))
    rows = [CachedSequence() for _ in range(5)]
    for row in rows:
        cache.extend(row, 1)
    for row in (rows[3], rows[1]):
        cache.release(row)
    cache.extend(rows[1], 1)
    assert rows[1].blocks == [1]
    assert rows[3].blocks == []
    assert rows[3].length == 0
