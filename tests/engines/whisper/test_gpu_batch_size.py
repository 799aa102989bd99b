"""The batch size on GPUs: what a window takes, and which GPU counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.engines.whisper import gpu_batch_size
from hearsay.engines.whisper.gpu_batch_size import (
    MOST_WINDOWS,
    batch_bytes,
    batch_windows,
    windows_that_fit,
)
from hearsay.engines.whisper.weights.folder import Shape
from hearsay.scheduling.queue import BatchLimits

GB = 10**9


def shape(n_layers: int, width: int) -> Shape:
    return Shape(
        n_mels=128,
        n_audio_ctx=1500,
        n_text_ctx=448,
        n_vocab=51866,
        n_layers=n_layers,
        width=width,
        n_languages=100,
        alignment_heads=(),
    )


TURBO, LARGE = shape(4, 1280), shape(32, 1280)


def test_a_large_gpu_takes_many_windows_and_a_small_one_few() -> None:
    assert windows_that_fit(100 * GB, TURBO, 5) == MOST_WINDOWS
    assert 8 <= windows_that_fit(22 * GB, LARGE, 5) < 16
    assert 1 <= windows_that_fit(6 * GB, LARGE, 5) < 4
    assert windows_that_fit(0, TURBO, 5) == 1


@given(
    free=st.integers(0, 200 * GB),
    width=st.sampled_from([384, 512, 768, 1024, 1280]),
    n_layers=st.integers(1, 32),
    beam_width=st.integers(1, 10),
    n_bytes=st.sampled_from([2, 4]),
)
def test_as_many_as_half_of_it_holds(
    free: int, width: int, n_layers: int, beam_width: int, n_bytes: int
) -> None:
    model = shape(n_layers, width)
    n = windows_that_fit(free, model, beam_width, n_bytes)
    assert 1 <= n <= MOST_WINDOWS
    assert n == 1 or batch_bytes(n, model, beam_width, n_bytes) <= free // 2
    assert n == MOST_WINDOWS or batch_bytes(n + 1, model, beam_width, n_bytes) > free // 2


def test_the_parts_of_a_batch() -> None:
    """By hand, for large-v3 in float16: 8 windows with 5 rows each, and 4 encoded meanwhile."""
    heard = 32 * 2 * 1500 * 1280 * 2
    said = 32 * 2 * 448 * 1280 * 2 * 5 * 2
    logits = 5 * 51866 * 4 * 3
    encoding = 20 * 1500 * 1500 * 2 * 2
    assert BatchLimits.of(8).encodes == 4
    assert batch_bytes(8, LARGE, 5) == 8 * (heard + said + logits) + 4 * encoding
    encodes = BatchLimits.of(64).encodes
    assert batch_bytes(64, LARGE, 5) == 64 * (heard + said + logits) + encodes * encoding


def test_the_tightest_gpu_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [80 * GB, 6 * GB, 80 * GB, None]
    monkeypatch.setattr(gpu_batch_size, "free_gpu_memory", free.__getitem__)
    assert batch_windows([0, 1], LARGE, otherwise=8) == windows_that_fit(6 * GB, LARGE, 5)
    assert batch_windows([2], LARGE, otherwise=8) == windows_that_fit(80 * GB, LARGE, 5)
    assert batch_windows([1, 3], LARGE, otherwise=8) == windows_that_fit(6 * GB, LARGE, 5)
    assert batch_windows([3], TURBO, otherwise=8) == 8
