"""The seam between two hypotheses of one overlap: timed tokens, their alignment, and where to join them.

Builds no segments. Where words or segments have times, tokens match only where their times agree (longest
common subsequence); where a text covers a whole part, its end is aligned with the beginning of the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from hearsay.domain import Segment, Word

Span = tuple[float, float]
"""Start and end, seconds."""

TOLERANCE = 1.5
"""Largest difference between two hypotheses' times of one word, seconds."""
_USUAL_OFFSET = 0.5
"""Usual difference, seconds; an isolated match counts only within it."""
_RUN_BONUS = 0.5
"""Added to a match that continues the previous one, so that sentences beat scattered common words."""
_MAX_RUN = 4
"""Consecutive matches beyond which a longer run is not preferred."""
_RUN_WEIGHT = 1.5
"""Distance from the middle of the overlap that one more match in the run outweighs, seconds."""
_UNMATCHED_LOSS = 5.0
"""Distance from the middle of the overlap that keeping a word of only one hypothesis outweighs, seconds."""
_MAX_RATE, _USUAL_RATE = 8.0, 2.5
"""Fastest and ordinary speech rate: words (or letters of scripts without spaces) per second."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han
)
"""Scripts written without spaces, matched letter by letter."""
_TOKEN = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")


@dataclass(frozen=True, slots=True)
class Token:
    """A slice of a segment's text with its measured or estimated time."""

    text: str
    key: str
    """The compared form: letters and digits only, folded; empty matches nothing."""
    start: float
    end: float
    slack: float
    """Uncertainty of the times, seconds; 0 where the engine timed the word."""
    segment: int
    words: tuple[Word, ...] = ()

    @property
    def centre(self) -> float:
        return (self.start + self.end) / 2


def is_unspaced(text: str) -> bool:
    """Return whether `text` begins in a script that is written without spaces between words."""
    return re.match(f"[{_UNSPACED}]", text) is not None


def find_seam(
    tail: Sequence[Segment], left: list[Token], head: Sequence[Segment], right: list[Token], overlap: Span
) -> tuple[int, int]:
    """Return how many tokens of `left` to keep and how many of `right` to skip."""
    if not left or not right:
        return len(left), 0
    length = overlap[1] - overlap[0]
    ends = (tail[left[-1].segment], left[-1].slack), (head[right[0].segment], right[0].slack)
    if any(slack and segment.end - segment.start > length for segment, slack in ends):
        return _text_seam(left, right, length)
    first = next((i for i, t in enumerate(left) if t.end + t.slack + TOLERANCE > overlap[0]), len(left))
    last = next((j for j in range(len(right), 0, -1) if _begins_before(right[j - 1], overlap[1])), 0)
    matches = [(i + first, j) for i, j in _align_timed(left[first:], right[:last])]
    middle = sum(overlap) / 2
    costs: dict[tuple[int, int], float] = {}
    for (i, j), run in zip(matches, _run_lengths(matches), strict=True):
        if run > 1 or abs(left[i].centre - right[j].centre) <= _USUAL_OFFSET:
            distance = abs((left[i].centre + right[j].centre) / 2 - middle)
            costs[i, j] = distance + _RUN_WEIGHT * (_MAX_RUN - min(run, _MAX_RUN))
    if costs:
        i, j = min(costs, key=lambda match: costs[match])
        return i + 1, j + 1
    return _time_seam(left, right, overlap)


def _text_seam(left: list[Token], right: list[Token], length: float) -> tuple[int, int]:
    """Return the seam by text alone: the end of `left` matches the beginning of `right`, with errors.

    Without any match everything is kept, because repeated text cannot be told from new text.
    """
    limit = int(length * _MAX_RATE) + 1
    first = max(0, len(left) - limit)
    matches = [(i + first, j) for i, j in _align_text(left[first:], right[:limit])]
    if not matches:
        return len(left), 0
    middle = (len(matches) - 1) / 2
    costs = {
        match: abs(index - middle) / _USUAL_RATE + _RUN_WEIGHT * (_MAX_RUN - min(run, _MAX_RUN))
        for index, (match, run) in enumerate(zip(matches, _run_lengths(matches), strict=True))
    }
    i, j = min(costs, key=lambda match: costs[match])
    return i + 1, j + 1


def _align_text(left: list[Token], right: list[Token]) -> list[tuple[int, int]]:
    """Return matching pairs that align the end of `left` with the beginning of `right`, of any length.

    Source: semi-global (overlap) alignment as in sequence assembly; match +2, mismatch and gap -1.
    """
    width = len(right) + 1
    score = [[-float(j) for j in range(width)]] + [[0.0] * width for _ in left]
    for i, one in enumerate(left, 1):
        for j, other in enumerate(right, 1):
            same = bool(one.key) and one.key == other.key
            across = score[i - 1][j - 1] + (2.0 if same else -1.0)
            score[i][j] = max(across, score[i - 1][j] - 1.0, score[i][j - 1] - 1.0)
    i, j = len(left), max(range(width), key=lambda column: score[-1][column])
    pairs: list[tuple[int, int]] = []
    while i > 0 and j > 0:
        same = bool(left[i - 1].key) and left[i - 1].key == right[j - 1].key
        if score[i][j] == score[i - 1][j - 1] + (2.0 if same else -1.0):
            i, j = i - 1, j - 1
            pairs += [(i, j)] if same else []
        elif score[i][j] == score[i - 1][j] - 1.0:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _begins_before(token: Token, end: float) -> bool:
    return token.start - token.slack - TOLERANCE < end


