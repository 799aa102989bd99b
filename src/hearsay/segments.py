"""Segments as pure data: shifting in time, cutting a recording into overlapping parts, merging the overlap.

Knows no engine, no file and no wire. The merge aligns the two hypotheses of an overlap by their longest
common sequence of words, as the vendors' audio-chunking tutorials do with text alone, but lets words match
only where their times agree, and leaves each hypothesis before its weak place, its own edge. Times in and out
are seconds from the start of the recording.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hearsay.domain import SAMPLE_RATE, Audio, Segment, Word

Span = tuple[float, float]
"""Start and end, seconds."""

_TOLERANCE = 1.5
"""Seconds by which two recognisers may disagree about one word's time."""
_CLOSE = 0.5
"""Seconds of disagreement that are usual; a lone matching word counts only within them."""
_RUN_BONUS = 0.5
"""Reward for a match that continues the one before, so that sentences beat scattered common words."""
_FULL_RUN = 4
"""Matches in a row after which a longer run earns no more trust."""
_LONELINESS = 1.5
"""Seconds away from the middle of the overlap that one more match in the run is worth."""
_ALONE = 5.0
"""Seconds away from the middle of the overlap that keeping a word is worth which only one side heard."""
_HOP = 0.02
"""Seconds per loudness frame when looking for a quiet place."""
_SMOOTH = 10
"""Loudness frames averaged, so that the closure inside a word is not taken for a pause."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han
)
"""Scripts written without spaces, which are matched letter by letter."""
_PIECE = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")


@dataclass(frozen=True, slots=True)
class _Token:
    """A slice of a segment's text with the best knowledge of when it was said."""

    text: str
    key: str
    """What is compared: letters and digits only, folded; empty matches nothing."""
    start: float
    end: float
    slack: float
    """Seconds by which the time may be off; 0 where the engine timed the word."""
    segment: int
    words: tuple[Word, ...] = ()

    @property
    def centre(self) -> float:
        return (self.start + self.end) / 2


def unspaced(text: str) -> bool:
    """Tell whether `text` begins in a script that is written without spaces between words."""
    return re.match(f"[{_UNSPACED}]", text) is not None


def offset(segment: Segment, seconds: float) -> Segment:
    """Move a segment and its words by `seconds`; `seek` moves along (10 ms frames)."""
    words = segment.words
    if words is not None:
        words = tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in words)
    seek = segment.seek + round(seconds * 100)
    return replace(segment, start=segment.start + seconds, end=segment.end + seconds, words=words, seek=seek)


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
    """Give the time in [start, end] around which it is quietest; of equally quiet ones the most central."""
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
    slack = _TOLERANCE + (overlap[1] - overlap[0])
    n_before = next((i for i, segment in enumerate(left) if segment.end > overlap[0] - slack), len(left))
    n_head = sum(1 for segment in right if segment.start < overlap[1] + slack)
    tail, head = left[n_before:], right[:n_head]
    tail_tokens, head_tokens = _tokens(tail), _tokens(head)
    keep, skip = _seam(tail_tokens, head_tokens, overlap)
    kept = [*left[:n_before], *_rebuild(tail, tail_tokens, 0, keep)]
    following = [*_rebuild(head, head_tokens, skip, len(head_tokens)), *right[n_head:]]
    _meet(kept, following, tail_tokens[keep - 1].start if keep else 0.0)
    if _inside(tail_tokens, keep) and _inside(head_tokens, skip):
        kept[-1:], following[:1] = [_join(kept[-1], following[0])], []
    return kept + following


def _inside(tokens: list[_Token], place: int) -> bool:
    """Tell whether the boundary before token `place` lies inside a segment."""
    return 0 < place < len(tokens) and tokens[place - 1].segment == tokens[place].segment


