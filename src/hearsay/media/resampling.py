"""Samples → the same sound at another rate, or quicker or slower at its own pitch, block by block.

Knows no file. libav's swresample changes the rate, with its defaults (a windowed sinc of 32 taps at the lower
rate), and its filter `atempo` the tempo (waveform similarity overlap-add).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingLeft
from av.filter import Graph

from hearsay.domain import Pcm

_MOST_PER_FILTER = 2.0
"""A single `atempo` leaves samples out above this, and takes nothing below its inverse."""


class RateTempoChanger:
    """One sound being changed."""

    def __init__(self, *, source_rate: int, rate: int, tempo: float) -> None:
        """Prepare; `tempo` 2.0 makes a sound half as long, at the pitch that it has."""
        self._rate = source_rate
        self._time_base = Fraction(1, source_rate)
        self._ratio = rate / source_rate / tempo
        self._n_taken = 0
        self._n_given = 0
        graph: Any = Graph()
        graph.threads = 1
        chain = [graph.add_abuffer(sample_rate=source_rate, format="s16", layout="mono")]
        chain += [graph.add("atempo", f"{part:.9f}") for part in _parts(tempo)]
        if rate != source_rate:
            chain.append(graph.add("aresample", str(rate)))
        chain += [graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"), graph.add("abuffersink")]
        graph.link_nodes(*chain).configure()
        self._graph = graph

    def feed(self, pcm: Pcm) -> Iterator[Pcm]:
        """Take `int16[n_samples]` and give what is ready, perhaps nothing."""
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[None]), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._n_taken, self._time_base
        self._n_taken += len(pcm)
        self._graph.push(frame)
        return self._ready()

    def finish(self) -> Iterator[Pcm]:
        """Return the rest, so that all is as long as it should be; `atempo` alone is off by up to 0.05 s."""
        if not self._n_taken:
            return
        self._graph.push(None)
        missing = max(round(self._n_taken * self._ratio) - self._n_given, 0)
        for block in self._ready():
            yield block[:missing]
            missing = max(missing - len(block), 0)
        yield np.zeros(missing, np.int16)

    def _ready(self) -> Iterator[Pcm]:
        while True:
            try:
                frame = self._graph.pull()
            except (NothingYet, NothingLeft):
                return
            self._n_given += frame.samples
            yield np.frombuffer(frame.planes[0], np.int16, frame.samples)


def _parts(tempo: float) -> list[float]:
    """Part a tempo in equal factors that one filter can do each."""
    parts: list[float] = []
    if tempo == 1.0:
        return parts
    n_parts = 1
    while not 1 / _MOST_PER_FILTER <= tempo ** (1 / n_parts) <= _MOST_PER_FILTER:
        n_parts += 1
    return [tempo ** (1 / n_parts)] * n_parts
