"""Audio players: known programs, their arguments, and playback through the first one installed.

Does not know where the audio comes from. Most play a stream; a few need a complete file, so they start after
the last sample is made. Sources: the manual pages of the programs. (pw-play reads standard input too, but the
format that it expects there differs between versions.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from hearsay.cli.say.audio_files import write_stream
from hearsay.domain import BytesLike
from hearsay.errors import HearsayError
from hearsay.media.formats import AudioFormat, Container

REMEDY = "`--output speech.wav` writes a file instead."


class Input(StrEnum):
    """How a player receives audio."""

    SAMPLES = "samples"
    """Headerless 16-bit samples on standard input."""
    WAV = "wav"
    """A WAV stream on standard input."""
    FILE = "file"
    """A WAV file, named by the last argument."""


@dataclass(frozen=True, slots=True)
class Player:
    """A program that plays mono audio."""

    program: str
    input: Input
    arguments: str = ""
    """Separated by spaces; `{rate}` stands for the sample rate, Hz."""
    reports_failure: bool = True
    """Whether its exit status tells a failure."""

    def command(self, rate: int) -> list[str]:
        """Return the command line, without the file's name."""
        return [self.program, *self.arguments.format(rate=rate).split()]

    def audio_format(self, rate: int) -> AudioFormat:
        """Return the format that `play` expects; a file gets its WAV header there."""
        return AudioFormat(Container.WAV if self.input is Input.WAV else Container.RAW, rate)


PLAYERS = (
    Player("paplay", Input.SAMPLES, "--raw --format=s16le --channels=1 --rate={rate}"),
    Player("aplay", Input.SAMPLES, "-q -t raw -f S16_LE -c 1 -r {rate} -"),
    Player("mpv", Input.WAV, "--no-video --no-terminal --no-config -"),
    Player("play", Input.SAMPLES, "-q -t raw -e signed-integer -b 16 -L -c 1 -r {rate} -"),
    Player("ffplay", Input.WAV, "-nodisp -autoexit -loglevel error -f wav -i pipe:0", reports_failure=False),
    Player("pw-play", Input.FILE),
    Player("afplay", Input.FILE),
)
"""In order of preference: those that play a stream first."""

_SAMPLE_BYTES = 2
_MIN_PLAYED_FRACTION = 0.8
"""Fraction of the audio's duration before which playback cannot have ended."""


def find_player(find: Callable[[str], str | None] = shutil.which) -> Player:
    """Return the first player that is installed. Raises: `HearsayError` with an alternative."""
    for player in PLAYERS:
        if find(player.program) is not None:
            return player
    names = ", ".join(player.program for player in PLAYERS)
    raise HearsayError(f"No program that plays sound was found (looked for {names}). {REMEDY}")


def play(player: Player, audio: Iterable[BytesLike], rate: int) -> None:
    """Play audio in the format of `Player.audio_format`. Raises: `HearsayError` where the player fails.

    Any exception, Ctrl-C included, ends the player too.
    """
    if player.input is Input.FILE:
        with _temporary_wav(audio, rate) as path:
            _run([*player.command(rate), str(path)], ())
        return
    n_bytes, started = 0, time.monotonic()

    def counted() -> Iterator[BytesLike]:
        nonlocal n_bytes
        for data in audio:
            n_bytes += len(data)
            yield data

    _run(player.command(rate), counted())
    shortest = _MIN_PLAYED_FRACTION * n_bytes / _SAMPLE_BYTES / rate
    if not player.reports_failure and time.monotonic() - started < shortest:
        raise HearsayError(f"{player.program} could not play the sound. {REMEDY}")


def _run(command: list[str], audio: Iterable[BytesLike]) -> None:
    # Unbuffered, so that closing the pipe never waits for a player that has stopped reading.
    try:
        process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=_environment()
        )
    except OSError as error:
        raise HearsayError(f"{command[0]} could not be started: {error.strerror}. {REMEDY}") from error
    try:
        assert process.stdin is not None
        complete = _write(process.stdin, audio)
        status = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if status or not complete:
        raise HearsayError(f"{command[0]} could not play the sound (exit status {status}). {REMEDY}")


def _write(pipe: IO[bytes], audio: Iterable[BytesLike]) -> bool:
    """Write audio as it is made; return whether the player read all of it."""
    try:
        with pipe:
            write_stream(audio, pipe)
    except BrokenPipeError:
        return False
    return True


@contextmanager
def _temporary_wav(audio: Iterable[BytesLike], rate: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hearsay-") as folder:
        path = Path(folder) / "speech.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
            for data in audio:
                file.writeframes(data)
        yield path


def _environment() -> dict[str, str]:
    """Return the environment without Hearsay's settings and keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEARSAY_")}
