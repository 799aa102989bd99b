"""Speech as files: what they can be, how a name tells which, writing that never leaves half a file.

Knows neither voices nor the terminal. While sound is made nobody knows how long it will be, so a WAV or
FLAC begins with a header for a stream; here, where a file can be gone back in, the true length is put in at
the end.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import IO, BinaryIO

from hearsay.domain import BytesLike
from hearsay.media import wav
from hearsay.media.formats import Container, Encoding, SoundFormat, check, closest_rate


class Format(StrEnum):
    """What speech can be written as."""

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
"""What files of each format are called."""

_RATES = {Format.OGG: 48_000, Format.MULAW: 8_000}
"""Samples per second where the voice's own would not do: an Ogg file holds Opus at this rate only, which more
programs read than the FLAC of other rates, and bare mu-law is taken for telephone speech."""

_SAMPLE_BYTES = 2
"""Of a WAV file as it is written here."""


def parse_format(text: str) -> Format:
    """Read a format's name, with or without a dot. Raises: ValueError for an unknown one."""
    return Format(text.strip().lower().lstrip("."))


def format_of(path: Path) -> Format:
    """Tell by its name what a file is to be. Raises: ValueError where it does not tell."""
    found = SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ValueError(f"{path.name} does not tell a format")
    return found


def sound_format(kind: Format, *, voice_rate: int, sample_rate: int | None = None) -> SoundFormat:
    """Return how sound must be encoded for a format, at a rate that was asked for or that suits the voice.

    Raises: `UnsupportedOption` for a rate that the format cannot hold.
    """
    if kind is Format.MULAW:
        container, encoding = Container.RAW, Encoding.MULAW
    else:
        container = Container.RAW if kind is Format.PCM else Container(kind.value)
        encoding = Encoding.PCM_S16LE
    usual = _RATES.get(kind) or closest_rate(container, voice_rate)
    wanted = SoundFormat(container, sample_rate or usual, encoding)
    check(wanted)
    return wanted


def write(path: Path, wanted: SoundFormat, sound: Iterable[BytesLike]) -> None:
    """Write a file, which appears when it is whole; pipes and devices are written to as sound comes."""
    if path.exists() and not path.is_file():
        with path.open("wb", buffering=0) as device:
            pour(sound, device)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # No part of the target's name, which may be as long as names can be; no other writer's file.
    temporary = path.with_name(f".{os.getpid()}.part")
    try:
        with temporary.open("w+b") as file:
            pour(sound, file)
            _state_length(file, wanted)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def pour(sound: Iterable[BytesLike], file: IO[bytes]) -> None:
    """Write sound as it comes, to a pipe as well: whoever reads it hears the first word at once."""
    for data in sound:
        # What has no buffer may take less than all.
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        file.flush()


def _state_length(file: BinaryIO, wanted: SoundFormat) -> None:
    """Put the length of a whole WAV or FLAC file into the header that was written before it was known."""
    match wanted.container:
        case Container.WAV:
            n_bytes = file.seek(0, io.SEEK_END) - len(wav.header(wanted.encoding, wanted.sample_rate))
            head = wav.header(wanted.encoding, wanted.sample_rate, n_samples=n_bytes // _SAMPLE_BYTES)
        case Container.FLAC:
            # Loads libav, for which the other formats' names need not wait.
            from hearsay.media import libav_encoder

            head = libav_encoder.flac_head(file)
        case _:
            return
    file.seek(0)
    file.write(head)
