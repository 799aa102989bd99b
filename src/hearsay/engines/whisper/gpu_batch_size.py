"""How many windows a GPU can decode together, by the memory that it has left.

Knows no model that is loaded, only its shape. What windows cost is counted from what CTranslate2 keeps while
it decodes; since its allocator also keeps what it let go of, half of what is free is left alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from hearsay.engines.whisper.weights.folder import Shape

MOST_WINDOWS = 64
"""From here on a step is limited by arithmetic, and more windows only wait for each other."""

BEAM_WIDTH = 5
"""Rows of a window by default, in beam search and in sampling alike."""

HALF = 2
"""Bytes of a float16."""

_SINGLE = 4
"""Bytes of a float32."""


def batch_windows(
    indices: Sequence[int],
    shape: Shape,
    *,
    n_bytes: int = HALF,
    otherwise: int,
    load: Callable[[str], Any] = ctypes.CDLL,
) -> int:
    """Return how many windows the tightest of some GPUs should decode together, once the model is loaded.

    `n_bytes` are those of a number that it computes with; `otherwise` is said where the driver tells nothing.
    """
    free = [known for index in indices if (known := free_memory(index, load)) is not None]
    if not free:
        return otherwise
    return windows_that_fit(min(free), shape, BEAM_WIDTH, n_bytes)


def windows_that_fit(free_bytes: int, shape: Shape, beam_width: int, n_bytes: int = HALF) -> int:
    """Count windows that use at most half of some free memory: at least 1, at most `MOST_WINDOWS`."""
    fitting = (
        n for n in range(MOST_WINDOWS, 1, -1) if 2 * batch_bytes(n, shape, beam_width, n_bytes) <= free_bytes
    )
    return next(fitting, 1)


def batch_bytes(n_windows: int, shape: Shape, beam_width: int, n_bytes: int = HALF) -> int:
    """Count the bytes that windows take at most while they are decoded, and the next ones encoded."""
    heard = 2 * shape.n_layers * shape.n_audio_ctx * shape.width * n_bytes
    # What the rows have said, twice: CTranslate2 copies it where beams change places.
    said = 2 * 2 * shape.n_layers * beam_width * shape.n_text_ctx * shape.width * n_bytes
    # Logits, the logarithms of their probabilities, and a copy with what is forbidden taken out.
    logits = 3 * beam_width * shape.n_vocab * _SINGLE
    # The encoder at its widest: states, normed states, and four times their width between two matrices; or
    # the attention of every position to every other by heads of 64 numbers, before and after softmax.
    wide = 6 * shape.n_audio_ctx * shape.width * n_bytes
    attention = 2 * (shape.width // 64) * shape.n_audio_ctx**2 * n_bytes
    n_encoded = max(4, n_windows // 4)  # As many as a batcher has encoded at once.
    return n_windows * (heard + said + logits) + n_encoded * max(wide, attention)


def free_memory(index: int, load: Callable[[str], Any] = ctypes.CDLL) -> int | None:
    """Ask the CUDA driver for the free memory of a GPU in bytes; None where it does not tell.

    Source: CUDA driver API, `cuDevicePrimaryCtxRetain`, `cuMemGetInfo_v2`.
    """
    try:
        driver = load("libcuda.so.1")
    except OSError:
        return None
    device, context = ctypes.c_int(), ctypes.c_void_p()
    if driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), index) != 0:
        return None
    if driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) != 0:
        return None
    try:
        return _free_in(driver, context)
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)


def _free_in(driver: Any, context: ctypes.c_void_p) -> int | None:
    """Ask in a context, and leave the thread with that which it had."""
    if driver.cuCtxPushCurrent_v2(context) != 0:
        return None
    free, total, popped = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_void_p()
    try:
        known = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(popped))
    return free.value if known else None
