"""Where the tokens of a known text lie in its window, by the decoder that also finds texts.

Knows no words: it gives paths, and `alignment` cuts them into words. The decoder reads the text at once, as a
prompt; texts of a batch may differ in length, language and task, for each is a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.whisper.dtw import Path, find_path
from hearsay.engines.whisper.openvino.decoder import SequenceInput, WhisperDecoder
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence
from hearsay.engines.whisper.openvino.topk import Logits

_MOST_WINDOWS = 8
"""Windows read together."""

_MOST_TOKENS = 256
"""Text tokens read together, unless one text alone has more: the logits of each take 0.2 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class ForcedAlignmentInput:
    """A text that is known to be said in a window."""

    encoding: NDArray[np.float32]
    """`float32[n_positions, width]`, the encoder's output."""
    start: tuple[int, ...]
    """What stands before the text: the start sequence and `<|notimestamps|>`."""
    text: tuple[int, ...]
    """Text tokens only, at least one."""
    n_frames: int
    """Frames of real audio (10 ms each)."""


def find_paths(decoder: WhisperDecoder, readings: Sequence[ForcedAlignmentInput]) -> list[Path]:
    """Find the path of each text through its window. Raises `EngineFailed`."""
    paths: dict[int, Path] = {}
    for places in _batches(readings):
        paths.update(zip(places, _read(decoder, [readings[i] for i in places]), strict=True))
    return [paths[i] for i in range(len(readings))]


def _batches(readings: Sequence[ForcedAlignmentInput]) -> Iterator[list[int]]:
    """Put together texts of windows of one length, as many as may be read together."""
    batch: list[int] = []
    n_tokens = 0
    for i in sorted(range(len(readings)), key=lambda i: len(readings[i].encoding)):
        n_tokens += len(readings[i].text)
        same = not batch or len(readings[batch[0]].encoding) == len(readings[i].encoding)
        if batch and (not same or n_tokens > _MOST_TOKENS or len(batch) == _MOST_WINDOWS):
            yield batch
            batch, n_tokens = [], len(readings[i].text)
        batch.append(i)
    if batch:
        yield batch


def _read(decoder: WhisperDecoder, readings: Sequence[ForcedAlignmentInput]) -> list[Path]:
    """Read texts in one step of the decoder."""
    session = decoder.session(len(readings[0].encoding))
    for place in reversed(range(len(readings))):  # The last first, so that memory is reserved only once.
        session.compute_cross_kv(place, readings[place].encoding)
    feeds = []
    for place, reading in enumerate(readings):
        tokens = (*reading.start, *reading.text, decoder.shape.end_of_text)
        first = len(reading.start) - 1
        feeds.append(SequenceInput(CachedSequence(), tokens, place, range(first, first + len(reading.text))))
    logits = session.feed(feeds, slice(0, len(readings)))
    edges = np.cumsum([0, *(len(feed.tokens) for feed in feeds)]).tolist()
    picked = np.cumsum([0, *(len(feed.picked) for feed in feeds)]).tolist()
    return [
        find_path(
            session.attention_weights(place, slice(edges[place], edges[place + 1])),
            _chances(logits.rows(*picked[place : place + 2]), reading.text, decoder.shape.end_of_text),
            n_start=len(reading.start) - 1,
            n_frames=reading.n_frames,
        )
        for place, reading in enumerate(readings)
    ]


def _chances(logits: Logits, text: Sequence[int], end_of_text: int) -> NDArray[np.float32]:
    """Return the probability of each token of a text among all text tokens: `float32[n_tokens]`."""
    raised = logits.text[:, :end_of_text]
    raised = np.exp(raised - raised.max(axis=1, keepdims=True))
    chances: NDArray[np.float32] = raised[np.arange(len(text)), list(text)] / raised.sum(axis=1)
    return chances
