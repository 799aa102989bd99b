"""Transcription of many recordings, in turn or concurrently, with an outcome for each.

Knows no engine. A recording that cannot be read or transcribed does not stop the others; outputs are written
whole or not at all, so that an interruption leaves complete files only.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hearsay.cli.progress import Reporter
from hearsay.cli.transcribe import outputs
from hearsay.cli.transcribe.inputs import Source, open_source
from hearsay.cli.transcribe.outputs import Format
from hearsay.client.transcription_client import TranscriptionClient
from hearsay.domain import Segment, TranscribeOptions, Transcript
from hearsay.errors import EngineFailed, HearsayError, ModelNotFound, Unauthorized, UnsupportedOption
from hearsay.storage.atomic import write_atomically
from hearsay.transcripts import subtitles

if TYPE_CHECKING:
    from hearsay.cli.transcribe.backends import LocalModel

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Job:
    """One recording and the outputs of its transcript."""

    source: Source
    formats: tuple[Format, ...]
    stem: Path | None
    """Path of the outputs without suffix; None: standard output."""
    heading: str | None = None
    """Line above the text on standard output."""

    @property
    def targets(self) -> tuple[Path, ...]:
        """The files to write."""
        return tuple(outputs.with_format(self.stem, kind) for kind in self.formats) if self.stem else ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job."""

    job: Job
    error: HearsayError | None = None
    transcript: Transcript | None = None


@dataclass(slots=True)
class Summary:
    """Counts of the finished jobs."""

    done: int = 0
    skipped: int = 0
    failures: list[Outcome] = field(default_factory=list)

    def count(self, outcome: Outcome) -> None:
        """Add one outcome."""
        if outcome.error is None:
            self.done += 1
        else:
            self.failures.append(outcome)


class Worker:
    """Runs jobs with the same options and reports their outcomes."""

    def __init__(self, options: TranscribeOptions, reporter: Reporter, summary: Summary) -> None:
        """Report to `reporter` and count in `summary`."""
        self._options, self._reporter, self._summary = options, reporter, summary
        self._model: str | None = None

    def run_local(self, jobs: Sequence[Job], model: LocalModel) -> None:
        """Run the jobs in turn with a model in this process."""
        self._model = model.card.id
        with self._reporter:
            for job in jobs:
                self._print_heading(job)
                self._report(self._transcribe_local(job, model), printed=True)

    def run_remote(self, jobs: Sequence[Job], server: TranscriptionClient, n_requests: int) -> None:
        """Run the jobs with a server, a few concurrently."""
        with self._reporter:
            asyncio.run(self._run_remote(jobs, server, n_requests))

    def _transcribe_local(self, job: Job, model: LocalModel) -> Outcome:
        track = self._reporter.begin(job.source.label)
        streamed = job.stem is None and job.formats == (Format.TXT,)

        def on_segment(segment: Segment) -> None:
            text = subtitles.plain([segment])
            if streamed and text:
                self._reporter.text(text.rstrip("\n"))

        try:
            with open_source(job.source) as path:
                transcript = model.transcribe(
                    path, self._options, progress=track.update, on_segment=on_segment
                )
            self._write(job, transcript)
            if job.stem is None and not streamed:
                self._print(job, transcript)
        except (HearsayError, OSError) as error:
            return Outcome(job, _as_hearsay_error(error))
        finally:
            track.end()
        return Outcome(job, transcript=transcript)

    async def _run_remote(self, jobs: Sequence[Job], server: TranscriptionClient, n_requests: int) -> None:
        async with server:
            kind = "" if server.returns_times(self._options.task) else ", which gives text without times"
            self._model = server.model(self._options.task)
            self._reporter.say(f"Model: {self._model} at {server.base_url}{kind}.")
            fatal: list[HearsayError] = []

            async def attempt(job: Job) -> Outcome | None:
                if fatal:
                    return None
                outcome = await self._transcribe_remote(job, server)
                if outcome.error is not None and fails_every_recording(outcome.error):
                    fatal.append(outcome.error)
                return outcome

            tasks = [partial(attempt, job) for job in jobs]
            await run_concurrently(tasks, n_concurrent=n_requests, on_result=self._report)

    async def _transcribe_remote(self, job: Job, server: TranscriptionClient) -> Outcome:
        track = self._reporter.begin(job.source.label)
        try:
            with ExitStack() as stack:
                path = await asyncio.to_thread(stack.enter_context, open_source(job.source))
                transcript = await server.transcribe(path, self._options, progress=track.update)
            self._write(job, transcript)
        except (HearsayError, OSError) as error:
            return Outcome(job, _as_hearsay_error(error))
        finally:
            track.end()
        return Outcome(job, transcript=transcript)

    def _write(self, job: Job, transcript: Transcript) -> None:
        """Write the files. Raises: `HearsayError` where that fails."""
        timed = transcript.segments or not transcript.text
        if not timed and any(kind.timed for kind in job.formats):
            raise UnsupportedOption(f"{transcript.model} gives text without times, so no srt and no vtt.")
        for kind, path in zip(job.formats, job.targets, strict=False):
            try:
                write_atomically(path, outputs.render(transcript, kind, words=self._options.words))
            except OSError as error:
                raise HearsayError(f"{path} cannot be written: {error.strerror}.") from error

    def _report(self, outcome: Outcome | None, *, printed: bool = False) -> None:
        """Report a finished job; None is one not started after an error that every recording would get."""
        if outcome is None:
            return
        self._summary.count(outcome)
        label = outcome.job.source.label
        if outcome.error is not None:
            self._reporter.error(f"{label}: {outcome.error.message}")
            return
        transcript = outcome.transcript
        assert transcript is not None
        if transcript.model != self._model:  # a server may use another model than requested
            self._model = transcript.model
            self._reporter.say(f"The server used {self._model}.")
        if outcome.job.stem is None and not printed:
            self._print_heading(outcome.job)
            self._print(outcome.job, transcript)
        for path in outcome.job.targets:
            self._reporter.say(f"{label} → {path}")
        for warning in transcript.warnings:
            self._reporter.say(f"{label}: {warning}")

    def _print_heading(self, job: Job) -> None:
        if job.heading is not None:
            self._reporter.text(job.heading)

    def _print(self, job: Job, transcript: Transcript) -> None:
        text = outputs.render(transcript, job.formats[0], words=self._options.words)
        self._reporter.text(text.removesuffix("\n"))
        sys.stdout.flush()


def _as_hearsay_error(error: HearsayError | OSError) -> HearsayError:
    """Return an I/O error as one of the recording, except that of a closed pipe, which is raised."""
    if isinstance(error, BrokenPipeError):
        raise error
    return error if isinstance(error, HearsayError) else HearsayError(f"{error}.")


def fails_every_recording(error: HearsayError) -> bool:
    """Return whether the error is independent of the recording."""
    gone = isinstance(error, EngineFailed) and error.code == "unreachable"
    return gone or isinstance(error, (Unauthorized, ModelNotFound))


async def run_concurrently(
    jobs: Sequence[Callable[[], Awaitable[Result]]], *, n_concurrent: int, on_result: Callable[[Result], None]
) -> None:
    """Run jobs, `n_concurrent` at a time, and call `on_result` in the order of the jobs."""
    permits = asyncio.Semaphore(n_concurrent)

    async def with_permit(job: Callable[[], Awaitable[Result]]) -> Result:
        async with permits:
            return await job()

    tasks = [asyncio.create_task(with_permit(job)) for job in jobs]
    try:
        for task in tasks:
            on_result(await task)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
