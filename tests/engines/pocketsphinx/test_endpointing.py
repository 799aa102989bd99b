"""Cutting at pauses: every word once, nothing twice, no utterance too long, whatever the pieces."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.engines.pocketsphinx.endpointing import (
    FRAME_SAMPLES,
    Endpointer,
    EndpointingSettings,
    Pcm,
    Utterance,
)

FEW = EndpointingSettings(pause=4, margin=2, shortest=2, longest=40, search=12)


def is_loud(frame: bytes) -> bool:
    return bool(np.abs(np.frombuffer(frame, "<i2")).max() > 1000)


def frames(pattern: str) -> Pcm:
    """Make frames of 30 ms, loud where the pattern has an x, each with its number as the last sample."""
    pcm = np.zeros((len(pattern), FRAME_SAMPLES), np.int16)
    for number, mark in enumerate(pattern):
        pcm[number] = 5000 if mark == "x" else 100
        pcm[number, -1] = number
    return pcm.ravel()


def cut(pcm: Pcm, piece: int = 10_000, cutting: EndpointingSettings = FEW) -> list[Utterance]:
    cutter = Endpointer(is_loud, cutting)
    found: list[Utterance] = []
    for start in range(0, len(pcm), piece):
        found += cutter.feed(pcm[start : start + piece])
    return found + list(cutter.finish())


def spans(utterances: list[Utterance]) -> list[tuple[int, int]]:
    """Return first and last frame of each."""
    return [
        (found.start // FRAME_SAMPLES, (found.start + len(found.pcm)) // FRAME_SAMPLES - 1)
        for found in utterances
    ]


def test_cuts_at_pauses_and_keeps_margins() -> None:
    assert spans(cut(frames("......xxx.......xxxx..x......"))) == [(4, 10), (14, 24)]


def test_a_short_pause_does_not_cut() -> None:
    assert spans(cut(frames("xxx...xxx"))) == [(0, 8)]


def test_silence_and_clicks_give_nothing() -> None:
    assert cut(frames("." * 100)) == []
    assert cut(frames("....x.......x......")) == []


def test_neighbours_share_no_frame() -> None:
    assert spans(cut(frames("xxx....xxx"), cutting=EndpointingSettings(4, 3, 2, 40, 12))) == [(0, 5), (6, 9)]


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    pcm = frames("x" * 60).reshape(-1, FRAME_SAMPLES)
    pcm[33:36] //= 4
    first, second = spans(cut(pcm.ravel()))
    assert first[0] == 0
    assert 33 <= first[1] + 1 <= 35
    assert second == (first[1] + 1, 59)


def test_the_open_utterance_can_be_looked_at() -> None:
    cutter = Endpointer(is_loud, FEW)
    assert cutter.open_utterance() is None
    assert list(cutter.feed(frames("...xxx."))) == []
    utterance = cutter.open_utterance()
    assert utterance is not None
    assert spans([utterance]) == [(1, 6)]


@given(st.text("x..", max_size=150), st.integers(1, 3000))
@settings(max_examples=60, deadline=None)
def test_every_loud_frame_is_in_one_utterance(pattern: str, piece: int) -> None:
    pcm = frames(pattern)
    found = cut(pcm, piece)
    assert spans(found) == spans(cut(pcm))
    last = -1
    inside: set[int] = set()
    for utterance, (first, end) in zip(found, spans(found), strict=True):
        assert np.array_equal(utterance.pcm, pcm[utterance.start :][: len(utterance.pcm)])
        assert first > last
        assert end - first + 1 <= FEW.longest
        inside.update(range(first, end + 1))
        last = end
    loud = {number for number, mark in enumerate(pattern) if mark == "x"}
    alone = loud - inside
    assert all(len(loud & set(range(number - 3, number + 4))) < 2 * FEW.shortest for number in alone)


def test_memory_is_bounded_by_the_longest_utterance() -> None:
    cutter = Endpointer(is_loud, FEW)
    for pattern in ("x", "."):
        for _ in range(20):
            list(cutter.feed(frames(pattern * 50)))
            assert len(cutter._frames) <= FEW.longest
