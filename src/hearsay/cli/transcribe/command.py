"""`hearsay transcribe`: recordings to text.

Knows the options and their combinations; the work is in `worker`, `backends` and `outputs`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hearsay.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_MODEL, completion, terminal
from hearsay.cli.progress import Reporter, open_reporter
from hearsay.cli.transcribe import outputs
from hearsay.cli.transcribe.backends import LocalModel, open_server
from hearsay.cli.transcribe.inputs import STDIN, collect, is_folder
from hearsay.cli.transcribe.outputs import Format
from hearsay.cli.transcribe.worker import Job, Outcome, Summary, Worker
from hearsay.client.transcription_client import MEGABYTE, Limits, vendor_of
from hearsay.domain import Chunking, Task, TranscribeOptions
from hearsay.errors import HearsayError, InvalidAudio, ModelNotFound

if TYPE_CHECKING:
    from hearsay.settings import Settings


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """Destination of the transcripts."""

    folder: Path | None
    """None: the folders of the recordings."""
    to_stdout: bool
    overwrite: bool
    """Whether existing transcripts are replaced."""
    skip_existing: bool
    """Whether recordings with existing transcripts are left out; else those fail."""


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
        str | None, completion.recognizer_option("Model to use; `hearsay models list` shows them.")
    ] = None,
    language: Annotated[
        str | None,
        completion.language_option("Language that is spoken, such as en or german; default: detect."),
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
    options = TranscribeOptions(
        Task.TRANSLATE if translate else Task.TRANSCRIBE,
        completion.parse_language(language),
        prompt,
        temperature,
        words,
        chunking=chunking,
    )
    if overwrite and skip_existing:
        raise typer.BadParameter("Choose one of --overwrite and --skip-existing.")
    target = OutputTarget(
        folder=Path(output) if output not in (None, STDIN) else None,
        to_stdout=output == STDIN or (output is None and len(kinds) == 1 and _is_single(recordings)),
        overwrite=overwrite,
        skip_existing=skip_existing,
    )
    settings = terminal.resolved(offline=offline or None, base_url=base_url).settings
    _check_server(settings.base_url, options)
    limits = Limits(part_bytes=int(part_limit * MEGABYTE), n_requests=n_requests, timeout=timeout)
    jobs = _jobs(recordings, recursive, kinds, target)
    reporter, summary = open_reporter(quiet=quiet), Summary()
    pending = [
        remaining for job in jobs if (remaining := _to_write(job, target, summary, reporter)) is not None
    ]
    worker = Worker(options, reporter, summary)
    try:
        if settings.base_url is not None:
            server = open_server(settings.base_url, api_key, model, limits, settings, reporter)
            worker.run_remote(pending, server, n_requests)
        elif pending:
            worker.run_local(pending, _local_model(settings, model, options, reporter))
    except KeyboardInterrupt:
        reporter.error("Interrupted.")
        _summarise(summary, len(jobs), reporter)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _summarise(summary, len(jobs), reporter)
    raise typer.Exit(_status(summary))


def _prepare_stdout() -> None:
    """Write UTF-8 into pipes and files, and replacement characters on terminals, whatever the locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")


def _check_server(base_url: str | None, options: TranscribeOptions) -> None:
    """Refuse options that a vendor does not support."""
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


def _is_single(recordings: Sequence[str]) -> bool:
    return len(recordings) == 1 and not is_folder(Path(recordings[0]))


def _jobs(
    recordings: Sequence[str], recursive: bool, kinds: tuple[Format, ...], target: OutputTarget
) -> list[Job]:
    """Return one job per recording. Raises: `typer.BadParameter` for contradictory options."""
    try:
        sources = collect(recordings, recursive=recursive)
    except InvalidAudio as error:
        raise typer.BadParameter(error.message, param_hint="RECORDING") from error
    if any(source.path is None and source.url is None for source in sources) and sys.stdin.isatty():
        text = "- reads a recording from standard input, but that is a terminal."
        raise typer.BadParameter(text, param_hint="RECORDING")
    if not target.to_stdout:
        stems = outputs.name_outputs(sources, target.folder)
        return [Job(source, kinds, stems[source]) for source in sources]
    if len(kinds) > 1 or (len(sources) > 1 and kinds != (Format.TXT,)):
        text = "Standard output takes one format, and of several recordings txt only; name a folder instead."
        raise typer.BadParameter(text, param_hint="--output")
    # Several texts get the headings of `head` and `tail`.
    return [Job(s, kinds, None, f"==> {s.label} <==" if len(sources) > 1 else None) for s in sources]


def _to_write(job: Job, target: OutputTarget, summary: Summary, reporter: Reporter) -> Job | None:
    """Return the job with the formats that may be written, or None where none remain."""
    present = outputs.existing(job.targets)
    if not present or target.overwrite:
        return job
    if target.skip_existing:
        missing = tuple(k for k, path in zip(job.formats, job.targets, strict=True) if path not in present)
        summary.skipped += not missing
        return replace(job, formats=missing) if missing else None
    error = HearsayError(f"{present[0]} exists; --overwrite replaces it, --skip-existing leaves it.")
    summary.count(Outcome(job, error))
    reporter.error(f"{job.source.label}: {error.message}")
    return None


def _local_model(
    settings: Settings, model: str | None, options: TranscribeOptions, reporter: Reporter
) -> LocalModel:
    """Load the model that the settings and the command line name. Raises: as `LocalModel`."""
    from hearsay import wiring

    return LocalModel(
        wiring.catalogue(settings),
        model,
        options,
        reporter,
        decode=wiring.decode_settings(settings),
        limits=wiring.batch_limits(settings),
    )


def _summarise(summary: Summary, n_jobs: int, reporter: Reporter) -> None:
    if n_jobs == 1:
        return
    left = n_jobs - summary.done - summary.skipped - len(summary.failures)
    counts = {
        "transcribed": summary.done,
        "skipped, their transcripts exist": summary.skipped,
        "failed": len(summary.failures),
        "not done": left,
    }
    text = "; ".join(f"{count} {what}" for what, count in counts.items() if count)
    if not summary.failures:
        reporter.say(f"{text}.")
        return
    reporter.error(f"{text}:")
    for outcome in summary.failures:
        assert outcome.error is not None
        reporter.error(f"  {outcome.job.source.label}: {outcome.error.message}")


def _status(summary: Summary) -> int:
    if any(isinstance(outcome.error, ModelNotFound) for outcome in summary.failures):
        return EXIT_NO_MODEL
    return EXIT_FAILED if summary.failures else 0