def _run_lengths(matches: list[tuple[int, int]]) -> list[int]:
    """Return for every match the length of the run of consecutive matches that contains it."""
    lengths: list[int] = []
    begin = 0
    for index in range(1, len(matches) + 1):
        i, j = matches[index - 1]
        if index == len(matches) or matches[index] != (i + 1, j + 1):
            lengths += [index - begin] * (index - begin)
            begin = index
    return lengths


def _align_timed(left: list[Token], right: list[Token]) -> list[tuple[int, int]]:
    """Return the common subsequence of tokens that is longest, least scattered and nearest in time.

    Source: longest-common-subsequence recurrence with a bonus for contiguous matches; O(len(left) *
    len(right)).
    """
    width = len(right) + 1
    best = [[0.0] * width for _ in range(len(left) + 1)]
    match = [[0.0] * width for _ in range(len(left) + 1)]
    follows = [[False] * width for _ in range(len(left) + 1)]
    for i, one in enumerate(left, 1):
        for j, other in enumerate(right, 1):
            weight = _match_weight(one, other)
            if weight > 0:
                run = match[i - 1][j - 1]
                fresh, continued = best[i - 1][j - 1], run + _RUN_BONUS * weight if run else 0.0
                match[i][j] = weight + max(fresh, continued)
                follows[i][j] = continued >= fresh and run > 0
            best[i][j] = max(best[i - 1][j], best[i][j - 1], match[i][j])
    return _backtrack(best, match, follows)


def _match_weight(one: Token, other: Token) -> float:
    """Return the weight of a match in (0, 1]; 0 where the words differ or their times are too far apart."""
    if not one.key or one.key != other.key:
        return 0.0
    slack = one.slack + other.slack
    offset = abs(one.centre - other.centre)
    return 1.0 / (1.0 + (offset / (_USUAL_OFFSET + slack)) ** 2) if offset <= TOLERANCE + slack else 0.0


def _backtrack(
    best: list[list[float]], match: list[list[float]], follows: list[list[bool]]
) -> list[tuple[int, int]]:
    """Return the pairs on the best path through the tables of `_align_timed`."""
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


def _time_seam(left: list[Token], right: list[Token], overlap: Span) -> tuple[int, int]:
    """Return the seam by time alone: it drops and splits the fewest words and is nearest the middle."""
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


def _loss(token: Token, others: list[Token]) -> float:
    """Return the cost of dropping a token: high where the other hypothesis has no words at that time."""
    matched = any(t.start - _USUAL_OFFSET < token.end and token.start < t.end + _USUAL_OFFSET for t in others)
    return 1.0 if matched else _UNMATCHED_LOSS


def tokenize(segments: Sequence[Segment]) -> list[Token]:
    """Return the segments' timed tokens; their texts, joined, are the segments' texts."""
    tokens: list[Token] = []
    for index, segment in enumerate(segments):
        tokens += _timed_tokens(index, segment) or _estimated_tokens(index, segment)
    return tokens


def _timed_tokens(index: int, segment: Segment) -> list[Token]:
    """Return tokens from the segment's word times; empty where it has none or they are not in its text."""
    text, words = segment.text, segment.words or ()
    spans: list[tuple[int, int]] = []
    position = 0
    for word in words:
        stripped = word.text.strip()
        found = text.find(stripped, position)
        if found < 0 or not stripped:
            return []
        position = found + len(stripped)
        spans.append((found, position))
    tokens: list[Token] = []
    begin = 0
    for k, word in enumerate(words):
        limit = spans[k + 1][0] if k + 1 < len(words) else len(text)
        end = spans[k][1]
        while end < limit and (limit == len(text) or not text[end].isspace()):
            end += 1
        token_text = text[begin:end]
        tokens.append(Token(token_text, _key(token_text), word.start, word.end, 0.0, index, (word,)))
        begin = end
    return tokens


def _estimated_tokens(index: int, segment: Segment) -> list[Token]:
    """Return tokens split at spaces (or letters in unspaced scripts), with times in proportion to letters.

    Only the segment's ends are known, so the slack grows with the distance from them.
    """
    rate = (segment.end - segment.start) / max(len(segment.text), 1)
    tokens: list[Token] = []
    for begin, end in _word_slices(segment.text) or [(0, len(segment.text))]:
        start, stop = segment.start + begin * rate, segment.start + end * rate
        slack = 0.5 * max(0.0, min(stop - segment.start, segment.end - start))
        last = end == len(segment.text)
        words = tuple(w for w in segment.words or () if _within(w, start, stop, begin == 0, last))
        token_text = segment.text[begin:end]
        tokens.append(Token(token_text, _key(token_text), start, stop, slack, index, words))
    return tokens


def _within(word: Word, start: float, stop: float, first: bool, last: bool) -> bool:
    centre = (word.start + word.end) / 2
    return (first or start <= centre) and (last or centre < stop)


def _word_slices(text: str) -> list[tuple[int, int]]:
    """Return the start and end of each word in the text; punctuation stays with the word before."""
    slices: list[tuple[int, int]] = []
    for found in _TOKEN.finditer(text):
        if slices and not _key(found.group()):
            slices[-1] = (slices[-1][0], found.end())
        else:
            slices.append((slices[-1][1] if slices else 0, found.end()))
    if slices:
        slices[-1] = (slices[-1][0], len(text))
    return slices


def _key(text: str) -> str:
    """Return a word folded for comparison: NFKC, no case, letters, marks and digits only."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LMN")
