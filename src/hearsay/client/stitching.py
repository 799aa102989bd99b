"""Long recordings: cutting into overlapping parts, and merging the segments of the parts.

Knows no engine, no file and no protocol. The merge aligns the two hypotheses of an overlap by their longest
common subsequence of words, as the vendors' audio-chunking tutorials do with text alone, but matches words
only where their times agree, and prefers seams away from the parts' edges. Times in and out are seconds from
the start of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hearsay.client.seam_search import TOLERANCE, Span, Token, find_seam, tokenize
from hearsay.domain import SAMPLE_RATE, Audio, Segment

_HOP = 0.02
"""Energy frame of the pause search, seconds."""
_SMOOTH = 10
"""Energy frames averaged, so that a plosive's closure is not taken for a pause."""


def cut(duration: float, *, part: float, overlap: float) -> list[Span]:
    """Return equal spans of at most `part` seconds that overlap by `overlap` seconds and cover `duration`.

    Raises:
        ValueError: unless `0 <= overlap < part`.
    """
    if not 0 <= overlap < part:
        raise ValueError(f"an overlap of {overlap} s does not fit into parts of {part} s")
    if duration <= part:
        return [(0.0, duration)]
    n_parts = int(np.ceil((duration - overlap) / (part - overlap) - 1e-9))
    step = (duration - overlap) / n_parts
    inner = [(index * step, index * step + step + overlap) for index in range(n_parts - 1)]
    return [*inner, ((n_parts - 1) * step, duration)]


def cut_at_pauses(audio: Audio, *, part: float, overlap: float) -> list[Span]:
    """Return the spans of `cut` with every inner edge moved to the quietest time near it.

    Edges move inwards by at most a fifth of the overlap: no part grows, and three fifths of the overlap
    remain.
    """
    spans = cut(audio.duration, part=part, overlap=overlap)
    reach = overlap / 5
    starts = [spans[0][0], *(quietest_time(audio, start, start + reach) for start, _ in spans[1:])]
    ends = [*(quietest_time(audio, end - reach, end) for _, end in spans[:-1]), spans[-1][1]]
    return list(zip(starts, ends, strict=True))


def quietest_time(audio: Audio, start: float, end: float) -> float:
    """Return the time in [start, end] of least energy; of equal ones the most central."""
    hop = int(_HOP * SAMPLE_RATE)
    samples = audio.samples(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE))
    n_frames = len(samples) // hop
    if n_frames <= _SMOOTH:
        return (start + end) / 2
    energy = np.square(samples[: n_frames * hop]).reshape(n_frames, hop).mean(axis=1)
    smooth = np.convolve(energy, np.full(_SMOOTH, 1 / _SMOOTH), mode="valid")
    candidates = np.flatnonzero(smooth <= smooth.min() * 1.1 + 1e-9)
    best = candidates[np.abs(candidates - (len(smooth) - 1) / 2).argmin()]
    return float(start + (best + _SMOOTH / 2) * _HOP)


def merge(parts: Sequence[tuple[Span, Sequence[Segment]]]) -> list[Segment]:
    """Return the segments of the whole recording from those of overlapping parts, in order."""
    merged: list[Segment] = list(parts[0][1]) if parts else []
    for (before, _), (span, segments) in pairwise(parts):
        merged = stitch(merged, segments, overlap=(span[0], before[1]))
    return merged


def stitch(left: Sequence[Segment], right: Sequence[Segment], *, overlap: Span) -> list[Segment]:
    """Join two hypotheses that both cover `overlap` without repeating its words.

    The seam is the matching word nearest the middle of the overlap, with a preference for runs of matches;
    without a match, the time that drops the fewest words. Words, segments or only whole parts may have times:
    the coarser they are, the more a match's run counts, and the less is dropped without one. Model tokens of
    a segment cut in two are dropped.
    """
    slack = TOLERANCE + (overlap[1] - overlap[0])
    n_kept = next((i for i, segment in enumerate(left) if segment.end > overlap[0] - slack), len(left))
    n_head = sum(1 for segment in right if segment.start < overlap[1] + slack)
    tail, head = left[n_kept:], right[:n_head]
    tail_tokens, head_tokens = tokenize(tail), tokenize(head)
    keep, skip = find_seam(tail, tail_tokens, head, head_tokens, overlap)
    kept = [*left[:n_kept], *_from_tokens(tail, tail_tokens, 0, keep)]
    following = [*_from_tokens(head, head_tokens, skip, len(head_tokens)), *right[n_head:]]
    _clamp_seam(kept, following, tail_tokens[keep - 1].start if keep else 0.0)
    if _inside(tail_tokens, keep) and _inside(head_tokens, skip):
        kept[-1:], following[:1] = [_concatenate(kept[-1], following[0])], []
    return kept + following


def _inside(tokens: list[Token], index: int) -> bool:
    """Return whether the boundary before token `index` lies inside a segment."""
    return 0 < index < len(tokens) and tokens[index - 1].segment == tokens[index].segment


def _from_tokens(segments: Sequence[Segment], tokens: list[Token], begin: int, end: int) -> list[Segment]:
    """Return the segments of tokens `begin` to `end`; one that keeps all its tokens stays the same object."""
    result: list[Segment] = []
    for number, segment in enumerate(segments):
        indices = [index for index, token in enumerate(tokens) if token.segment == number]
        kept = [tokens[index] for index in indices if begin <= index < end]
        if kept:
            uncut = len(kept) == len(indices)
            result.append(segment if uncut else _trim(segment, kept, indices[0] < begin, indices[-1] >= end))
    return result


def _trim(segment: Segment, kept: list[Token], cut_before: bool, cut_after: bool) -> Segment:
    start = kept[0].start if cut_before else segment.start
    end = kept[-1].end if cut_after else segment.end
    words = None if segment.words is None else tuple(word for token in kept for word in token.words)
    text = "".join(token.text for token in kept)
    return replace(segment, start=start, end=max(start, end), text=text, words=words, tokens=())


def _concatenate(left: Segment, right: Segment) -> Segment:
    """Return one segment made of both halves of a sentence, with the metadata of the longer half."""
    longer = left if len(left.text) >= len(right.text) else right
    untimed = left.words is None and right.words is None
    return replace(
        longer,
        start=left.start,
        end=max(left.end, right.end),
        text=left.text + right.text,
        words=None if untimed else (*(left.words or ()), *(right.words or ())),
        tokens=(),
        seek=left.seek,
    )


def _clamp_seam(left: list[Segment], right: list[Segment], last: float) -> None:
    """Clamp the times at the seam so that none runs backwards; the last word of `left` begins at `last`."""
    if not left or not right:
        return
    boundary = max(last, right[0].start)
    if left[-1].end > boundary:
        left[-1] = _clamp(left[-1], 0.0, boundary)
    earliest = left[-1].end
    for index, segment in enumerate(right):
        if segment.start >= earliest:
            break
        right[index] = _clamp(segment, earliest, max(earliest, segment.end))


def _clamp(segment: Segment, earliest: float, latest: float) -> Segment:
    """Return the segment with all times clamped to [earliest, latest]."""

    def clamp(time: float) -> float:
        return min(max(time, earliest), latest)

    words = segment.words
    if words is not None:
        words = tuple(replace(word, start=clamp(word.start), end=clamp(word.end)) for word in words)
    return replace(segment, start=clamp(segment.start), end=clamp(segment.end), words=words)
