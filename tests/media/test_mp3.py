"""Bare MP3 frames: their rates, their delay, and that portions change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from hearsay.media.mp3 import Mp3Writer, default_bit_rate
from tests.support.encoded_audio import heard, voice

FRAME = 576
"""Samples of a frame at rates below 32 kHz (MPEG-2, layer III)."""

KILOBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""Bit rates that a frame's head counts through, from 1 on (ISO/IEC 13818-3)."""


def written(rate: int, *, bit_rate: int | None = None, portion: int = 1000) -> bytes:
    pcm, writer = voice(1.0, rate), Mp3Writer(rate, bit_rate)
    portions = [writer.feed(pcm[start : start + portion]) for start in range(0, len(pcm), portion)]
    return b"".join([*portions, writer.finish()])


@pytest.mark.parametrize(("rate", "expected"), [(8000, 32_000), (16_000, 64_000), (24_000, 96_000)])
def test_without_a_wish_the_bit_rate_is_one_for_speech(rate: int, expected: int) -> None:
    assert default_bit_rate(rate) == expected
    assert written(rate) == written(rate, bit_rate=expected)


@pytest.mark.parametrize("bit_rate", [32_000, 96_000, 160_000])
def test_every_frame_has_the_bit_rate(bit_rate: int) -> None:
    file = written(24_000, bit_rate=bit_rate)
    size = FRAME * bit_rate // 8 // 24_000
    assert len(file) % size == 0
    heads = [int.from_bytes(file[start : start + 4], "big") for start in range(0, len(file), size)]
    assert {head >> 21 for head in heads} == {0x7FF}
    assert {KILOBITS[(head >> 12 & 0xF) - 1] * 1000 for head in heads} == {bit_rate}


def test_a_file_is_frames_only_and_as_long_as_its_delay_makes_it() -> None:
    played = heard(written(24_000))
    assert (played.rate, played.channels) == (24_000, 1)
    assert len(played.samples) % FRAME == 0
    assert 24_000 + 1105 <= len(played.samples) < 24_000 + 1105 + 2 * FRAME


@pytest.mark.parametrize("portion", [1, 577, 24_000])
def test_portions_make_no_difference(portion: int) -> None:
    assert written(24_000, portion=portion) == written(24_000)


def test_no_sound_is_no_file() -> None:
    writer = Mp3Writer(24_000)
    assert writer.feed(np.zeros(0, np.int16)) == b""
    assert writer.finish() == b""
