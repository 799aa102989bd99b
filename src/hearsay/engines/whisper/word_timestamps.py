"""Word times: from the path of tokens through the frames of a window to the words of segments.

Knows no model and no audio: the path comes from the runtime, which weighs the attention of the alignment
heads. The rules and their constants are those of openai/whisper `timing.py`: attention
gives good places but poor durations around pauses, so words that touch one are held to twice the usual
duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from hearsay.domain import AlignedWord, Segment, Word
from hearsay.engines.whisper.tokenizer import Vocabulary

OPENING = "\"'“¿([{-"
"""Marks that belong to the word after them."""

CLOSING = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the word before them."""

SENTENCE_ENDS = ".。!！?？"

_LONGEST_MEDIAN = 0.7
_TOLERANCE = 0.5
"""Seconds by which words may disagree with the timestamps of their segment before these are believed."""

_POSITIONS_PER_SECOND = 50
"""Positions of the encoder's output in a second."""


def words_on_path(
    vocabulary: Vocabulary, language: str | None, tokens: Sequence[int], path: Any
) -> list[AlignedWord]:
    """Cut text tokens into words, each from where the path enters it to where the path enters the next.

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


@dataclass(frozen=True, slots=True)
class Pace:
    """How long words of one window usually take, in seconds."""

    usual: float
    """Median duration, at most 0.7."""

    @property
    def longest(self) -> float:
        """What a word beside a pause may take."""
        return self.usual * 2


def measure_pace(words: Sequence[AlignedWord]) -> Pace:
    """Take the median duration of the words that have one."""
    durations = [word.end - word.start for word in words if word.end != word.start]
    return Pace(min(_LONGEST_MEDIAN, median(durations)) if durations else 0.0)


def attach_words(
    segments: Sequence[Segment],
    n_tokens: Sequence[int],
    words: Sequence[AlignedWord],
    *,
    offset: float,
    spoken: float,
) -> list[Segment]:
    """Return each segment its words, and let its edges follow them.

    `n_tokens` are the text tokens of each segment, which the aligned words stand for in order; `offset` is
    where the window begins; `spoken` is where the last word before this window ended.
    """
    pace = measure_pace(words)
    waiting = merge_punctuation(shorten_at_sentence_ends(words, pace))
    attached = []
    for segment, n_wanted in zip(segments, n_tokens, strict=True):
        n_words = _count(waiting, n_wanted)
        timed = [_placed(word, offset) for word in waiting[:n_words]]
        waiting = waiting[n_words:]
        mended = _mend(segment, timed, pace, spoken)
        spoken = mended.end if timed else spoken
        attached.append(mended)
    return attached


def last_word_end(segments: Sequence[Segment]) -> float | None:
    """Return where the last word ends, or the last segment where there are no words.

    None without segments.
    """
    for segment in reversed(segments):
        if segment.words:
            return segment.words[-1].end
    return segments[-1].end if segments else None


def shorten_at_sentence_ends(words: Sequence[AlignedWord], pace: Pace) -> list[AlignedWord]:
    """Shorten marks that end a sentence, and words after them, to what is plausible: the rest is a pause."""
    shortened = list(words)
    if pace.usual == 0.0:
        return shortened
    for i in range(1, len(words)):
        word = shortened[i]
        if word.end - word.start <= pace.longest:
            continue
        if word.text in SENTENCE_ENDS:
            shortened[i] = replace(word, end=word.start + pace.longest)
        elif words[i - 1].text in SENTENCE_ENDS:
            shortened[i] = replace(word, start=word.end - pace.longest)
    return shortened


def merge_punctuation(words: Sequence[AlignedWord]) -> list[AlignedWord]:
    """Join opening marks to the next word and closing marks to the last one; the word's own times stay."""
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
    """Count the words that it takes to stand for so many tokens."""
    n_words, n_tokens = 0, 0
    while n_words < len(words) and n_tokens < n_wanted:
        n_tokens += words[n_words].n_tokens
        n_words += 1
    return n_words


def _placed(word: AlignedWord, offset: float) -> Word:
    """Move a word from its window into the recording, on the grid of 10 ms on which the window moves too."""
    return Word(round(offset + word.start, 2), round(offset + word.end, 2), word.text, word.probability)


def _mend(segment: Segment, words: list[Word], pace: Pace, spoken: float) -> Segment:
    if not words:
        return replace(segment, words=())
    words = _shorten_after_pause(words, pace, spoken)
    start, end = words[0].start, words[-1].end
    first = words[0]
    if first.start < segment.start - _TOLERANCE and segment.start < first.end:
        start = segment.start
        words[0] = replace(first, start=max(0.0, min(first.end - pace.usual, segment.start)))
    last = words[-1]
    if last.end > segment.end + _TOLERANCE and segment.end > last.start:
        end = segment.end
        words[-1] = replace(last, end=max(last.start + pace.usual, segment.end))
    return replace(segment, start=start, end=end, words=tuple(words))


def _shorten_after_pause(words: list[Word], pace: Pace, spoken: float) -> list[Word]:
    """Shorten the first two words of a segment where a pause before them was counted into them."""
    first, second = words[0], words[1] if len(words) > 1 else None
    too_long = first.end - first.start > pace.longest or (
        second is not None and second.end - first.start > pace.longest * 2
    )
    if first.end - spoken <= pace.usual * 4 or not too_long:
        return words
    mended = list(words)
    if second is not None and second.end - second.start > pace.longest:
        boundary = max(second.end / 2, second.end - pace.longest)
        first = replace(first, end=boundary)
        mended[1] = replace(second, start=boundary)
    mended[0] = replace(first, start=max(0.0, first.end - pace.longest))
    return mended
