"""libav's containers: what an Ogg file holds, the length in FLAC's header, a codec that is missing."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from hearsay.errors import UnsupportedOption
from hearsay.media import libav_encoder
from hearsay.media.encoding import AudioEncoder, AudioFormat, Container
from tests.support.encoded_audio import SOURCE_RATE, encoded, heard, voice


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_an_ogg_file_plays_at_the_rate_that_was_asked_for(rate: int) -> None:
    played = heard(encoded(AudioFormat(Container.OGG, rate), voice()))
    assert (played.rate, played.codec) == (rate, "opus" if rate == 48_000 else "flac")


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
@pytest.mark.parametrize("n_samples", [10, 5000, 33_075])
def test_the_head_of_a_whole_flac_file_states_its_length(rate: int, n_samples: int) -> None:
    pcm = voice(rate=SOURCE_RATE)[:n_samples]
    file = encoded(AudioFormat(Container.FLAC, rate), pcm)
    head = libav_encoder.flac_head(io.BytesIO(file))
    assert head[:21] == file[:21]
    fields = int.from_bytes(head[18:], "big")
    assert fields >> 44 == rate
    assert fields & (1 << 36) - 1 == round(n_samples * rate / SOURCE_RATE)
    whole = head + file[len(head) :]
    assert len(whole) == len(file)
    assert np.array_equal(heard(whole).samples, heard(file).samples)
    with av.open(io.BytesIO(whole), "r") as container:
        assert container.duration == pytest.approx(1e6 * n_samples / SOURCE_RATE, abs=200)


@pytest.mark.parametrize("file", [b"", b"fLaC", b"RIFF" + bytes(100)])
def test_the_head_of_another_file_is_a_mistake(file: bytes) -> None:
    with pytest.raises(ValueError, match="no FLAC file"):
        libav_encoder.flac_head(io.BytesIO(file))


def test_a_container_that_libav_was_built_without_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = libav_encoder._CodecSettings("ogg", "libunheard", {}, {})
    monkeypatch.setattr(libav_encoder, "_codec_settings", lambda container, rate: missing)
    with pytest.raises(UnsupportedOption, match="opus cannot be made: libav has no libunheard") as caught:
        AudioEncoder(AudioFormat(Container.OPUS, 24_000), source_rate=SOURCE_RATE)
    assert caught.value.param == "response_format"


@pytest.mark.parametrize("container", [Container.MP3, Container.WAV, Container.RAW])
def test_what_others_write_needs_no_codec_here(container: Container) -> None:
    with pytest.raises(ValueError, match=f"{container} needs no codec"):
        libav_encoder.LibavWriter(AudioFormat(container, 24_000))


@pytest.mark.parametrize("container", [Container.OPUS, Container.AAC, Container.FLAC, Container.OGG])
def test_equal_sound_gives_equal_bytes(container: Container) -> None:
    def file() -> bytes:
        writer = libav_encoder.LibavWriter(AudioFormat(container, 24_000))
        return writer.feed(voice(0.5, 24_000)) + writer.finish()

    assert file() == file()


@pytest.mark.parametrize("rate", [8000, 24_000])
def test_a_flac_file_that_is_not_rewritten_declares_no_length(rate: int) -> None:
    file = encoded(AudioFormat(Container.FLAC, rate), voice())
    assert int.from_bytes(file[18:26], "big") & (1 << 36) - 1 == 0
