"""The batch size on GPUs: how many windows fit in the memory that is left.

Knows a model's shape only. The bytes of a window are those that CTranslate2 allocates while it decodes; since
its allocator keeps freed memory, half of what is free is left unused.
"""

from __future__ import annotations

from collections.abc import Sequence

from hearsay.engines.hardware import free_gpu_memory
from hearsay.engines.whisper.weights.folder import Shape

MOST_WINDOWS = 64
"""From here on a step is limited by arithmetic, and more windows bring no throughput."""

BEAM_WIDTH = 5
"""Rows of a window by default, in beam search and in sampling alike."""

HALF = 2
"""Bytes of a float16."""

_SINGLE = 4
"""Bytes of a float32."""


def batch_windows(indices: Sequence[int], shape: Shape, *, n_bytes: int = HALF, otherwise: int) -> int:
    """Return how many windows the tightest of some GPUs should decode together, once the model is loaded.

    `n_bytes` are those of a number that it computes with; `otherwise` is returned where the driver tells
    nothing.
    """
    free = [known for index in indices if (known := free_gpu_memory(index)) is not None]
    if not free:
        return otherwise
    return windows_that_fit(min(free), shape, BEAM_WIDTH, n_bytes)


def windows_that_fit(free_bytes: int, shape: Shape, beam_width: int, n_bytes: int = HALF) -> int:
    """Return how many windows use at most half of some free memory: at least 1, at most `MOST_WINDOWS`."""
    fitting = (
        n for n in range(MOST_WINDOWS, 1, -1) if 2 * batch_bytes(n, shape, beam_width, n_bytes) <= free_bytes
    )
    return next(fitting, 1)


def batch_bytes(n_windows: int, shape: Shape, beam_width: int, n_bytes: int = HALF) -> int:
    """Return the bytes that windows take at most while they are decoded, and the next ones encoded."""
    cross_kv = 2 * shape.n_layers * shape.n_audio_ctx * shape.width * n_bytes
    # Keys and values of the rows' own tokens, twice: CTranslate2 copies them where beams change places.
    self_kv = 2 * 2 * shape.n_layers * beam_width * shape.n_text_ctx * shape.width * n_bytes
    # Logits, their log probabilities, and a copy in which some are suppressed.
    logits = 3 * beam_width * shape.n_vocab * _SINGLE
    # The encoder at its widest: states, normed states, and four times their width between two matrices; or
    # the attention of every position to every other by heads of 64 numbers, before and after softmax.
    wide = 6 * shape.n_audio_ctx * shape.width * n_bytes
    attention = 2 * (shape.width // 64) * shape.n_audio_ctx**2 * n_bytes
    n_encoded = max(4, n_windows // 4)  # As many as a batcher has encoded at once.
    return n_windows * (cross_kv + self_kv + logits) + n_encoded * max(wide, attention)
