"""`hearsay transcribe`: recordings in, their words out.

Knows the options and what they mean together; the work is in `jobs`, `backends` and `outputs`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hearsay.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_MODEL, terminal
from hearsay.cli.progress import Reporter, reporter
from hearsay.cli.transcribe import outputs
from hearsay.cli.transcribe.backends import LocalModel, server_choice
from hearsay.cli.transcribe.inputs import STDIN, collect, is_folder
from hearsay.cli.transcribe.outputs import Format
from hearsay.cli.transcribe.worker import Job, Outcome, Summary, Worker
from hearsay.client.transcription_client import MEGABYTE, Limits, vendor_of
from hearsay.domain import Chunking, Task, TranscribeOptions
from hearsay.errors import HearsayError, InvalidAudio, InvalidRequest, ModelNotFound
from hearsay.text import languages

HEADING = "==> {} <=="
"""What stands above each text where several go to standard output, as `head` and `tail` write it."""


class Existing(StrEnum):
    """What to do about a transcript that is there already."""

    REFUSE = "refuse"
    SKIP = "skip"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """Where transcripts go."""

    folder: Path | None
    """None means beside the recordings."""
    to_stdout: bool
    existing: Existing


def _complete_format(incomplete: str) -> list[str]:
    return [kind.value for kind in Format if kind.value.startswith(incomplete)]


def transcribe(
    recordings: Annotated[
        list[str],
        typer.Argument(
            metavar="RECORDING",
            help="Files, folders, http(s) addresses, or - for standard input.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model to use; `hearsay models list` shows them.",
            autocompletion=terminal.complete_model,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            help="Language that is spoken, such as en or german; default: detect.",
            autocompletion=terminal.complete_language,
        ),
    ] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Write in English what is said.")] = False,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="txt, srt, vtt or json; repeat it or separate by commas.  [default: txt]",
            autocompletion=_complete_format,
        ),
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="Time every word (in json).")] = False,
    prompt: Annotated[
        str | None, typer.Option(help="Text that could precede the recording: names, spelling, style.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="First sampling temperature; 0 is deterministic.")
    ] = 0.0,
    chunking: Annotated[
        Chunking | None,
        typer.Option(
            help="How long recordings are cut: at pauses, or by the model's own times.  [default: vad]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for the transcripts; - is standard output."
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders in folders.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace transcripts that exist.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out recordings whose transcripts exist.")
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url", metavar="URL", help="Use this server, yours or a vendor's, instead of this machine."
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", help="Key for that server; better given in its environment variable."),
    ] = None,
    part_limit: Annotated[
        float,
        typer.Option(
            "--part-limit", min=0.01, metavar="MB", help="Largest upload; longer files are cut and merged."
        ),
    ] = 25.0,
    n_requests: Annotated[
        int, typer.Option("--jobs", "-j", min=1, max=64, help="Requests to the server at once.")
    ] = 4,
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds that the server may take for one request.")
    ] = 900.0,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing on standard error but errors.")
    ] = False,
) -> None:
    """Write down what is said in recordings.

    The text of one recording goes to standard output and everything else to standard error. Transcripts of
    several recordings, of a folder, or in several formats become files beside the recordings, or in --output
    DIR.

    Exit status: 0 all done, 1 some recordings failed, 2 a mistake in the command, 3 no such model or no
    weights, 130 interrupted.

    Examples:

        hearsay transcribe talk.mp3 > talk.txt

        hearsay transcribe interviews/ --recursive --format srt,json --output texts/

        hearsay transcribe *.m4a --language de --translate --skip-existing

        ffmpeg -i film.mkv -f wav - | hearsay transcribe - --format vtt

        hearsay transcribe long.wav --base-url https://api.groq.com --model whisper-large-v3
    """
    _prepare_stdout()
    kinds = _formats(formats or [], words=words)
    options = replace(
        _options(language, prompt, temperature, translate=translate, words=words), chunking=chunking
    )
    place = OutputTarget(
        folder=Path(output) if output not in (None, STDIN) else None,
        to_stdout=output == STDIN or (output is None and len(kinds) == 1 and _is_single(recordings)),
        existing=_existing(overwrite=overwrite, skip=skip_existing),
    )
    settings = terminal.resolved(offline=offline or None, base_url=base_url).settings
    _check_server(settings.base_url, options)
    limits = Limits(part_bytes=int(part_limit * MEGABYTE), n_requests=n_requests, timeout=timeout)
    jobs = _jobs(recordings, recursive, kinds, place)
    report, tally = reporter(quiet=quiet), Summary()
    waiting = [wanted for job in jobs if (wanted := _wanted(job, place, tally, report)) is not None]
    worker = Worker(options, report, tally)
    try:
        if settings.base_url is not None:
            choice = server_choice(settings.base_url, api_key, model, limits, settings)
            worker.run_there(waiting, choice)
        elif waiting:
            worker.run_here(waiting, LocalModel(settings, model, options, report))
    except KeyboardInterrupt:
        report.error("Interrupted.")
        _summarise(tally, len(jobs), report)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _summarise(tally, len(jobs), report)
    raise typer.Exit(_status(tally))


def _prepare_stdout() -> None:
    """Let no text be lost to the locale: UTF-8 into pipes and files, marks for what a terminal lacks."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")


