"""`hearsay say`: a text in, its sound out: to a player, a file or standard output.

Knows the options and what they mean together; who speaks is decided in `casting`, what is heard is made in
`synthesis`. Text from standard input is spoken while it comes, however long it is.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Protocol, cast

import typer

from hearsay.cli import EXIT_INTERRUPTED, terminal
from hearsay.errors import HearsayError

if TYPE_CHECKING:
    import io

    from hearsay.cli.say.players import Player
    from hearsay.cli.say.sound_files import Format
    from hearsay.domain import BytesLike
    from hearsay.media.formats import SoundFormat
    from hearsay.models.catalogue import Catalogue
    from hearsay.tts.voice_selection import VoiceChoice

STREAM = "-"
"""Standard input as the text, standard output as the file."""

_BLOCK = 1 << 16


def _complete_format(incomplete: str) -> list[str]:
    from hearsay.cli.say.sound_files import Format

    return [kind.value for kind in Format if kind.value.startswith(incomplete)]


def say(
    text: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT", help="What to say; - reads it from standard input.", show_default=False
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write this file instead of playing; - is standard output."
        ),
    ] = None,
    voice: Annotated[
        str | None,
        typer.Option(
            "--voice",
            "-v",
            help="Voice to speak in; `hearsay voices` shows them.",
            autocompletion=terminal.complete_voice,
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.25, max=5.0, help="How many times as fast as the voice by itself.")
    ] = 1.0,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="mp3, opus, aac, flac, ogg, wav, pcm or mulaw; default: by the file's name.",
            autocompletion=_complete_format,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model to use; default: the best one that is installed.",
            autocompletion=terminal.complete_speaker,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            help="Language of the text, such as en or german; default: the voice's, or found out.",
            autocompletion=terminal.complete_language,
        ),
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            min=8000,
            max=48_000,
            help="Samples per second of the file; default: what suits voice and format.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing on standard error but errors.")
    ] = False,
) -> None:
    """Say a text aloud, or write it to a sound file.

    The words of one text may be several arguments. Text from standard input is spoken while it is still
    being read, so it may be a whole book. Without --output a program that plays sound must be installed.

    Exit status: 0 done, 1 failed, 2 a mistake in the command, 3 no such model, 130 interrupted.

    Examples:

        hearsay say Good morning

        hearsay say "Guten Morgen" --output morning.mp3

        hearsay say - --voice af_heart --speed 1.2 --output book.opus < book.txt

        hearsay say "On air" --output - --format wav | ssh studio aplay
    """
    try:
        sink = _sink(output, kind, sample_rate, overwrite=overwrite)
        _perform(_Wishes(text, voice, speed, model, language), sink, quiet=quiet)
    except KeyboardInterrupt:
        terminal.say("Interrupted.")
        raise typer.Exit(EXIT_INTERRUPTED) from None


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is to be said and how, as the caller wrote it."""

    text: Sequence[str]
    voice: str | None
    speed: float
    model: str | None
    language: str | None


class _Sink(Protocol):
    """Where sound goes."""

    def sound_format(self, voice_rate: int) -> SoundFormat:
        """Return what it must be given, of a voice that makes so many samples per second."""
        ...

    def take(self, sound: Iterable[BytesLike], wanted: SoundFormat) -> None:
        """Take everything in that format, as it is made."""
        ...


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    kind: Format
    sample_rate: int | None

    def sound_format(self, voice_rate: int) -> SoundFormat:
        from hearsay.cli.say import sound_files

        return sound_files.sound_format(self.kind, voice_rate=voice_rate, sample_rate=self.sample_rate)

    def take(self, sound: Iterable[BytesLike], wanted: SoundFormat) -> None:
        from hearsay.cli.say import sound_files

        sound_files.write(self.path, wanted, sound)


@dataclass(frozen=True, slots=True)
class _StandardOutput:
    kind: Format
    sample_rate: int | None

    def sound_format(self, voice_rate: int) -> SoundFormat:
        from hearsay.cli.say import sound_files

        return sound_files.sound_format(self.kind, voice_rate=voice_rate, sample_rate=self.sample_rate)

    def take(self, sound: Iterable[BytesLike], wanted: SoundFormat) -> None:
        from hearsay.cli.say import sound_files

        sound_files.pour(sound, sys.stdout.buffer)


@dataclass(frozen=True, slots=True)
class _Loudspeaker:
    player: Player

    def sound_format(self, voice_rate: int) -> SoundFormat:
        return self.player.sound_format(voice_rate)

    def take(self, sound: Iterable[BytesLike], wanted: SoundFormat) -> None:
        from hearsay.cli.say import players

        players.play(self.player, sound, wanted.sample_rate)