def _seam(left: list[_Token], right: list[_Token], overlap: Span) -> tuple[int, int]:
    """Choose how many tokens of `left` to keep and how many of `right` to skip."""
    first = next((i for i, t in enumerate(left) if t.end + t.slack + _TOLERANCE > overlap[0]), len(left))
    last = next((j for j in range(len(right), 0, -1) if _begins_before(right[j - 1], overlap[1])), 0)
    matches = [(i + first, j) for i, j in _align(left[first:], right[:last])]
    middle = sum(overlap) / 2
    costs: dict[tuple[int, int], float] = {}
    for (i, j), run in zip(matches, _runs(matches), strict=True):
        if run > 1 or abs(left[i].centre - right[j].centre) <= _CLOSE:
            distance = abs((left[i].centre + right[j].centre) / 2 - middle)
            costs[i, j] = distance + _LONELINESS * (_FULL_RUN - min(run, _FULL_RUN))
    if costs:
        i, j = min(costs, key=lambda match: costs[match])
        return i + 1, j + 1
    return _blind_seam(left, right, overlap)


def _begins_before(token: _Token, end: float) -> bool:
    return token.start - token.slack - _TOLERANCE < end


def _runs(matches: list[tuple[int, int]]) -> list[int]:
    """Count for every match how many matches follow each other without a gap around it, itself included."""
    lengths: list[int] = []
    begin = 0
    for index in range(1, len(matches) + 1):
        i, j = matches[index - 1]
        if index == len(matches) or matches[index] != (i + 1, j + 1):
            lengths += [index - begin] * (index - begin)
            begin = index
    return lengths


def _align(left: list[_Token], right: list[_Token]) -> list[tuple[int, int]]:
    """Find the common sequence of tokens that is longest, least scattered and nearest in time.

    Source: the longest-common-subsequence recurrence with a bonus for contiguous matches; O(len(left) *
    len(right)).
    """
    width = len(right) + 1
    best = [[0.0] * width for _ in range(len(left) + 1)]
    match = [[0.0] * width for _ in range(len(left) + 1)]
    follows = [[False] * width for _ in range(len(left) + 1)]
    for i, mine in enumerate(left, 1):
        for j, other in enumerate(right, 1):
            weight = _agreement(mine, other)
            if weight > 0:
                run = match[i - 1][j - 1]
                fresh, continued = best[i - 1][j - 1], run + _RUN_BONUS * weight if run else 0.0
                match[i][j] = weight + max(fresh, continued)
                follows[i][j] = continued >= fresh and run > 0
            best[i][j] = max(best[i - 1][j], best[i][j - 1], match[i][j])
    return _trace(best, match, follows)


def _agreement(mine: _Token, other: _Token) -> float:
    """Weigh a match in (0, 1]; 0 where the words differ or their times forbid it."""
    if not mine.key or mine.key != other.key:
        return 0.0
    slack = mine.slack + other.slack
    apart = abs(mine.centre - other.centre)
    return 1.0 / (1.0 + (apart / (_CLOSE + slack)) ** 2) if apart <= _TOLERANCE + slack else 0.0


