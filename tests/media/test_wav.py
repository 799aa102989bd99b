"""WAV files and headerless samples: exact bytes, and readers that must reach the end."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
import pytest

from hearsay.media.formats import Encoding
from hearsay.media.wav import WavWriter, header, samples

PCM = np.array([0, 1, -1, 32_767, -32_768], np.int16)


def test_the_header_of_plain_samples_is_the_usual_44_bytes() -> None:
    assert header(Encoding.PCM_S16LE, 24_000) == (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0"
        b"data\xff\xff\xff\xff"
    )


def test_the_header_of_mulaw_has_its_longer_chunks() -> None:
    assert header(Encoding.MULAW, 8000) == (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x12\0\0\0\x07\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0\0\0"
        b"fact\x04\0\0\0\0\0\0\0data\xff\xff\xff\xff"
    )


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_known_length_is_stated_exactly(encoding: Encoding) -> None:
    body = samples(np.zeros(1000, np.int16), encoding)
    head = header(encoding, 16_000, n_samples=1000)
    assert int.from_bytes(head[4:8], "little") == len(head) - 8 + len(body)
    assert int.from_bytes(head[-4:], "little") == len(body)
    assert len(head) == len(header(encoding, 16_000))
    if encoding is not Encoding.PCM_S16LE:
        assert int.from_bytes(head[head.index(b"fact") + 8 :][:4], "little") == 1000


def test_what_is_too_long_for_the_fields_is_unknown_to_them() -> None:
    assert header(Encoding.PCM_S16LE, 8000, n_samples=2**31) == header(Encoding.PCM_S16LE, 8000)


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize("n_samples", [0, 1, 22_051])
def test_libav_reads_a_stream_to_its_end(encoding: Encoding, n_samples: int) -> None:
    pcm = np.random.default_rng(1).integers(-32_768, 32_767, n_samples).astype(np.int16)
    waves = WavWriter(encoding, 22_050, headerless=False)
    file = b"".join((waves.feed(pcm[:7]), waves.feed(pcm[7:]), waves.finish()))
    with av.open(io.BytesIO(file), "r") as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.codec_context.name, stream.channels) == (22_050, encoding, 1)
        blocks = [frame.to_ndarray()[0] for frame in container.decode(stream)]
        seconds = (container.duration or 0) / 1_000_000
    heard = np.concatenate([np.zeros(0, np.int16), *blocks])
    assert len(heard) == n_samples
    assert seconds == pytest.approx(n_samples / 22_050, abs=0.01)
    if encoding is Encoding.PCM_S16LE:
        assert (heard == pcm).all()
    if encoding is Encoding.PCM_F32LE:
        assert (heard * 32_768.0 == pcm).all()


def test_the_standard_library_reads_a_stream_to_its_end() -> None:
    waves = WavWriter(Encoding.PCM_S16LE, 22_050, headerless=False)
    with wave.open(io.BytesIO(b"".join((waves.feed(PCM), waves.finish())))) as reader:
        assert reader.getframerate() == 22_050
        assert reader.readframes(reader.getnframes()) == PCM.tobytes()


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_file_without_samples_is_a_header(encoding: Encoding) -> None:
    assert WavWriter(encoding, 8000, headerless=False).finish() == header(encoding, 8000)
    assert WavWriter(encoding, 8000, headerless=True).finish() == b""


def test_samples_are_least_significant_byte_first() -> None:
    assert samples(PCM[:3], Encoding.PCM_S16LE) == b"\0\0\x01\0\xff\xff"
    assert samples(PCM[3:], Encoding.PCM_F32LE) == b"\0\xfe\x7f\x3f\0\0\x80\xbf"
    assert samples(PCM[:3], Encoding.MULAW) == b"\xff\xff\x7f"
    assert samples(PCM[:3], Encoding.ALAW) == b"\xd5\xd5\x55"
