"""Audio files of synthesized speech: formats, suffixes, and writing that never leaves a partial file.

Knows neither voices nor the terminal. The length is unknown while audio is made, so WAV and FLAC begin with a
header for a stream; in a seekable file the header is replaced at the end.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from hearsay.domain import BytesLike
from hearsay.media import wav
from hearsay.media.formats import AudioFormat, Container, Encoding, check, closest_rate
from hearsay.storage.atomic import replacement


class Format(StrEnum):
    """The formats of audio files."""

    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    OGG = "ogg"
    WAV = "wav"
    PCM = "pcm"
    MULAW = "mulaw"


SUFFIXES = {
    **{f".{kind.value}": kind for kind in Format},
    ".oga": Format.OGG,
    ".wave": Format.WAV,
    ".raw": Format.PCM,
    ".ulaw": Format.MULAW,
    ".ul": Format.MULAW,
}
"""Suffixes of file names, with their formats."""

_RATES = {Format.OGG: 48_000, Format.MULAW: 8_000}
"""Sample rates, Hz, of formats that do not use the voice's: Ogg holds Opus at this rate only, which more
programs read than the FLAC of other rates; players assume telephone speech for headerless mu-law."""

_SAMPLE_BYTES = 2
"""Of a WAV file as written here."""


def parse_format(text: str) -> Format:
    """Parse a format's name, with or without a dot. Raises: ValueError for an unknown one."""
    return Format(text.strip().lower().lstrip("."))


def format_from_suffix(path: Path) -> Format:
    """Return the format of a file name. Raises: ValueError for an unknown suffix."""
    found = SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ValueError(f"{path.name} does not tell a format")
    return found


def output_format(kind: Format, voice_rate: int, *, sample_rate: int | None = None) -> AudioFormat:
    """Return the encoding of a format, at the requested rate or one that suits the voice.

    Raises: `UnsupportedOption` for a rate that the format cannot hold.
    """
    if kind is Format.MULAW:
        container, encoding = Container.RAW, Encoding.MULAW
    else:
        container = Container.RAW if kind is Format.PCM else Container(kind.value)
        encoding = Encoding.PCM_S16LE
    usual = _RATES.get(kind) or closest_rate(container, voice_rate)
    audio_format = AudioFormat(container, sample_rate or usual, encoding)
    check(audio_format)
    return audio_format


def write(path: Path, audio: Iterable[BytesLike], audio_format: AudioFormat) -> None:
    """Write a file, which appears when complete; pipes and devices receive the audio as it is made."""
    if path.exists() and not path.is_file():
        with path.open("wb", buffering=0) as device:
            write_stream(audio, device)
        return
    with replacement(path) as file:
        write_stream(audio, file)
        _write_length(file, audio_format)


def write_stream(audio: Iterable[BytesLike], file: IO[bytes]) -> None:
    """Write audio as it is made, without delay."""
    for data in audio:
        rest = memoryview(data)  # an unbuffered file may write less than all
        while rest:
            rest = rest[file.write(rest) :]
        file.flush()


def _write_length(file: BinaryIO, audio_format: AudioFormat) -> None:
    """Replace the stream header of a complete WAV or FLAC file by one with its length."""
    match audio_format.container:
        case Container.WAV:
            header = partial(wav.header, audio_format.encoding, audio_format.sample_rate)
            n_bytes = file.seek(0, io.SEEK_END) - len(header())
            head = header(n_samples=n_bytes // _SAMPLE_BYTES)
        case Container.FLAC:
            # Loads libav, which the other formats do not need.
            from hearsay.media import libav_encoder

            head = libav_encoder.flac_head(file)
        case _:
            return
    file.seek(0)
    file.write(head)
