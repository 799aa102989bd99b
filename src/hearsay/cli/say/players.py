"""Programs that make sound audible: which there are, what each must be told, which one is taken.

Knows nothing of where the sound comes from. Most take it as it is made; a few want a whole file, so they
begin when the last word is there. Sources: the manual pages of the programs. (pw-play reads from standard
input too, but what it expects there differs from version to version.)
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

from hearsay.cli.say.sound_files import pour
from hearsay.domain import BytesLike
from hearsay.errors import HearsayError
from hearsay.media.formats import Container, SoundFormat

REMEDY = "`--output speech.wav` writes a file instead."


class Takes(StrEnum):
    """How a player wants its sound."""

    SAMPLES = "samples"
    """Bare 16-bit samples on its standard input."""
    WAV = "wav"
    """A WAV stream on its standard input."""
    FILE = "file"
    """A WAV file, whose name comes after the other arguments."""


@dataclass(frozen=True, slots=True)
class Player:
    """A program that plays one channel of sound."""

    program: str
    takes: Takes
    arguments: tuple[str, ...] = ()
    """In these, `{rate}` is the number of samples per second."""
    confesses: bool = True
    """Whether its exit status says that it could not play."""

    def command(self, rate: int) -> list[str]:
        """Return its command line, without the name of a file."""
        return [self.program, *(text.format(rate=rate) for text in self.arguments)]

    def sound_format(self, rate: int) -> SoundFormat:
        """Return the format `play` takes: samples for a file, whose header is written when all are there."""
        return SoundFormat(Container.WAV if self.takes is Takes.WAV else Container.RAW, rate)


PLAYERS = (
    Player("paplay", Takes.SAMPLES, ("--raw", "--format=s16le", "--channels=1", "--rate={rate}")),
    Player("aplay", Takes.SAMPLES, ("-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "{rate}", "-")),
    Player("mpv", Takes.WAV, ("--no-video", "--no-terminal", "--no-config", "-")),
    Player(
        "play",
        Takes.SAMPLES,
        ("-q", "-t", "raw", "-e", "signed-integer", "-b", "16", "-L", "-c", "1", "-r", "{rate}", "-"),
    ),
    Player(
        "ffplay",
        Takes.WAV,
        ("-nodisp", "-autoexit", "-loglevel", "error", "-f", "wav", "-i", "pipe:0"),
        confesses=False,
    ),
    Player("pw-play", Takes.FILE),
    Player("afplay", Takes.FILE),
)
"""In the order in which they are preferred: those first that begin with the first word."""

_SAMPLE_BYTES = 2
_SOONEST = 0.8
"""Part of a sound's length before which nobody can have played it to its end."""


def choose(find: Callable[[str], str | None] = shutil.which) -> Player:
    """Return the first player that this machine has.

    Raises: `HearsayError` that says what else can be done.
    """
    for player in PLAYERS:
        if find(player.program) is not None:
            return player
    names = ", ".join(player.program for player in PLAYERS)
    raise HearsayError(f"No program that plays sound was found (looked for {names}). {REMEDY}")


def play(player: Player, sound: Iterable[BytesLike], rate: int) -> None:
    """Play sound in the format that the player named. Raises: `HearsayError` where the player fails.

    Whatever ends this early, Ctrl-C among it, ends the player too.
    """
    if player.takes is Takes.FILE:
        with _as_file(sound, rate) as path:
            _stream([*player.command(rate), str(path)], ())
        return
    meter, begin = _Meter(sound), time.monotonic()
    _stream(player.command(rate), meter)
    if not player.confesses and time.monotonic() - begin < _SOONEST * meter.n_bytes / _SAMPLE_BYTES / rate:
        raise HearsayError(f"{player.program} could not play the sound. {REMEDY}")


class _Meter:
    """Sound passing by; iterate once."""

    def __init__(self, sound: Iterable[BytesLike]) -> None:
        self._sound = sound
        self.n_bytes = 0

    def __iter__(self) -> Iterator[BytesLike]:
        for data in self._sound:
            self.n_bytes += len(data)
            yield data


def _stream(command: list[str], sound: Iterable[BytesLike]) -> None:
    # Without a buffer, so that closing the pipe never waits for a player that has stopped reading.
    try:
        process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=_environment()
        )
    except OSError as error:
        raise HearsayError(f"{command[0]} could not be started: {error.strerror}. {REMEDY}") from error
    try:
        assert process.stdin is not None
        heard_all = _feed(process.stdin, sound)
        status = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if status or not heard_all:
        raise HearsayError(f"{command[0]} could not play the sound (exit status {status}). {REMEDY}")


def _feed(pipe: IO[bytes], sound: Iterable[BytesLike]) -> bool:
    """Write everything as it comes; tell whether the player took it all."""
    try:
        with pipe:
            pour(sound, pipe)
    except BrokenPipeError:
        return False
    return True


@contextmanager
def _as_file(sound: Iterable[BytesLike], rate: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hearsay-") as folder:
        path = Path(folder) / "speech.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
            for data in sound:
                file.writeframes(data)
        yield path


def _environment() -> dict[str, str]:
    """Keep our own settings, keys among them, to ourselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEARSAY_")}
