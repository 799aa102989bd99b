"""Whole files of every container: that they decode, to the right rate and length, to what went in."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.errors import UnsupportedOption
from hearsay.media import decoding
from hearsay.media.encoding import TEMPO_RANGE, AudioEncoder, AudioFormat, Container, Encoding
from hearsay.media.formats import RATES, bit_rates
from hearsay.media.resampling import RateTempoChanger
from tests.support.encoded_audio import SECONDS, SOURCE_RATE, encoded, heard, likeness, voice

CODED = [Container.MP3, Container.OPUS, Container.AAC, Container.FLAC, Container.OGG]
EVERY_FILE = [
    (container, rate)
    for container in Container
    if container is not Container.RAW
    for rate in (8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    if rate in RATES[container]
]


@pytest.mark.parametrize(("container", "rate"), EVERY_FILE)
def test_a_file_is_the_sound_that_went_in(container: Container, rate: int, tmp_path: Path) -> None:
    file = encoded(AudioFormat(container, rate), voice())
    played = heard(file)
    true_rate = 48_000 if container is Container.OPUS else rate
    assert (played.rate, played.channels) == (true_rate, 1)
    delayed = container in (Container.MP3, Container.AAC)
    assert len(played.samples) / true_rate == pytest.approx(SECONDS, abs=2304 / rate if delayed else 1e-4)
    same_rate = RateTempoChanger(source_rate=SOURCE_RATE, rate=true_rate, tempo=1.0)
    original = np.concatenate([*same_rate.feed(voice()), *same_rate.finish()]).astype(float)
    assert likeness(original, played.samples) > 0.98

    path = tmp_path / "sound"
    path.write_bytes(file)
    loaded = decoding.load(path)
    assert loaded.warnings == ()
    assert len(loaded.pcm) / 16_000 == pytest.approx(SECONDS, abs=2304 / rate + 0.01)


@pytest.mark.parametrize(
    ("container", "rate", "delay"),
    [
        (Container.MP3, 8000, 1105),
        (Container.MP3, 24_000, 1105),
        (Container.MP3, 44_100, 1105),
        (Container.AAC, 24_000, 1024),
        (Container.OPUS, 48_000, 0),
        (Container.FLAC, 24_000, 0),
    ],
)
def test_sound_begins_as_late_as_its_codec_makes_it(container: Container, rate: int, delay: int) -> None:
    pcm = voice(0.4, rate)[rate // 8 :]  # begins where it is loud
    played = heard(encoded(AudioFormat(container, rate), pcm, source_rate=rate)).samples
    onset = np.correlate(played[: 2 * rate // 10 + delay], pcm[: rate // 10].astype(float), "valid")
    assert onset.argmax() == delay


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize(("source_rate", "rate"), [(8000, 8000), (22_050, 8000)])
def test_bare_samples_are_those_of_the_wav_file(encoding: Encoding, source_rate: int, rate: int) -> None:
    pcm = voice(rate=source_rate)
    bare = encoded(AudioFormat(Container.RAW, rate, encoding), pcm, source_rate=source_rate)
    wav = encoded(AudioFormat(Container.WAV, rate, encoding), pcm, source_rate=source_rate)
    width = {Encoding.PCM_S16LE: 2, Encoding.PCM_F32LE: 4}.get(encoding, 1)
    assert len(bare) == width * len(pcm) * rate // source_rate
    assert wav.endswith(bare)
    assert len(wav) - len(bare) == (44 if encoding is Encoding.PCM_S16LE else 58)


def test_samples_at_their_own_rate_are_not_touched() -> None:
    pcm = voice()
    assert encoded(AudioFormat(Container.RAW, SOURCE_RATE), pcm) == pcm.tobytes()
    flac = encoded(AudioFormat(Container.FLAC, SOURCE_RATE), pcm)
    assert np.array_equal(heard(flac).samples * 32_768, pcm)


@pytest.mark.parametrize("tempo", [0.25, 0.5, 1.7, 5.0])
@pytest.mark.parametrize("container", [Container.WAV, Container.OPUS, Container.FLAC])
def test_a_tempo_changes_the_length(container: Container, tempo: float) -> None:
    played = heard(encoded(AudioFormat(container, 24_000), voice(4.0), tempo=tempo))
    assert len(played.samples) / played.rate == pytest.approx(4.0 / tempo, rel=0.001)


@settings(max_examples=6, deadline=None)
@given(blocks=st.lists(st.integers(1, 9000), min_size=1, max_size=6).map(tuple))
@pytest.mark.parametrize("container", list(Container))
def test_blocks_make_no_difference(container: Container, blocks: tuple[int, ...]) -> None:
    pcm = voice(0.5)
    wanted = AudioFormat(container, 24_000)
    assert encoded(wanted, pcm, blocks=blocks) == encoded(wanted, pcm, blocks=(len(pcm),))


@pytest.mark.parametrize(
    ("container", "rate", "most"),
    [
        (Container.MP3, 24_000, 0.08),
        (Container.MP3, 48_000, 0.05),
        (Container.OPUS, 24_000, 0.12),
        (Container.AAC, 24_000, 0.09),
        (Container.FLAC, 24_000, 0.04),
        (Container.OGG, 24_000, 0.09),
        (Container.OGG, 48_000, 0.12),
        (Container.WAV, 24_000, 0.01),
        (Container.RAW, 24_000, 0.01),
    ],
)
def test_sound_comes_out_early_and_steadily(container: Container, rate: int, most: float) -> None:
    encoder = AudioEncoder(AudioFormat(container, rate), source_rate=rate)
    pcm, step = voice(1.0, rate), rate // 200
    encoder.feed(pcm[:0])  # the header
    came = [n for n in range(0, rate, step) if encoder.feed(pcm[n : n + step])]
    assert (came[0] + step) / rate <= most
    assert max(np.diff(came)) / rate <= 0.07


@pytest.mark.parametrize("container", [Container.OPUS, Container.FLAC, Container.OGG, Container.WAV])
def test_a_header_needs_no_sound(container: Container) -> None:
    encoder = AudioEncoder(AudioFormat(container, 48_000), source_rate=SOURCE_RATE)
    head = encoder.feed(np.zeros(0, np.int16))
    assert head[:4] in (b"OggS", b"fLaC", b"RIFF")
    assert encoder.feed(np.zeros(0, np.int16)) == b""


@pytest.mark.parametrize("container", list(Container))
@pytest.mark.parametrize("tempo", [1.0, 2.0])
def test_no_sound_is_an_empty_file_or_nothing(container: Container, tempo: float) -> None:
    file = AudioEncoder(AudioFormat(container, 24_000), source_rate=SOURCE_RATE, tempo=tempo).finish()
    if container in (Container.WAV, Container.FLAC):
        assert len(heard(file).samples) == 0
    elif container in (Container.OPUS, Container.OGG):
        assert file.startswith(b"OggS")
    else:
        assert file == b""


@pytest.mark.parametrize("container", list(Container))
def test_one_sample_is_a_file(container: Container) -> None:
    file = encoded(AudioFormat(container, 24_000), np.ones(1, np.int16))
    if container is not Container.RAW:
        assert len(heard(file).samples) <= 6000


@pytest.mark.parametrize("container", CODED)
def test_memory_does_not_grow_with_the_sound(container: Container) -> None:
    encoder = AudioEncoder(AudioFormat(container, 8000), source_rate=11_025, tempo=1.1)
    part = voice(25.0, 11_025)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of a process is read where Linux shows it")
    sizes = []
    for _ in range(4):
        for start in range(0, len(part), 1000):
            encoder.feed(part[start : start + 1000])
        sizes.append(resident())
    # Kept samples would be 550 thousand bytes more every time; what else this process does comes and goes.
    assert min(np.diff(sizes)) < 300_000


def test_threads_do_not_hear_each_other() -> None:
    kinds = [AudioFormat(container, 24_000) for container in Container] * 2
    alone = [encoded(wanted, voice()) for wanted in kinds]
    with ThreadPoolExecutor(len(kinds)) as threads:
        assert list(threads.map(lambda wanted: encoded(wanted, voice()), kinds)) == alone


@pytest.mark.parametrize(
    ("container", "rate", "named"),
    [
        (Container.OPUS, 22_050, "one of 8000, 12000, 16000, 24000, 48000"),
        (Container.MP3, 9000, "one of 8000, 11025,"),
        (Container.WAV, 7999, "from 8000 to 48000"),
        (Container.RAW, 48_001, "from 8000 to 48000"),
    ],
)
def test_a_rate_that_a_container_lacks_is_refused_with_those_it_has(
    container: Container, rate: int, named: str
) -> None:
    with pytest.raises(UnsupportedOption, match=named) as caught:
        AudioEncoder(AudioFormat(container, rate), source_rate=SOURCE_RATE)
    assert caught.value.param == "sample_rate"


@pytest.mark.parametrize(
    ("container", "rate", "bit_rate"),
    [
        (container, rate, bit_rate)
        for container in (Container.MP3, Container.OPUS, Container.AAC)
        for rate in (8000, 24_000, 48_000)
        for bit_rate in (bit_rates(container, rate)[0], bit_rates(container, rate)[-1])
    ],
)
def test_the_lowest_and_the_highest_bit_rate_can_be_had(
    container: Container, rate: int, bit_rate: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        file = encoded(AudioFormat(container, rate, bit_rate=bit_rate), voice(0.5))
    assert len(heard(file).samples) > 0
    assert caplog.records == []
    if container is Container.MP3:
        head = int.from_bytes(file[:4], "big")
        assert head >> 12 & 0xF == bit_rates(container, rate).index(bit_rate) + 1


def test_a_bit_rate_is_kept_to() -> None:
    pcm = voice(4.0)
    for container, bit_rate in [(Container.MP3, 64_000), (Container.OPUS, 24_000), (Container.OPUS, 96_000)]:
        file = encoded(AudioFormat(container, 24_000, bit_rate=bit_rate), pcm)
        pages = 8 * 33 / 0.06 if container is Container.OPUS else 0
        assert len(file) * 8 / 4.0 == pytest.approx(bit_rate + pages, rel=0.05)


@pytest.mark.parametrize("tempo", [0.0, TEMPO_RANGE[0] - 0.01, TEMPO_RANGE[1] + 1, float("nan")])
def test_a_tempo_out_of_bounds_is_a_mistake(tempo: float) -> None:
    with pytest.raises(ValueError, match="tempo"):
        AudioEncoder(AudioFormat(Container.WAV, 24_000), source_rate=SOURCE_RATE, tempo=tempo)
