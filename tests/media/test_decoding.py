"""Decoding and encoding: every container, exact lengths, damage reported, no other file opened."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearsay.domain import SAMPLE_RATE, Audio, Samples
from hearsay.errors import AudioTooShort, InvalidAudio
from hearsay.media import decoding
from hearsay.samples import HELLO
from tests.support.recordings import KINDS, Kind, tone, write

SECONDS = 4.0
LONGER = 0.075
"""Encoders of compressed audio add at most this much before and after (AAC: two frames of 1,024 samples)."""


@pytest.fixture(scope="session")
def media() -> dict[str, bytes]:
    """A tone of 440 Hz in every kind of file."""
    return {name: write(kind, tone(SECONDS, rate=kind.rate)) for name, kind in KINDS.items()}


def load(data: bytes, folder: Path, **options: float) -> Audio:
    path = folder / "upload"
    path.write_bytes(data)
    return decoding.load(path, **options)


def loudest(samples: Samples) -> float:
    """Find the frequency that is strongest in a recording, in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


def riff(data: bytes, *, channels: int, rate: int, width: int = 2) -> bytes:
    """Wrap samples in a plain WAV header, which names no speakers."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return buffer.getvalue()


@pytest.mark.parametrize("name", KINDS)
def test_decodes_every_kind(name: str, media: dict[str, bytes], tmp_path: Path) -> None:
    heard = load(media[name], tmp_path)
    assert heard.warnings == ()
    assert SECONDS - 0.01 <= heard.duration <= SECONDS + LONGER
    middle = heard.samples(SAMPLE_RATE // 2, 3 * SAMPLE_RATE // 2)
    assert loudest(middle) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize("name", [name for name in KINDS if KINDS[name].codec.startswith(("pcm", "flac"))])
def test_lossless_kinds_have_exact_lengths(name: str, media: dict[str, bytes], tmp_path: Path) -> None:
    assert load(media[name], tmp_path).n_samples == SECONDS * SAMPLE_RATE


@pytest.mark.parametrize("name", ["mp3", "ogg-opus", "webm"])
def test_kinds_that_tell_their_padding_have_exact_lengths(
    name: str, media: dict[str, bytes], tmp_path: Path
) -> None:
    assert load(media[name], tmp_path).n_samples == pytest.approx(SECONDS * SAMPLE_RATE, abs=1)


def test_tells_container_and_codec(media: dict[str, bytes], tmp_path: Path) -> None:
    source, pcm = tmp_path / "a", tmp_path / "b"
    source.write_bytes(media["webm"])
    decoded = decoding.decode(source, pcm)
    assert (decoded.container, decoded.codec) == ("matroska,webm", "opus")
    assert pcm.stat().st_size == 2 * decoded.n_samples


@pytest.mark.parametrize("name", ["recording", "recording.wav", "recording.m3u8", "a:b?c*%d.txt"])
def test_sniffs_and_ignores_the_name(name: str, media: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(media["mp3"])
    assert decoding.load(path).duration == pytest.approx(SECONDS, abs=0.01)


@pytest.mark.parametrize("name", ["mp4", "mka", "mkv-video"])
def test_takes_the_first_of_many_tracks(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    data = write(kind, tone(1.0, rate=kind.rate), tracks=3)
    assert np.abs(load(data, tmp_path).samples()).max() > 0.4


def test_film_without_sound_is_refused(tmp_path: Path) -> None:
    kind = KINDS["mp4-video"]
    with pytest.raises(InvalidAudio) as refused:
        load(write(kind, tone(1.0, rate=kind.rate), tracks=0), tmp_path)
    assert refused.value.code == "no_audio_track"


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7, 16])
def test_mixes_channels_that_have_no_place(channels: int, tmp_path: Path) -> None:
    sound = np.repeat((tone(1.0) * 32767).astype("<i2")[:, None], channels, axis=1)
    heard = load(riff(sound.tobytes(), channels=channels, rate=SAMPLE_RATE), tmp_path)
    assert heard.n_samples == SAMPLE_RATE
    assert np.abs(heard.samples() - tone(1.0)).max() < 0.001


def test_mixes_more_planes_than_the_library_can_count(tmp_path: Path) -> None:
    kind = Kind("ogg", "libopus", 48_000, "16 channels", encoding=(("mapping_family", "255"),))
    heard = load(write(kind, tone(1.0, rate=kind.rate)), tmp_path)
    assert loudest(heard.samples()) == pytest.approx(440, abs=2)
    assert np.abs(heard.samples()).max() == pytest.approx(0.5, abs=0.05)


def test_mixes_unsigned_channels_that_have_no_place(tmp_path: Path) -> None:
    sound = np.repeat((tone(1.0) * 127 + 128).astype("u1")[:, None], 3, axis=1)
    heard = load(riff(sound.tobytes(), channels=3, rate=SAMPLE_RATE, width=1), tmp_path)
    assert np.abs(heard.samples() - tone(1.0)).max() < 0.02


def test_stereo_becomes_the_mean_of_both(tmp_path: Path) -> None:
    sides = np.stack([tone(1.0), np.zeros(SAMPLE_RATE, np.float32)], axis=1)
    heard = load(riff((sides * 32767).astype("<i2").tobytes(), channels=2, rate=SAMPLE_RATE), tmp_path)
    assert np.abs(heard.samples() - tone(1.0) / 2).max() < 0.001


@pytest.mark.parametrize("rate", [4_000, 5_512, 8_000, 11_025, 22_050, 44_056, 88_200, 192_000])
def test_resamples_any_rate(rate: int, tmp_path: Path) -> None:
    sound = (tone(1.0, rate=rate) * 32767).astype("<i2")
    heard = load(riff(sound.tobytes(), channels=1, rate=rate), tmp_path)
    assert heard.duration == pytest.approx(len(sound) / rate, abs=0.001)
    assert loudest(heard.samples()) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("name", ["mp3-bare", "ogg-opus", "aac"])
def test_one_stream_after_another_is_one_recording(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    changed = kind.layout if name == "ogg-opus" else "mono"
    other = Kind(kind.muxer, kind.codec, 48_000, changed, options=kind.options)
    data = write(kind, tone(1.0, 440, kind.rate)) + write(other, tone(1.0, 1000, other.rate))
    heard = load(data, tmp_path)
    assert heard.duration == pytest.approx(2.0, abs=0.15)
    assert loudest(heard.samples(2_000, 14_000)) == pytest.approx(440, abs=4)
    assert loudest(heard.samples(20_000, 30_000)) == pytest.approx(1000, abs=4)


def test_a_hundredth_of_a_second_is_enough_and_less_is_not(tmp_path: Path) -> None:
    sound = (tone(0.01) * 32767).astype("<i2").tobytes()
    assert load(riff(sound, channels=1, rate=SAMPLE_RATE), tmp_path).duration == 0.01
    for short in (sound[:-2], b""):
        with pytest.raises(AudioTooShort):
            load(riff(short, channels=1, rate=SAMPLE_RATE), tmp_path)


def test_too_long_is_refused_before_the_end(tmp_path: Path) -> None:
    data = riff(bytes(2 * SAMPLE_RATE * 60), channels=1, rate=SAMPLE_RATE)
    assert load(data, tmp_path, max_duration=60).duration == 60
    path, pcm = tmp_path / "upload", tmp_path / "pcm"
    with pytest.raises(InvalidAudio, match="longer than 2 seconds") as refused:
        decoding.decode(path, pcm, max_duration=2)
    assert refused.value.code == "audio_too_long"
    assert pcm.stat().st_size < 2 * SAMPLE_RATE * 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"Dear server, please write this down for me.\n", "text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100), "picture"),
        (bytes(4000), "not a recording"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "damaged"),
        (b"#EXTM3U\n#EXTINF:1,\nother.wav\n", "playlist"),
        (b"ffconcat version 1.0\nfile other.wav\n", "playlist"),
        (b"[playlist]\nFile1=other.wav\n", "playlist"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><MPD></MPD>", "playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n", "playlist"),
        (b"file:///etc/passwd\n", "playlist"),
    ],
)
def test_refuses_what_is_no_recording_and_says_why(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidAudio, match=reason):
        load(data, tmp_path)


PLAYLISTS = {
    "list.ffconcat": "ffconcat version 1.0\nfile '{name}'\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n",
    "list.sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\na=control:{name}\r\n",
    "list.mpd": "<?xml version='1.0'?><MPD><Period><BaseURL>{name}</BaseURL></Period></MPD>",
    "list.pls": "[playlist]\nFile1={name}\nNumberOfEntries=1\n",
    "list.lrc": "concat:{name}|{name}",
}


@pytest.mark.parametrize("list_name", PLAYLISTS)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_playlist_never_opens_another_file(
    list_name: str, absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary.wav"
    canary.write_bytes(decoding.encode(tone(1.0), "wav"))
    os.utime(canary, (0, canary.stat().st_mtime))
    playlist = tmp_path / list_name
    playlist.write_text(PLAYLISTS[list_name].format(name=canary if absolute else canary.name))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidAudio):
        decoding.load(playlist)
    assert canary.stat().st_atime == 0


def test_the_canary_would_sing(tmp_path: Path) -> None:
    """The library by itself follows such a list: the test above can fail."""
    (tmp_path / "canary.wav").write_bytes(decoding.encode(tone(1.0), "wav"))
    playlist = tmp_path / "list.ffconcat"
    playlist.write_text(PLAYLISTS["list.ffconcat"].format(name="canary.wav"))
    with av.open(str(playlist)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == SAMPLE_RATE


def test_an_mp4_with_outside_references_does_not_follow_them(tmp_path: Path) -> None:
    canary = tmp_path / "canary.m4a"
    canary.write_bytes(write(KINDS["m4a"], tone(1.0, rate=44_100)))
    os.utime(canary, (0, canary.stat().st_mtime))
    inside = b"\x00\x00\x00\x0curl \x00\x00\x00\x01"
    path = str(canary).encode()
    outside = (len(path) + 13).to_bytes(4, "big") + b"url \x00\x00\x00\x00" + path + b"\x00"
    data = canary.read_bytes()
    assert inside in data
    with pytest.raises(InvalidAudio):
        load(data.replace(inside, outside), tmp_path)


CUT = [name for name in KINDS if name not in ("mp3-bare", "mpga", "mpeg", "mpeg-video", "ac3", "ts")]
"""Formats in which a missing end is detectable; the others are rows of frames and no more."""


@pytest.mark.parametrize("name", CUT)
def test_a_file_cut_short_gives_what_is_there_and_says_so(
    name: str, media: dict[str, bytes], tmp_path: Path
) -> None:
    data = media[name]
    try:
        heard = load(data[: len(data) * 6 // 10], tmp_path)
    except InvalidAudio as refused:
        assert "MP4 without its index" in refused.message
        assert KINDS[name].container == "mov"
        return
    assert 1.5 < heard.duration < 3.0
    assert any("cut short" in warning or "left out" in warning for warning in heard.warnings)


@pytest.mark.parametrize(
    "name", ["mp3", "flac", "m4a-faststart", "ogg-opus", "ogg-vorbis", "ts", "aac", "wma"]
)
def test_a_file_damaged_inside_gives_what_is_there_and_says_so(
    name: str, media: dict[str, bytes], tmp_path: Path
) -> None:
    data = bytearray(media[name])
    data[len(data) // 2 : len(data) * 6 // 10] = bytes(len(data) * 6 // 10 - len(data) // 2)
    heard = load(bytes(data), tmp_path)
    assert heard.duration > 3.5
    assert heard.warnings


@pytest.mark.parametrize("name", ["flac", "mkv-video", "ts"])
def test_silence_stands_for_a_hole_so_that_times_stay_right(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    sound = np.concatenate([tone(3.0, 440, kind.rate), tone(1.0, 1000, kind.rate)])
    data = bytearray(write(kind, sound))
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    heard = load(bytes(data), tmp_path)
    assert heard.duration == pytest.approx(4.0, abs=LONGER)
    assert any("silence stands for them" in warning for warning in heard.warnings)
    assert loudest(heard.samples(50_000, 62_000)) == pytest.approx(1000, abs=4)
    assert loudest(heard.samples(33_000, 46_000)) == pytest.approx(440, abs=4)


@pytest.mark.parametrize("container", decoding.CONTAINERS)
@pytest.mark.parametrize("n_samples", [160, 16_000, 40_001])
def test_what_is_encoded_can_be_decoded(container: str, n_samples: int, tmp_path: Path) -> None:
    sound = tone(n_samples / SAMPLE_RATE)
    heard = load(decoding.encode(sound, container), tmp_path)
    assert heard.warnings == ()
    if decoding.CONTAINERS[container][2] is None:
        assert heard.n_samples == n_samples
        assert np.abs(heard.samples() - sound).max() <= 2**-15
    else:
        assert 0 <= heard.duration - n_samples / SAMPLE_RATE <= 0.2


def test_encoding_clips_instead_of_wrapping(tmp_path: Path) -> None:
    heard = load(decoding.encode(np.array([2.0, -2.0] * 100, np.float32), "wav"), tmp_path)
    assert heard.samples().max() == pytest.approx(1.0, abs=2**-14)
    assert heard.samples().min() == -1.0


def test_the_sample_recording_is_read_whole() -> None:
    heard = decoding.load(HELLO)
    assert (heard.n_samples, heard.warnings) == (105_600, ())


def test_long_recordings_are_mapped_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    heard = load(riff(bytes(2 * SAMPLE_RATE * 200), channels=1, rate=SAMPLE_RATE), tmp_path)
    assert heard.duration == 200
    assert not heard.pcm.flags.owndata
    assert not heard.pcm.flags.writeable
    assert list(spool.iterdir()) == []
    assert not heard.samples(0, 1000).any()


@pytest.mark.slow
def test_hours_of_sound_need_no_more_memory_than_minutes(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(riff(bytes([128]) * (3 * 3600 * 8000), channels=1, rate=8000, width=1))
    script = (
        "import resource, sys; from pathlib import Path; from hearsay.media import decoding as audio\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decoded = audio.decode(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(decoded.n_samples, (after - before) // 1024)"
    )
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "pcm")]
    n_samples, grown_mib = map(int, subprocess.check_output(command).split())
    assert n_samples == 3 * 3600 * SAMPLE_RATE
    assert grown_mib < 40


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_recording_or_refused(tmp_path: Path, data: bytes) -> None:
    for head in (b"", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"OggS\x00", b"fLaC\x00", b"ID3\x04\x00"):
        try:
            heard = load(head + data, tmp_path)
        except InvalidAudio as refused:
            assert refused.message
        else:
            assert heard.duration >= 0.01
