"""Audio files: formats by name and suffix, and files that are whole or not there."""

from __future__ import annotations

import io
import os
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hearsay.cli.say import audio_files
from hearsay.cli.say.audio_files import SUFFIXES, Format
from hearsay.errors import UnsupportedOption
from hearsay.media.encoding import AudioEncoder
from hearsay.media.formats import AudioFormat, Container, Encoding


def test_sizes_that_a_header_cannot_hold_stay_unknown() -> None:
    wanted = audio_files.output_format(Format.WAV, voice_rate=8000)

    class Huge(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return 5 << 30 if whence == io.SEEK_END else super().seek(offset, whence)

    file = Huge()
    audio_files._write_length(file, wanted)
    assert file.getvalue()[4:8] == file.getvalue()[40:44] == b"\xff\xff\xff\xff"


def test_a_flac_file_states_its_length(tmp_path: Path) -> None:
    wanted = audio_files.output_format(Format.FLAC, voice_rate=22_050)
    encoder = AudioEncoder(wanted, source_rate=22_050)
    path = tmp_path / "sound.flac"
    audio_files.write(path, (encoder.feed(np.zeros(10_000, np.int16)), encoder.finish()), wanted)
    assert int.from_bytes(path.read_bytes()[21:26], "big") & (1 << 36) - 1 == 10_000


@pytest.mark.parametrize("text", ["mp3", ".mp3", " MP3 "])
def test_formats_are_parsed_with_or_without_a_dot(text: str) -> None:
    assert audio_files.parse_format(text) is Format.MP3
    with pytest.raises(ValueError, match="pdf"):
        audio_files.parse_format("pdf")


def test_suffixes_tell_formats_in_any_case() -> None:
    assert audio_files.format_from_suffix(Path("a.b/SPEECH.OGA")) is Format.OGG
    assert {SUFFIXES[f".{kind}"] for kind in Format} == set(Format)
    for name in ("speech", "speech.xyz", ".mp3"):
        with pytest.raises(ValueError, match="does not tell a format"):
            audio_files.format_from_suffix(Path(name))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Format.WAV, AudioFormat(Container.WAV, 22_050)),
        (Format.PCM, AudioFormat(Container.RAW, 22_050)),
        (Format.MULAW, AudioFormat(Container.RAW, 8000, Encoding.MULAW)),
        (Format.OGG, AudioFormat(Container.OGG, 48_000)),
        (Format.OPUS, AudioFormat(Container.OPUS, 24_000)),
        (Format.MP3, AudioFormat(Container.MP3, 22_050)),
    ],
)
def test_a_format_has_the_rate_that_suits_it_and_the_voice(kind: Format, expected: AudioFormat) -> None:
    assert audio_files.output_format(kind, voice_rate=22_050) == expected


def test_a_rate_that_is_asked_for_is_taken_or_refused() -> None:
    assert audio_files.output_format(Format.OGG, 22_050, sample_rate=16_000).sample_rate == 16_000
    with pytest.raises(UnsupportedOption, match="opus cannot be made at 44100"):
        audio_files.output_format(Format.OPUS, 22_050, sample_rate=44_100)


def test_a_wav_file_states_its_length(tmp_path: Path) -> None:
    wanted = audio_files.output_format(Format.WAV, voice_rate=8000)
    encoder, path = AudioEncoder(wanted, source_rate=8000), tmp_path / "new" / "sound.wav"
    audio_files.write(path, (encoder.feed(np.zeros(500, np.int16)), encoder.finish()), wanted)
    with wave.open(str(path)) as file:
        assert (file.getnframes(), file.getframerate()) == (500, 8000)
    assert list(path.parent.iterdir()) == [path]


def test_what_breaks_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(b"old")

    def breaks() -> Iterator[bytes]:
        yield b"new"
        raise OSError("it broke")

    with pytest.raises(OSError, match="it broke"):
        audio_files.write(path, breaks(), AudioFormat(Container.RAW, 8000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_gets_audio_as_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    was_read = threading.Event()
    received: list[bytes] = []

    def read() -> None:
        with path.open("rb", buffering=0) as pipe:
            received.append(pipe.read(5))
            was_read.set()
            received.append(pipe.read())

    def made() -> Iterator[bytes]:
        yield b"first"
        assert was_read.wait(60)
        yield b"last"

    reader = threading.Thread(target=read)
    reader.start()
    audio_files.write(path, made(), AudioFormat(Container.RAW, 8000))
    reader.join()
    assert received == [b"first", b"last"]


def test_a_file_that_takes_little_at_a_time_gets_all() -> None:
    class Slow(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(memoryview(data)[:3]))

    file = Slow()
    audio_files.write_stream([b"one two", memoryview(b" three")], file)
    assert file.getvalue() == b"one two three"