def _sink(output: str | None, kind: str | None, sample_rate: int | None, *, overwrite: bool) -> _Sink:
    """Decide before work is done where sound goes. Raises: `typer.BadParameter`, `HearsayError`."""
    from hearsay.cli.say import players, sound_files

    wanted = _format(kind)
    if output is None:
        if wanted is not None or sample_rate is not None:
            text = "What is played has no format of its own; leave it out, or name a file with --output."
            raise typer.BadParameter(text, param_hint="--format" if wanted else "--sample-rate")
        return _Loudspeaker(players.choose())
    if output == STREAM:
        if _is_terminal(sys.stdout):
            text = "- writes sound to standard output, but that is a terminal."
            raise typer.BadParameter(text, param_hint="--output")
        return _StandardOutput(wanted or sound_files.Format.WAV, sample_rate)
    path = Path(output)
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; name a file.", param_hint="--output")
    found = wanted or _told_format(path)
    if path.is_file() and not overwrite:
        raise HearsayError(f"{path} exists; --overwrite replaces it.")
    return _File(path, found, sample_rate)


def _format(text: str | None) -> Format | None:
    from hearsay.cli.say import sound_files

    try:
        return None if text is None else sound_files.parse_format(text)
    except ValueError as error:
        known = ", ".join(sound_files.Format)
        raise typer.BadParameter(
            f"{text!r} is no format; there are {known}.", param_hint="--format"
        ) from error


def _told_format(path: Path) -> Format:
    from hearsay.cli.say import sound_files

    try:
        return sound_files.format_of(path)
    except ValueError as error:
        known = ", ".join(f".{kind}" for kind in sound_files.Format)
        text = f"{error}; let it end in one of {known}, or say --format."
        raise typer.BadParameter(text, param_hint="--output") from error


def _perform(wishes: _Wishes, sink: _Sink, *, quiet: bool) -> None:
    """Cast, load, speak."""
    from hearsay import wiring
    from hearsay.domain import SynthesisOptions
    from hearsay.text.sentences import split_utterances
    from hearsay.tts.synthesis import Synthesis, encoded

    settings = terminal.resolved().settings
    catalogue = wiring.catalogue(settings)
    chosen, text = _cast(catalogue, wishes, settings.speech_language)
    if not quiet:
        terminal.say(f"Voice: {chosen.voice.id} of {chosen.card.id}.")
        for warning in chosen.warnings:
            terminal.say(warning)
    with closing(catalogue.load_synthesizer(chosen.card)) as synthesizer:
        spoken = split_utterances(text, language=chosen.language, most=synthesizer.utterance_characters)
        synthesis = Synthesis(spoken, SynthesisOptions(chosen.voice.id, wishes.speed), synthesizer)
        wanted = sink.sound_format(synthesizer.sample_rate)
        sink.take(encoded(synthesis, synthesizer, wanted), wanted)


def _cast(catalogue: Catalogue, wishes: _Wishes, usual_language: str) -> tuple[VoiceChoice, Iterable[str]]:
    """Find who speaks, and give the text that is still whole."""
    from hearsay.dialects.vendor_voices import NAMES, vendor_voice
    from hearsay.text import language_id
    from hearsay.tts import voice_selection

    part = vendor_voice(wishes.voice) if wishes.voice else None
    is_known = wishes.language or (wishes.voice and part is None)
    head, text = _read(wishes.text, n_characters=0 if is_known else language_id.SAMPLE)
    chosen = voice_selection.select_voice(
        catalogue,
        model=wishes.model,
        voice=wishes.voice,
        persona=part,
        language=wishes.language,
        text=head,
        fallback_language=usual_language,
        aliases=catalogue.voice_aliases,
        nicknames=NAMES,
    )
    return chosen, text


def _read(words: Sequence[str], *, n_characters: int) -> tuple[str, Iterable[str]]:
    """Return the beginning of the text and the whole of it; of a stream no more is read than is needed."""
    if list(words) != [STREAM]:
        whole = " ".join(words)
        return whole, (whole,)
    blocks = _standard_input()
    head = ""
    while len(head) < n_characters and (block := next(blocks, "")):
        head += block
        if _is_terminal(sys.stdin):
            break  # Whoever types wants to hear the first line.
    return head, chain((head,), blocks)


def _standard_input() -> Iterator[str]:
    """Return text as it comes; what is not UTF-8 becomes marks that say so."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    source = cast("io.BufferedReader", sys.stdin.buffer)
    while data := source.read1(_BLOCK):
        if decoded := decoder.decode(data):
            yield decoded
    if rest := decoder.decode(b"", final=True):
        yield rest


def _is_terminal(stream: IO[str]) -> bool:
    return stream.isatty()
