"""Scores of transcripts: word errors, loops, words where nobody speaks, words that only another has.

Knows no system and no normaliser; texts are normalised words with a space between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import jiwer

MAX_PERIOD = 11
"""Most words that repeat together."""

MIN_COPIES = 3
MIN_LOOP_WORDS = 6
"""Least words of all copies: a number or a laugh that is said three times is no loop."""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one recording, or of several added up."""

    n_words: int = 0
    """Words that are said."""
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    loops: int = 0
    without_speech: int = 0
    """Words written for recordings in which nothing is said."""
    n_right: int = 0
    """Words that the reference system has right."""
    missing: int = 0
    """Those of them that this system lacks."""
    seconds: float = 0.0
    """Time taken; 0 where it is not known."""

    @property
    def word_errors(self) -> float:
        """The word error rate in percent; 0 where nothing is said."""
        return 100 * (self.substitutions + self.deletions + self.insertions) / max(self.n_words, 1)

    @property
    def missing_share(self) -> float:
        """Percentage of the words that the reference system has right and this one lacks."""
        return 100 * self.missing / max(self.n_right, 1)


def score(said: str, heard: str, reference: str | None = None, seconds: float = 0.0) -> Score:
    """Return the score of one text; `reference` is the text of the reference system, where there is one."""
    loops = count_loops(heard, said)
    if not said:
        return Score(loops=loops, without_speech=len(heard.split()), seconds=seconds)
    found = jiwer.process_words(said, heard)
    right = set() if reference is None else right_words(said, reference)
    return Score(
        n_words=len(said.split()),
        substitutions=found.substitutions,
        deletions=found.deletions,
        insertions=found.insertions,
        loops=loops,
        n_right=len(right),
        missing=len(right - right_words(said, heard)),
        seconds=seconds,
    )


def total(scores: Iterable[Score]) -> Score:
    """Return the sum of scores."""
    scores = list(scores)
    return Score(*(sum(getattr(each, field.name) for each in scores) for field in fields(Score)))


def right_words(said: str, heard: str) -> set[int]:
    """Return the places of the words of `said` that are in `heard`, where the two are aligned best."""
    chunks = jiwer.process_words(said, heard).alignments[0]
    return {
        i for chunk in chunks if chunk.type == "equal" for i in range(chunk.ref_start_idx, chunk.ref_end_idx)
    }


def count_loops(heard: str, said: str) -> int:
    """Return how often words are repeated at once `MIN_COPIES` times or more, unless they are said so.

    Loops of the shortest period that has any are counted: those of longer ones are the same again.
    """
    words = heard.split()
    for period in range(1, MAX_PERIOD + 1):
        n_loops = start = 0
        while start + MIN_COPIES * period <= len(words):
            n_copies = _count_copies(words, start, period)
            is_loop = n_copies >= MIN_COPIES and n_copies * period >= MIN_LOOP_WORDS
            if is_loop and " ".join(words[start : start + n_copies * period]) not in said:
                n_loops += 1
                start += n_copies * period
            else:
                start += 1
        if n_loops:
            return n_loops
    return 0


def _count_copies(words: list[str], start: int, period: int) -> int:
    """Return how many times in a row the `period` words from `start` on stand there."""
    n_copies = 1
    while words[start : start + period] == words[start + n_copies * period : start + (n_copies + 1) * period]:
        n_copies += 1
    return n_copies