def _options(
    language: str | None, prompt: str | None, temperature: float, *, translate: bool, words: bool
) -> TranscribeOptions:
    try:
        code = languages.parse(language) if language else None
    except InvalidRequest as error:
        raise typer.BadParameter(error.message, param_hint="--language") from error
    task = Task.TRANSLATE if translate else Task.TRANSCRIBE
    return TranscribeOptions(task, code, prompt, temperature, words)


def _check_server(base_url: str | None, options: TranscribeOptions) -> None:
    """Refuse what a vendor would not understand."""
    if base_url is not None and options.chunking is not None and (vendor := vendor_of(base_url)) is not None:
        text = f"{vendor.name} cuts recordings as it likes; leave --chunking out."
        raise typer.BadParameter(text, param_hint="--chunking")


def _formats(texts: Sequence[str], *, words: bool) -> tuple[Format, ...]:
    try:
        kinds = outputs.parse_formats(texts)
    except ValueError as error:
        known = ", ".join(kind.value for kind in Format)
        raise typer.BadParameter(f"{error}; there are {known}.", param_hint="--format") from error
    if words and Format.JSON not in kinds:
        text = "Word times are written in json only; add --format json."
        raise typer.BadParameter(text, param_hint="--words")
    return kinds


def _existing(*, overwrite: bool, skip: bool) -> Existing:
    if overwrite and skip:
        raise typer.BadParameter("Choose one of --overwrite and --skip-existing.")
    return Existing.REPLACE if overwrite else Existing.SKIP if skip else Existing.REFUSE


def _is_single(recordings: Sequence[str]) -> bool:
    return len(recordings) == 1 and not is_folder(Path(recordings[0]))


def _jobs(
    recordings: Sequence[str], recursive: bool, kinds: tuple[Format, ...], place: OutputTarget
) -> list[Job]:
    """Decide what is to be done. Raises: `typer.BadParameter` for what contradicts itself."""
    try:
        sources = collect(recordings, recursive=recursive)
    except InvalidAudio as error:
        raise typer.BadParameter(error.message, param_hint="RECORDING") from error
    if any(source.path is None and source.url is None for source in sources) and sys.stdin.isatty():
        text = "- reads a recording from standard input, but that is a terminal."
        raise typer.BadParameter(text, param_hint="RECORDING")
    if not place.to_stdout:
        stems = outputs.name_outputs(sources, place.folder)
        return [Job(source, kinds, stems[source]) for source in sources]
    if len(kinds) > 1 or (len(sources) > 1 and kinds != (Format.TXT,)):
        text = "Standard output takes one format, and of several recordings txt only; name a folder instead."
        raise typer.BadParameter(text, param_hint="--output")
    several = len(sources) > 1
    return [Job(s, kinds, None, HEADING.format(s.label) if several else None) for s in sources]


def _wanted(job: Job, place: OutputTarget, tally: Summary, report: Reporter) -> Job | None:
    """Find out before work is done what of a job may be written; None where nothing is left of it."""
    there = outputs.existing(job.targets)
    if not there or place.existing is Existing.REPLACE:
        return job
    if place.existing is Existing.SKIP:
        missing = tuple(k for k, path in zip(job.formats, job.targets, strict=True) if path not in there)
        tally.skipped += not missing
        return replace(job, formats=missing) if missing else None
    error = HearsayError(f"{there[0]} exists; --overwrite replaces it, --skip-existing leaves it.")
    tally.count(Outcome(job, error))
    report.error(f"{job.source.label}: {error.message}")
    return None


def _summarise(tally: Summary, n_jobs: int, report: Reporter) -> None:
    """Say at the end what became of several recordings."""
    if n_jobs == 1:
        return
    left = n_jobs - tally.done - tally.skipped - len(tally.failures)
    counts = {
        "transcribed": tally.done,
        "skipped, their transcripts exist": tally.skipped,
        "failed": len(tally.failures),
        "not done": left,
    }
    text = "; ".join(f"{count} {what}" for what, count in counts.items() if count)
    if not tally.failures:
        report.say(f"{text}.")
        return
    report.error(f"{text}:")
    for outcome in tally.failures:
        assert outcome.error is not None
        report.error(f"  {outcome.job.source.label}: {outcome.error.message}")


def _status(tally: Summary) -> int:
    if any(isinstance(outcome.error, ModelNotFound) for outcome in tally.failures):
        return EXIT_NO_MODEL
    return EXIT_FAILED if tally.failures else 0
