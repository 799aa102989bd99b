"""Formats: which rates a container can hold, and what is said of the others."""

from __future__ import annotations

import pytest

from hearsay.errors import UnsupportedOption
from hearsay.media.formats import RATES, AudioFormat, Container, bit_rates, check, closest_rate


@pytest.mark.parametrize(
    ("container", "rate", "bit_rate", "named"),
    [
        (Container.MP3, 24_000, 100_000, "96000, 112000"),
        (Container.MP3, 8000, 128_000, "64000"),
        (Container.OPUS, 24_000, 5000, "from 6000 to 256000"),
        (Container.AAC, 8000, 64_000, "from 8000 to 48000"),
        (Container.WAV, 8000, 64_000, "no bit rate"),
        (Container.FLAC, 8000, 64_000, "mp3, opus or aac"),
    ],
)
def test_a_bit_rate_that_cannot_be_is_refused(
    container: Container, rate: int, bit_rate: int, named: str
) -> None:
    with pytest.raises(UnsupportedOption, match=named) as caught:
        check(AudioFormat(container, rate, bit_rate=bit_rate))
    assert caught.value.param == "bit_rate"


def test_the_closest_rate_keeps_all_of_a_sound() -> None:
    assert closest_rate(Container.OPUS, 22_050) == 24_000
    assert closest_rate(Container.WAV, 22_050) == 22_050
    assert closest_rate(Container.MP3, 96_000) == 48_000


@pytest.mark.parametrize("container", list(Container))
def test_every_rate_and_bit_rate_that_is_named_is_allowed(container: Container) -> None:
    for rate in (RATES[container][0], RATES[container][-1]):
        check(AudioFormat(container, rate))
        for bit_rate in bit_rates(container, rate):
            check(AudioFormat(container, rate, bit_rate=bit_rate))


@pytest.mark.parametrize("container", list(Container))
def test_rates_ascend(container: Container) -> None:
    assert list(RATES[container]) == sorted(set(RATES[container]))
    for rate in (8000, 24_000, 48_000):
        assert list(bit_rates(container, rate)) == sorted(set(bit_rates(container, rate)))


@pytest.mark.parametrize(
    ("container", "rate", "named"),
    [
        (Container.OPUS, 22_050, "one of 8000, 12000, 16000, 24000, 48000"),
        (Container.AAC, 96_000, "one of 8000, 11025,"),
        (Container.OGG, 7999, "from 8000 to 48000"),
    ],
)
def test_a_rate_is_refused_with_those_that_the_container_has(
    container: Container, rate: int, named: str
) -> None:
    with pytest.raises(UnsupportedOption, match=rf"{container} cannot be made at {rate}.*{named}") as caught:
        check(AudioFormat(container, rate))
    assert caught.value.param == "sample_rate"
