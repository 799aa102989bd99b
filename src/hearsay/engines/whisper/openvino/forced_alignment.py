"""Forced alignment: the paths of known texts through their windows, by a teacher-forced step of the decoder.

Knows no words: `word_timestamps` splits paths into words. A text is fed at once, as a prompt; texts of a
batch may differ in length, language and task, since each is a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hearsay.engines.whisper.dtw import Path, find_path
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence, SequenceInput
from hearsay.engines.whisper.openvino.topk import SplitLogits

if TYPE_CHECKING:
    from hearsay.engines.whisper.openvino.decoder import WhisperDecoder

_MAX_WINDOWS = 8
"""Most windows in a step."""

_MAX_TOKENS = 256
"""Most text tokens in a step, unless one text alone has more: the logits of each take 0.2 MB."""


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


def find_paths(decoder: WhisperDecoder, inputs: Sequence[ForcedAlignmentInput]) -> list[Path]:
    """Return the path of each text through its window. Raises: `EngineFailed`."""
    paths: dict[int, Path] = {}
    for indices in _batches(inputs):
        paths.update(zip(indices, _align(decoder, [inputs[i] for i in indices]), strict=True))
    return [paths[i] for i in range(len(inputs))]


def _batches(inputs: Sequence[ForcedAlignmentInput]) -> Iterator[list[int]]:
    """Yield indices of texts that share a step: their windows are of one length, and the limits hold."""
    batch: list[int] = []
    n_tokens = 0
    for i in sorted(range(len(inputs)), key=lambda i: len(inputs[i].encoding)):
        n_tokens += len(inputs[i].text)
        same_length = not batch or len(inputs[batch[0]].encoding) == len(inputs[i].encoding)
        if batch and (not same_length or n_tokens > _MAX_TOKENS or len(batch) == _MAX_WINDOWS):
            yield batch
            batch, n_tokens = [], len(inputs[i].text)
        batch.append(i)
    if batch:
        yield batch


def _align(decoder: WhisperDecoder, inputs: Sequence[ForcedAlignmentInput]) -> list[Path]:
    session = decoder.session(len(inputs[0].encoding))
    for slot in reversed(range(len(inputs))):  # The last first, so that memory is reserved only once.
        session.compute_cross_kv(slot, inputs[slot].encoding)
    fed = []
    for slot, each in enumerate(inputs):
        tokens = (*each.start, *each.text, decoder.shape.end_of_text)
        first = len(each.start) - 1
        fed.append(SequenceInput(CachedSequence(), tokens, slot, range(first, first + len(each.text))))
    logits = session.feed(fed, slice(0, len(inputs)))
    token_edges = np.cumsum([0, *(len(each.tokens) for each in fed)]).tolist()
    logit_edges = np.cumsum([0, *(len(each.outputs) for each in fed)]).tolist()
    return [
        find_path(
            session.attention_scores(slot, slice(*token_edges[slot : slot + 2])),
            _probabilities(logits.rows(*logit_edges[slot : slot + 2]), each.text, decoder.shape.end_of_text),
            n_start=len(each.start) - 1,
            n_frames=each.n_frames,
        )
        for slot, each in enumerate(inputs)
    ]


def _probabilities(logits: SplitLogits, text: Sequence[int], end_of_text: int) -> NDArray[np.float32]:
    """Return the probability of each token of a text among all text tokens: `float32[n_tokens]`."""
    exponentials = logits.text[:, :end_of_text]
    exponentials = np.exp(exponentials - exponentials.max(axis=1, keepdims=True))
    chosen = exponentials[np.arange(len(text)), list(text)]
    probabilities: NDArray[np.float32] = chosen / exponentials.sum(axis=1)
    return probabilities
