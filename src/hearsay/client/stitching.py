"""Segments as pure data: shifting in time, cutting a recording into overlapping parts, merging the overlap.

Knows no engine, no file and no wire. The merge aligns the two hypotheses of an overlap by their longest
common sequence of words, as the vendors' audio-chunking tutorials do with text alone, but lets words match
only where their times agree, and leaves each hypothesis before its weak place, its own edge. Times in and out
are seconds from the start of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from hearsay.client.seam_search import TOLERANCE, Span, Token, find_seam, tokenise
from hearsay.domain import SAMPLE_RATE, Audio, Segment

_HOP = 0.02
"""Seconds per loudness frame when looking for a quiet place."""
_SMOOTH = 10
"""Loudness frames averaged, so that the closure inside a word is not taken for a pause."""


def cut(duration: float, *, part: float, overlap: float) -> list[Span]:
    """Cut `duration` seconds into equal spans of at most `part` seconds that share `overlap` seconds.

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


def cut_quietly(audio: Audio, *, part: float, overlap: float) -> list[Span]:
    """Cut as `cut` does, then move every inner edge to the quietest place near it.

    Edges only move inwards, by a fifth of the overlap at most: no part grows, and three fifths of the overlap
    always remain.
    """
    spans = cut(audio.duration, part=part, overlap=overlap)
    reach = overlap / 5
    starts = [spans[0][0], *(quietest(audio, start, start + reach) for start, _ in spans[1:])]
    ends = [*(quietest(audio, end - reach, end) for _, end in spans[:-1]), spans[-1][1]]
    return list(zip(starts, ends, strict=True))


def quietest(audio: Audio, start: float, end: float) -> float:
    """Return the time in [start, end] around which it is quietest; of equally quiet ones the most central."""
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
    """Stitch the segments of overlapping parts, in order, into those of the whole recording."""
    merged: list[Segment] = list(parts[0][1]) if parts else []
    for (before, _), (span, segments) in pairwise(parts):
        merged = stitch(merged, segments, overlap=(span[0], before[1]))
    return merged


def stitch(left: Sequence[Segment], right: Sequence[Segment], *, overlap: Span) -> list[Segment]:
    """Join two hypotheses that both cover `overlap` so that what was said there comes once.

    The seam lies at the matching word nearest the middle of the overlap, runs of matching words being trusted
    more than lone ones; where nothing matches, at the time that drops the fewest words. Words may carry
    times, or only their segments, or only a whole part: the less is known, the more a match's surroundings
    count, and the less is dropped without one. Model tokens of a segment cut in two are dropped.
    """
    slack = TOLERANCE + (overlap[1] - overlap[0])
    n_before = next((i for i, segment in enumerate(left) if segment.end > overlap[0] - slack), len(left))
    n_head = sum(1 for segment in right if segment.start < overlap[1] + slack)
    tail, head = left[n_before:], right[:n_head]
    tail_tokens, head_tokens = tokenise(tail), tokenise(head)
    keep, skip = find_seam(tail, tail_tokens, head, head_tokens, overlap)
    kept = [*left[:n_before], *_rebuild(tail, tail_tokens, 0, keep)]
    following = [*_rebuild(head, head_tokens, skip, len(head_tokens)), *right[n_head:]]
    _meet(kept, following, tail_tokens[keep - 1].start if keep else 0.0)
    if _inside(tail_tokens, keep) and _inside(head_tokens, skip):
        kept[-1:], following[:1] = [_join(kept[-1], following[0])], []
    return kept + following


def _inside(tokens: list[Token], place: int) -> bool:
    """Return whether the boundary before token `place` lies inside a segment."""
    return 0 < place < len(tokens) and tokens[place - 1].segment == tokens[place].segment


def _rebuild(segments: Sequence[Segment], tokens: list[Token], begin: int, end: int) -> list[Segment]:
    """Make segments of tokens `begin` to `end`; a segment that keeps all its tokens stays the same object."""
    pieces: list[Segment] = []
    for index, segment in enumerate(segments):
        whole = [place for place, token in enumerate(tokens) if token.segment == index]
        mine = [tokens[place] for place in whole if begin <= place < end]
        if mine:
            uncut = len(mine) == len(whole)
            pieces.append(segment if uncut else _part(segment, mine, whole[0] < begin, whole[-1] >= end))
    return pieces


def _part(segment: Segment, kept: list[Token], cut_before: bool, cut_after: bool) -> Segment:
    start = kept[0].start if cut_before else segment.start
    end = kept[-1].end if cut_after else segment.end
    words = None if segment.words is None else tuple(word for token in kept for word in token.words)
    text = "".join(token.text for token in kept)
    return replace(segment, start=start, end=max(start, end), text=text, words=words, tokens=())


def _join(left: Segment, right: Segment) -> Segment:
    """Make one segment of the two halves of a sentence; the longer half's metadata describe it."""
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


def _meet(left: list[Segment], right: list[Segment], last: float) -> None:
    """Press the times at the seam so that none runs backwards; the last word on the left begins at `last`."""
    if not left or not right:
        return
    boundary = max(last, right[0].start)
    if left[-1].end > boundary:
        left[-1] = _clip(left[-1], 0.0, boundary)
    floor = left[-1].end
    for place, segment in enumerate(right):
        if segment.start >= floor:
            break
        right[place] = _clip(segment, floor, max(floor, segment.end))


def _clip(segment: Segment, earliest: float, latest: float) -> Segment:
    """Press a segment's times into [earliest, latest]."""

    def press(time: float) -> float:
        return min(max(time, earliest), latest)

    words = segment.words
    if words is not None:
        words = tuple(replace(word, start=press(word.start), end=press(word.end)) for word in words)
    return replace(segment, start=press(segment.start), end=press(segment.end), words=words)
