"""G.711 against values of its tables, a decoder of another origin, and what CPython had until 3.12."""

from __future__ import annotations

import warnings

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet
from numpy.typing import NDArray

from hearsay.media import g711

EVERY = np.arange(-32_768, 32_768).astype(np.int16)


def decoded(codes: NDArray[np.uint8], codec: str) -> NDArray[np.int64]:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout = 8000, "mono"
    return np.concatenate(
        [frame.to_ndarray()[0] for frame in context.decode(Packet(codes.tobytes()))]
    ).astype(np.int64)


@pytest.mark.parametrize(
    ("sample", "code"),
    [(0, 0xFF), (-1, 0x7F), (4, 0xFE), (123, 0xF0), (124, 0xEF), (-124, 0x70), (-125, 0x6F), (32_767, 0x80)],
)
def test_mulaw_has_the_decision_values_of_the_table(sample: int, code: int) -> None:
    assert g711.mulaw(np.array([sample], np.int16))[0] == code


@pytest.mark.parametrize(
    ("sample", "code"),
    [(0, 0xD5), (-1, 0x55), (15, 0xD5), (16, 0xD4), (1023, 0xFA), (1024, 0xE5), (32_767, 0xAA)],
)
def test_alaw_has_the_decision_values_of_the_table(sample: int, code: int) -> None:
    assert g711.alaw(np.array([sample], np.int16))[0] == code


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_every_sample_becomes_one_of_the_two_levels_beside_it(law: str) -> None:
    heard = decoded(getattr(g711, law)(EVERY), f"pcm_{law}")
    levels = np.unique(decoded(np.arange(256).astype(np.uint8), f"pcm_{law}"))
    above = np.clip(np.searchsorted(levels, EVERY), 1, len(levels) - 1)
    gap = levels[above] - levels[above - 1]
    assert ((heard == levels[above]) | (heard == levels[above - 1])).all()
    inside = np.clip(EVERY, levels[0], levels[-1]) == EVERY
    # Half the gap, but where it is between two segments: there G.711 decides at a third of it.
    assert (np.abs(heard - EVERY)[inside] <= gap[inside] * 2 / 3).all()
    assert (np.abs(heard)[~inside] == levels.max()).all()


@pytest.mark.parametrize("law", [g711.mulaw, g711.alaw])
def test_both_sides_of_the_middle_differ_in_the_sign_alone(law: object) -> None:
    assert callable(law)
    above = EVERY[EVERY >= 0]
    assert (law(above) ^ law(~above) == 0x80).all()


@pytest.mark.parametrize("law", [g711.mulaw, g711.alaw])
def test_every_code_of_eight_bits_is_used(law: object) -> None:
    assert callable(law)
    assert len(np.unique(law(EVERY))) == 256


def test_what_the_standard_library_had_agrees() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")
    assert g711.alaw(EVERY).tobytes() == audioop.lin2alaw(EVERY.tobytes(), 2)
    above = EVERY[EVERY >= 0]  # below the middle it rounds away from it, which G.191 does not
    assert g711.mulaw(above).tobytes() == audioop.lin2ulaw(above.tobytes(), 2)


def test_slices_with_steps_are_taken_as_they_are() -> None:
    assert (g711.mulaw(EVERY[::7]) == g711.mulaw(EVERY)[::7]).all()
