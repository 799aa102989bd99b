"""Frames between a process that speaks and its parent: whole ones come out, however they came in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.engines.tts_worker.frames import AUDIO, END, HEADER, UTTERANCE, Frames, frame

FRAMES = st.lists(st.tuples(st.sampled_from([AUDIO, END, UTTERANCE]), st.binary(max_size=300)), max_size=8)


@given(FRAMES, st.lists(st.integers(0, 3000), max_size=8))
def test_frames_come_out_wherever_they_were_cut(sent: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(kind, payload) for kind, payload in sent)
    frames, taken = Frames(), []
    for start, end in pairwise(sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})):
        frames.feed(data[start:end])
        while (found := frames.take()) is not None:
            taken.append(found)
    assert taken == sent


def test_a_frame_waits_for_its_last_byte() -> None:
    frames = Frames()
    frames.feed(frame(AUDIO, b"12345678")[:-1])
    assert frames.take() is None
    frames.feed(b"8")
    assert (frames.take(), frames.take()) == ((AUDIO, b"12345678"), None)


def test_nobody_has_to_hold_what_makes_no_sense() -> None:
    frames = Frames()
    frames.feed(HEADER.pack(AUDIO, 1 << 20))
    assert frames.take() is None
    frames = Frames()
    frames.feed(HEADER.pack(AUDIO, (1 << 20) + 1))
    with pytest.raises(ValueError, match="1048577 bytes"):
        frames.take()