def _trace(
    best: list[list[float]], match: list[list[float]], follows: list[list[bool]]
) -> list[tuple[int, int]]:
    """Walk the tables of `_align` back from the end."""
    pairs: list[tuple[int, int]] = []
    i, j = len(best) - 1, len(best[0]) - 1
    inside = False
    while i > 0 and j > 0:
        if inside or best[i][j] == match[i][j] > 0:
            pairs.append((i - 1, j - 1))
            inside = follows[i][j]
            i, j = i - 1, j - 1
        elif best[i - 1][j] >= best[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _blind_seam(left: list[_Token], right: list[_Token], overlap: Span) -> tuple[int, int]:
    """Choose the seam by time alone: it loses and splits the fewest words and lies nearest the middle."""
    middle = sum(overlap) / 2
    edges = [edge for token in (*left, *right) for edge in (token.start, token.end)]
    times = [middle, *overlap, *(edge for edge in edges if overlap[0] <= edge <= overlap[1])]
    left_losses = [_loss(token, right) for token in left]
    right_losses = [_loss(token, left) for token in right]

    def cost(time: float) -> float:
        lost = sum(loss for t, loss in zip(left, left_losses, strict=True) if t.centre - t.slack > time)
        lost += sum(loss for t, loss in zip(right, right_losses, strict=True) if t.centre + t.slack < time)
        split = sum(t.start < time < t.end for t in (*left, *right) if not t.slack)
        return lost + 2 * split + abs(time - middle)

    time = min(times, key=cost)
    keep = max((i + 1 for i, t in enumerate(left) if t.centre - t.slack <= time), default=0)
    skip = next((j for j, t in enumerate(right) if t.centre + t.slack >= time), len(right))
    return keep, skip


def _loss(token: _Token, others: list[_Token]) -> float:
    """Weigh the loss of a token: little where the other side has words for that time, much where none."""
    heard = any(t.start - _CLOSE < token.end and token.start < t.end + _CLOSE for t in others)
    return 1.0 if heard else _ALONE


def _tokens(segments: Sequence[Segment]) -> list[_Token]:
    """Split segments into timed tokens whose texts, joined, are the segments' texts."""
    tokens: list[_Token] = []
    for index, segment in enumerate(segments):
        tokens += _timed(index, segment) or _estimated(index, segment)
    return tokens


def _timed(index: int, segment: Segment) -> list[_Token]:
    """Split at the segment's own words; empty where it has none or they are not in its text."""
    text, words = segment.text, segment.words or ()
    places: list[tuple[int, int]] = []
    position = 0
    for word in words:
        bare = word.text.strip()
        found = text.find(bare, position)
        if found < 0 or not bare:
            return []
        position = found + len(bare)
        places.append((found, position))
    tokens: list[_Token] = []
    begin = 0
    for k, word in enumerate(words):
        limit = places[k + 1][0] if k + 1 < len(words) else len(text)
        end = places[k][1]
        while end < limit and (limit == len(text) or not text[end].isspace()):
            end += 1
        piece = text[begin:end]
        tokens.append(_Token(piece, _key(piece), word.start, word.end, 0.0, index, (word,)))
        begin = end
    return tokens


def _estimated(index: int, segment: Segment) -> list[_Token]:
    """Split at spaces (or letters where the script has none), spreading the segment's time evenly over its
    letters.

    Only the segment's ends are known, so the estimate's slack grows with the distance from them.
    """
    rate = (segment.end - segment.start) / max(len(segment.text), 1)
    tokens: list[_Token] = []
    for begin, end in _slices(segment.text) or [(0, len(segment.text))]:
        start, stop = segment.start + begin * rate, segment.start + end * rate
        slack = 0.5 * max(0.0, min(stop - segment.start, segment.end - start))
        last = end == len(segment.text)
        words = tuple(w for w in segment.words or () if _within(w, start, stop, begin == 0, last))
        piece = segment.text[begin:end]
        tokens.append(_Token(piece, _key(piece), start, stop, slack, index, words))
    return tokens


def _within(word: Word, start: float, stop: float, first: bool, last: bool) -> bool:
    centre = (word.start + word.end) / 2
    return (first or start <= centre) and (last or centre < stop)


def _slices(text: str) -> list[tuple[int, int]]:
    """Cut text into slices of one word each; marks without a letter stay with the word before."""
    slices: list[tuple[int, int]] = []
    for found in _PIECE.finditer(text):
        if slices and not _key(found.group()):
            slices[-1] = (slices[-1][0], found.end())
        else:
            slices.append((slices[-1][1] if slices else 0, found.end()))
    if slices:
        slices[-1] = (slices[-1][0], len(text))
    return slices


def _key(text: str) -> str:
    """Fold a word for comparison: compatibility form, no case, letters, marks and digits only."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LMN")


def _rebuild(segments: Sequence[Segment], tokens: list[_Token], begin: int, end: int) -> list[Segment]:
    """Make segments of tokens `begin` to `end`; a segment that keeps all its tokens stays the same object."""
    pieces: list[Segment] = []
    for index, segment in enumerate(segments):
        whole = [place for place, token in enumerate(tokens) if token.segment == index]
        mine = [tokens[place] for place in whole if begin <= place < end]
        if mine:
            uncut = len(mine) == len(whole)
            pieces.append(segment if uncut else _part(segment, mine, whole[0] < begin, whole[-1] >= end))
    return pieces


def _part(segment: Segment, kept: list[_Token], cut_before: bool, cut_after: bool) -> Segment:
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
