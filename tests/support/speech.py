"""Speech found in whole recordings: regions, spans and chunks from the probabilities of all frames.

Knows no detector.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import SpeechSpan, VadThresholds
from hearsay.vad.chunking import Chunk, ChunkPacker
from hearsay.vad.spans import SpeechRegion, SpeechSegmenter, join_regions


def speech_regions(
    probabilities: NDArray[np.float32], thresholds: VadThresholds, *, frame_seconds: float, duration: float
) -> list[SpeechRegion]:
    """Return the speech regions of a recording of `duration` seconds.

    `probabilities`: `float32[n_frames]` in [0, 1], of consecutive frames of `frame_seconds`.
    """
    segmenter = SpeechSegmenter(thresholds, frame_seconds)
    return [*segmenter.feed(probabilities), *segmenter.finish(duration)]


def spans(
    probabilities: NDArray[np.float32],
    thresholds: VadThresholds,
    *,
    frame_seconds: float,
    duration: float | None = None,
) -> list[SpeechSpan]:
    """Return the spans of speech: padded, in order, never overlapping, within [0, `duration`].

    Shapes: see `speech_regions`. Without a duration the recording ends with its last frame.
    Source: snakers4/silero-vad, `get_speech_timestamps`.
    """
    if duration is None:
        duration = len(probabilities) * frame_seconds
    regions = speech_regions(probabilities, thresholds, frame_seconds=frame_seconds, duration=duration)
    return list(join_regions(regions))


def pack_chunks(speech: Iterable[SpeechRegion], *, duration: float, window: float = 30.0) -> list[Chunk]:
    """Return the chunks of a recording of `duration` seconds, as `stream_chunks` yields them."""
    packer = ChunkPacker(duration, window)
    chunks = [chunk for region in speech for chunk in packer.add(region)]
    return [*chunks, *packer.finish()]
