"""`hearsay say`: text to speech, to a player, a file or standard output.

Knows the options and their combinations; the voice is chosen in `voice_selection`, audio is made in
`synthesis`. Text from standard input is synthesized while it is read, of any length.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer

from hearsay.cli import EXIT_INTERRUPTED, completion, terminal
from hearsay.errors import HearsayError

if TYPE_CHECKING:
    import io

    from hearsay.cli.say.audio_files import Format
    from hearsay.domain import BytesLike
    from hearsay.media.formats import AudioFormat
    from hearsay.models.catalogue import Catalogue
    from hearsay.tts.voice_selection import VoiceChoice

STREAM = "-"
"""Standard input as the text, standard output as the file."""

_BLOCK = 1 << 16


def _complete_voice(incomplete: str) -> list[str]:
    """Return the installed voices and vendors' voice names that begin with the text."""
    from hearsay import wiring
    from hearsay.dialects.vendor_voices import VENDOR_VOICES

    catalogue = wiring.catalogue(terminal.resolved().settings)
    installed = [voice.id for card in catalogue.synthesizers() for voice in catalogue.voices(card)]
    names = dict.fromkeys((*installed, *(voice.name for voice in VENDOR_VOICES.values())))
    return [name for name in names if name.casefold().startswith(incomplete.casefold())]


def _complete_format(incomplete: str) -> list[str]:
    from hearsay.cli.say.audio_files import Format

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
            autocompletion=_complete_voice,
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
        str | None, completion.synthesizer_option("Model to use; default: the best one that is installed.")
    ] = None,
    language: Annotated[
        str | None,
        completion.language_option(
            "Language of the text, such as en or german; default: the voice's, or found out."
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
        target = _output(output, kind, sample_rate, overwrite=overwrite)
        _synthesize(_Request(text, voice, speed, model, language), target, quiet=quiet)
    except KeyboardInterrupt:
        terminal.say("Interrupted.")
        raise typer.Exit(EXIT_INTERRUPTED) from None


@dataclass(frozen=True, slots=True)
class _Request:
    """The text and options of the command line."""

    text: Sequence[str]
    voice: str | None
    speed: float
    model: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class _Output:
    """A player, a file or standard output."""

    audio_format: Callable[[int], AudioFormat]
    """Format to encode in, for a synthesizer's sample rate."""
    write: Callable[[Iterable[BytesLike], AudioFormat], None]
    """Writes audio of that format as it is made."""


def _output(output: str | None, kind: str | None, sample_rate: int | None, *, overwrite: bool) -> _Output:
    """Return the output before any work is done. Raises: `typer.BadParameter`, `HearsayError`."""
    from hearsay.cli.say import audio_files, players

    chosen = _format(kind)
    if output is None:
        if chosen is not None or sample_rate is not None:
            text = "What is played has no format of its own; leave it out, or name a file with --output."
            raise typer.BadParameter(text, param_hint="--format" if chosen else "--sample-rate")
        player = players.find_player()
        return _Output(player.audio_format, lambda audio, made: players.play(player, audio, made.sample_rate))
    if output == STREAM:
        if _is_terminal(sys.stdout):
            text = "- writes sound to standard output, but that is a terminal."
            raise typer.BadParameter(text, param_hint="--output")
        audio_format = partial(
            audio_files.output_format, chosen or audio_files.Format.WAV, sample_rate=sample_rate
        )
        return _Output(audio_format, lambda audio, _: audio_files.write_stream(audio, sys.stdout.buffer))
    path = Path(output)
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; name a file.", param_hint="--output")
    audio_format = partial(
        audio_files.output_format, chosen or _format_from_suffix(path), sample_rate=sample_rate
    )
    if path.is_file() and not overwrite:
        raise HearsayError(f"{path} exists; --overwrite replaces it.")
    return _Output(audio_format, partial(audio_files.write, path))


def _format(text: str | None) -> Format | None:
    from hearsay.cli.say import audio_files

    try:
        return None if text is None else audio_files.parse_format(text)
    except ValueError as error:
        known = ", ".join(audio_files.Format)
        raise typer.BadParameter(
            f"{text!r} is no format; there are {known}.", param_hint="--format"
        ) from error


def _format_from_suffix(path: Path) -> Format:
    from hearsay.cli.say import audio_files

    try:
        return audio_files.format_from_suffix(path)
    except ValueError as error:
        known = ", ".join(f".{kind}" for kind in audio_files.Format)
        text = f"{error}; let it end in one of {known}, or say --format."
        raise typer.BadParameter(text, param_hint="--output") from error


def _synthesize(request: _Request, output: _Output, *, quiet: bool) -> None:
    """Select the voice, load its model and write the audio."""
    from hearsay import wiring
    from hearsay.domain import SynthesisOptions
    from hearsay.text.sentences import split_utterances
    from hearsay.tts.synthesis import Synthesis, encoded

    settings = terminal.resolved().settings
    catalogue = wiring.catalogue(settings)
    chosen, text = _select_voice(catalogue, request, settings.speech_language)
    if not quiet:
        terminal.say(f"Voice: {chosen.voice.id} of {chosen.card.id}.")
        for warning in chosen.warnings:
            terminal.say(warning)
    with closing(catalogue.load_synthesizer(chosen.card)) as synthesizer:
        utterances = split_utterances(
            text, language=chosen.language, max_length=synthesizer.utterance_characters
        )
        synthesis = Synthesis(utterances, SynthesisOptions(chosen.voice.id, request.speed), synthesizer)
        audio_format = output.audio_format(synthesizer.sample_rate)
        output.write(encoded(synthesis, synthesizer, audio_format), audio_format)


def _select_voice(
    catalogue: Catalogue, request: _Request, fallback_language: str
) -> tuple[VoiceChoice, Iterable[str]]:
    """Return the voice and the complete text, of which only the beginning has been read."""
    from hearsay.dialects.vendor_voices import NAMES, vendor_voice
    from hearsay.text import language_id
    from hearsay.tts import voice_selection

    vendor = vendor_voice(request.voice) if request.voice else None
    is_known = request.language or (request.voice and vendor is None)
    head, text = _read(request.text, n_characters=0 if is_known else language_id.SAMPLE)
    chosen = voice_selection.select_voice(
        catalogue,
        model=request.model,
        voice=request.voice,
        vendor_voice=vendor,
        language=request.language,
        text=head,
        fallback_language=fallback_language,
        aliases=catalogue.voice_aliases,
        vendor_names=NAMES,
    )
    return chosen, text


def _read(words: Sequence[str], *, n_characters: int) -> tuple[str, Iterable[str]]:
    """Return the beginning of the text and all of it; of a stream no more is read than is needed."""
    if list(words) != [STREAM]:
        whole = " ".join(words)
        return whole, (whole,)
    blocks = _standard_input()
    head = ""
    while len(head) < n_characters and (block := next(blocks, "")):
        head += block
        if _is_terminal(sys.stdin):
            break  # interactive input: synthesize the first line at once
    return head, chain((head,), blocks)


def _standard_input() -> Iterator[str]:
    """Yield text as it arrives; invalid UTF-8 becomes replacement characters."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    source = cast("io.BufferedReader", sys.stdin.buffer)
    while data := source.read1(_BLOCK):
        if decoded := decoder.decode(data):
            yield decoded
    if rest := decoder.decode(b"", final=True):
        yield rest


def _is_terminal(stream: IO[str]) -> bool:
    return stream.isatty()
