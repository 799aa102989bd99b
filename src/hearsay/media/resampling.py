"""Resampling and time stretching of a stream of samples.

Knows no file. libav's swresample changes the rate, with its defaults (a windowed sinc of 32 taps at the lower
rate), and its filter `atempo` the tempo at constant pitch (waveform similarity overlap-add).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.error import BlockingIOError as NeedsInput
from av.error import EOFError as EndOfStream
from av.filter import Graph

from hearsay.domain import Pcm

_MAX_FILTER_TEMPO = 2.0
"""A single `atempo` drops samples above this, and accepts nothing below its inverse."""


class RateTempoChanger:
    """Changes rate and tempo of one stream."""

    def __init__(self, *, source_rate: int, rate: int, tempo: float) -> None:
        """Build the filter graph; `tempo` 2.0 halves the duration at the same pitch."""
        self._rate = source_rate
        self._time_base = Fraction(1, source_rate)
        self._length_ratio = rate / source_rate / tempo
        self._n_in = 0
        self._n_out = 0
        graph: Any = Graph()
        graph.threads = 1
        chain = [graph.add_abuffer(sample_rate=source_rate, format="s16", layout="mono")]
        chain += [graph.add("atempo", f"{factor:.9f}") for factor in _filter_tempos(tempo)]
        if rate != source_rate:
            chain.append(graph.add("aresample", str(rate)))
        chain += [graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"), graph.add("abuffersink")]
        graph.link_nodes(*chain).configure()
        self._graph = graph

    def feed(self, pcm: Pcm) -> Iterator[Pcm]:
        """Process `int16[n_samples]` and return the blocks that are ready, possibly none."""
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[None]), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._n_in, self._time_base
        self._n_in += len(pcm)
        self._graph.push(frame)
        return self._ready()

    def finish(self) -> Iterator[Pcm]:
        """Yield the rest, cut or padded to the exact duration; `atempo` alone is off by up to 0.05 s."""
        if not self._n_in:
            return
        self._graph.push(None)
        missing = max(round(self._n_in * self._length_ratio) - self._n_out, 0)
        for block in self._ready():
            yield block[:missing]
            missing = max(missing - len(block), 0)
        yield np.zeros(missing, np.int16)

    def _ready(self) -> Iterator[Pcm]:
        while True:
            try:
                frame = self._graph.pull()
            except (NeedsInput, EndOfStream):
                return
            self._n_out += frame.samples
            yield np.frombuffer(frame.planes[0], np.int16, frame.samples)


def _filter_tempos(tempo: float) -> list[float]:
    """Return equal tempos, each within the range of one filter, whose product is the tempo."""
    tempos: list[float] = []
    if tempo == 1.0:
        return tempos
    n_filters = 1
    while not 1 / _MAX_FILTER_TEMPO <= tempo ** (1 / n_filters) <= _MAX_FILTER_TEMPO:
        n_filters += 1
    return [tempo ** (1 / n_filters)] * n_filters
