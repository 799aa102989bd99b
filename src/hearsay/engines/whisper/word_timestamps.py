"""Word timestamps: from the path of tokens through the frames of a window to the words of segments.

Knows no model and no audio: the path comes from the runtime, by the attention of the alignment heads. The
rules and their constants are those of openai/whisper `timing.py`: attention locates words well but times them
poorly around pauses, so words next to one are limited to twice the median duration.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hearsay.domain import AlignedWord, Segment, Word

if TYPE_CHECKING:
    from hearsay.engines.whisper.tokenizer import Vocabulary

OPENING = "\"'“¿([{-"
"""Marks that belong to the word after them."""

CLOSING = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the word before them."""

SENTENCE_ENDS = ".。!！?？"

_MAX_MEDIAN = 0.7
"""Most seconds of the median duration of words."""

_TOLERANCE = 0.5
"""Seconds by which words may disagree with the timestamps of their segment before these are preferred."""

_POSITIONS_PER_SECOND = 50
"""Positions of the encoder's output in a second."""


def words_on_path(
    vocabulary: Vocabulary, language: str | None, tokens: Sequence[int], path: Any
) -> list[AlignedWord]:
    """Split text tokens into words, each from where the path enters it to where the path enters the next.

    `path` has `alignments`, pairs of token and position, and `text_token_probs`.
    """
    split = vocabulary.split_words(tokens, language)
    if not split:
        return []
    token_at, position_at = np.array(path.alignments).T
    enters = np.diff(token_at, prepend=-1) > 0
    seconds = position_at[enters] / _POSITIONS_PER_SECOND
    edges = np.cumsum([0, *(n_tokens for _, n_tokens in split)])
    return [
        AlignedWord(
            text=text,
            n_tokens=n_tokens,
            start=float(seconds[first]),
            end=float(seconds[last]),
            probability=float(np.mean(path.text_token_probs[first:last])),
        )
        for (text, n_tokens), first, last in zip(split, edges[:-1], edges[1:], strict=True)
    ]


def median_duration(words: Sequence[AlignedWord]) -> float:
    """Return the median duration of the words whose duration is not zero: at most 0.7 s, 0 without words."""
    durations = [word.end - word.start for word in words if word.end != word.start]
    return min(_MAX_MEDIAN, statistics.median(durations)) if durations else 0.0


def attach_words(
    segments: Sequence[Segment],
    n_tokens: Sequence[int],
    words: Sequence[AlignedWord],
    *,
    offset: float,
    spoken: float,
) -> list[Segment]:
    """Return the segments with their words, and with start and end moved to them.

    `n_tokens` are the text tokens of each segment, which the aligned words stand for in order; `offset` is
    where the window begins; `spoken` is where the last word before this window ended.
    """
    median = median_duration(words)
    remaining = merge_punctuation(shorten_at_sentence_ends(words, median))
    attached = []
    for segment, n_wanted in zip(segments, n_tokens, strict=True):
        n_words = _count(remaining, n_wanted)
        timed = [_shifted(word, offset) for word in remaining[:n_words]]
        remaining = remaining[n_words:]
        corrected = _correct(segment, timed, median, spoken)
        spoken = corrected.end if timed else spoken
        attached.append(corrected)
    return attached


def last_word_end(segments: Sequence[Segment]) -> float | None:
    """Return the end of the last word, or of the last segment without words; None without segments."""
    for segment in reversed(segments):
        if segment.words:
            return segment.words[-1].end
    return segments[-1].end if segments else None


def shorten_at_sentence_ends(words: Sequence[AlignedWord], median: float) -> list[AlignedWord]:
    """Shorten marks that end a sentence, and words after them, to twice the median: the rest is a pause."""
    shortened = list(words)
    if median == 0.0:
        return shortened
    for i in range(1, len(words)):
        word = shortened[i]
        if word.end - word.start <= median * 2:
            continue
        if word.text in SENTENCE_ENDS:
            shortened[i] = replace(word, end=word.start + median * 2)
        elif words[i - 1].text in SENTENCE_ENDS:
            shortened[i] = replace(word, start=word.end - median * 2)
    return shortened


def merge_punctuation(words: Sequence[AlignedWord]) -> list[AlignedWord]:
    """Join opening marks to the next word and closing marks to the last one; the words' own times stay."""
    opened: list[AlignedWord] = []
    for word in reversed(words):
        if opened and word.text.startswith(" ") and word.text.strip() in OPENING:
            opened[-1] = _joined(opened[-1], word.text + opened[-1].text, word.n_tokens)
        else:
            opened.append(word)
    merged: list[AlignedWord] = []
    for word in reversed(opened):
        if merged and not merged[-1].text.endswith(" ") and word.text in CLOSING:
            merged[-1] = _joined(merged[-1], merged[-1].text + word.text, word.n_tokens)
        else:
            merged.append(word)
    return merged


def _joined(word: AlignedWord, text: str, n_more: int) -> AlignedWord:
    return replace(word, text=text, n_tokens=word.n_tokens + n_more)


def _count(words: Sequence[AlignedWord], n_wanted: int) -> int:
    """Return the number of first words that together have `n_wanted` tokens."""
    n_words, n_tokens = 0, 0
    while n_words < len(words) and n_tokens < n_wanted:
        n_tokens += words[n_words].n_tokens
        n_words += 1
    return n_words


def _shifted(word: AlignedWord, offset: float) -> Word:
    """Return a word with times of the recording, in steps of 10 ms, as those of windows are."""
    return Word(round(offset + word.start, 2), round(offset + word.end, 2), word.text, word.probability)


def _correct(segment: Segment, words: list[Word], median: float, spoken: float) -> Segment:
    if not words:
        return replace(segment, words=())
    words = _shorten_after_pause(words, median, spoken)
    start, end = words[0].start, words[-1].end
    first = words[0]
    if first.start < segment.start - _TOLERANCE and segment.start < first.end:
        start = segment.start
        words[0] = replace(first, start=max(0.0, min(first.end - median, segment.start)))
    last = words[-1]
    if last.end > segment.end + _TOLERANCE and segment.end > last.start:
        end = segment.end
        words[-1] = replace(last, end=max(last.start + median, segment.end))
    return replace(segment, start=start, end=end, words=tuple(words))


def _shorten_after_pause(words: list[Word], median: float, spoken: float) -> list[Word]:
    """Shorten the first two words of a segment where a pause before them was counted into them."""
    first, second = words[0], words[1] if len(words) > 1 else None
    too_long = first.end - first.start > median * 2 or (
        second is not None and second.end - first.start > median * 4
    )
    if first.end - spoken <= median * 4 or not too_long:
        return words
    shortened = list(words)
    if second is not None and second.end - second.start > median * 2:
        boundary = max(second.end / 2, second.end - median * 2)
        first = replace(first, end=boundary)
        shortened[1] = replace(second, start=boundary)
    shortened[0] = replace(first, start=max(0.0, first.end - median * 2))
    return shortened
