"""Measurements of one system and their statistics: medians, throughput, word errors.

Knows no particular system. Word errors are counted over all recordings together, letters only, without case.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jiwer
import numpy as np

from bench.recordings import Recording


@dataclass
class Score:
    """The runs of one system under one condition."""

    name: str
    rounds: list[float] = field(default_factory=list)
    """Wall seconds of each round over all recordings."""
    latencies: list[float] = field(default_factory=list)
    """Seconds of every single answer."""
    texts: dict[Path, list[str]] = field(default_factory=dict)
    """Every answer to each recording."""

    def add(self, path: Path, seconds: float, text: str) -> None:
        """Note one answer."""
        self.latencies.append(seconds)
        self.texts.setdefault(path, []).append(text)

    @property
    def median(self) -> float:
        """Seconds of the median round."""
        return statistics.median(self.rounds)

    def latency(self, share: float) -> float:
        """Return the seconds that `share` percent of the answers did not exceed."""
        return float(np.percentile(self.latencies, share))

    def word_errors(self, recordings: Sequence[Recording]) -> float:
        """Return the word error rate in percent."""
        pairs = [(r.text, text) for r in recordings for text in self.texts[r.path]]
        return 100.0 * jiwer.wer([plain(said) for said, _ in pairs], [plain(heard) for _, heard in pairs])

    def agreement(self, others: Mapping[Path, str]) -> float:
        """Return the share of answers that are letter by letter those of others, in percent."""
        pairs = [(others[path], text) for path, texts in self.texts.items() for text in texts]
        return 100.0 * sum(left == right for left, right in pairs) / len(pairs)


def plain(text: str) -> str:
    """Keep words only: no case, no punctuation."""
    return re.sub(r"[^\w\s]", "", text.lower())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns; a row of one cell is a remark, and goes across."""
    whole = [row for row in (head, *rows) if len(row) == len(head)]
    widths = [max(len(row[i]) for row in whole) for i in range(len(head))]
    lines = []
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
    return "\n".join(lines)
