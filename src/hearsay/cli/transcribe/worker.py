"""Recordings worked through one by one or side by side, and what became of each.

Knows no engine. A recording that cannot be read or transcribed is an outcome, not the end; outputs are
written whole or not at all, so that an interruption leaves what is finished and nothing else.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hearsay.cli.progress import Reporter
from hearsay.cli.transcribe import outputs
from hearsay.cli.transcribe.backends import LocalModel, ServerChoice, in_order, is_hopeless
from hearsay.cli.transcribe.inputs import Source, opened
from hearsay.cli.transcribe.outputs import Format
from hearsay.client.transcription_client import TranscriptionClient
from hearsay.domain import Segment, TranscribeOptions, Transcript
from hearsay.errors import HearsayError, UnsupportedOption
from hearsay.storage.atomic import write_atomically
from hearsay.transcripts import subtitles


@dataclass(frozen=True, slots=True)
class Job:
    """One recording and where its transcript goes."""

    source: Source
    formats: tuple[Format, ...]
    stem: Path | None
    """Path of the outputs without their suffix; None means standard output."""
    heading: str | None = None
    """What to write above the text on standard output, where there are several."""

    @property
    def targets(self) -> tuple[Path, ...]:
        """The files to be written."""
        return tuple(outputs.with_format(self.stem, kind) for kind in self.formats) if self.stem else ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job."""

    job: Job
    error: HearsayError | None = None
    transcript: Transcript | None = None


@dataclass(slots=True)
class Summary:
    """What has become of all jobs so far."""

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
    """Does jobs with the same options and reports on them."""

    def __init__(self, options: TranscribeOptions, reporter: Reporter, tally: Summary) -> None:
        """Work with `options`, tell `reporter` what happens and count in `tally`."""
        self._options, self._reporter, self._tally = options, reporter, tally
        self._model: str | None = None

    def run_here(self, jobs: Sequence[Job], model: LocalModel) -> None:
        """Do the jobs one after the other with a model in this process."""
        self._model = model.card.id
        with self._reporter:
            for job in jobs:
                self._head(job)
                self._settle(self._attempt_here(job, model), printed=True)

    def run_there(self, jobs: Sequence[Job], choice: ServerChoice) -> None:
        """Do the jobs with a server, a few at once."""
        with self._reporter:
            asyncio.run(self._run_there(jobs, choice))

    def _attempt_here(self, job: Job, model: LocalModel) -> Outcome:
        track = self._reporter.begin(job.source.label)
        streams = job.stem is None and job.formats == (Format.TXT,)

        def heard(segment: Segment) -> None:
            text = subtitles.plain([segment])
            if streams and text:
                self._reporter.text(text.rstrip("\n"))

        try:
            with opened(job.source) as path:
                transcript = model.transcribe(path, self._options, progress=track.update, heard=heard)
            self._write(job, transcript)
            if job.stem is None and not streams:
                self._print(job, transcript)
        except (HearsayError, OSError) as error:
            return Outcome(job, _told(error))
        finally:
            track.end()
        return Outcome(job, transcript=transcript)

    async def _run_there(self, jobs: Sequence[Job], choice: ServerChoice) -> None:
        async with choice.open(self._reporter) as server:
            kind = "" if server.returns_times(self._options.task) else ", which gives text without times"
            self._model = server.model(self._options.task)
            self._reporter.say(f"Model: {self._model} at {choice.base_url}{kind}.")
            hopeless: list[HearsayError] = []

            async def attempt(job: Job) -> Outcome | None:
                if hopeless:
                    return None
                outcome = await self._attempt_there(job, server)
                if outcome.error is not None and is_hopeless(outcome.error):
                    hopeless.append(outcome.error)
                return outcome

            works = [partial(attempt, job) for job in jobs]
            await in_order(works, at_once=choice.limits.n_requests, each=self._settle)

    async def _attempt_there(self, job: Job, server: TranscriptionClient) -> Outcome:
        track = self._reporter.begin(job.source.label)
        try:
            with ExitStack() as stack:
                path = await asyncio.to_thread(stack.enter_context, opened(job.source))
                transcript = await server.transcribe(path, self._options, progress=track.update)
            self._write(job, transcript)
        except (HearsayError, OSError) as error:
            return Outcome(job, _told(error))
        finally:
            track.end()
        return Outcome(job, transcript=transcript)

    def _write(self, job: Job, transcript: Transcript) -> None:
        """Write the files. Raises: `HearsayError` where that is impossible."""
        timed = transcript.segments or not transcript.text
        if not timed and any(kind.timed for kind in job.formats):
            raise UnsupportedOption(f"{transcript.model} gives text without times, so no srt and no vtt.")
        for kind, path in zip(job.formats, job.targets, strict=False):
            try:
                write_atomically(path, outputs.render(transcript, kind, words=self._options.words))
            except OSError as error:
                raise HearsayError(f"{path} cannot be written: {error.strerror}.") from error

    def _settle(self, outcome: Outcome | None, *, printed: bool = False) -> None:
        """Report on a job that is over, or was not begun because the server turned out to be of no use."""
        if outcome is None:
            return
        self._tally.count(outcome)
        label = outcome.job.source.label
        if outcome.error is not None:
            self._reporter.error(f"{label}: {outcome.error.message}")
            return
        transcript = outcome.transcript
        assert transcript is not None
        if transcript.model != self._model:  # a server may use another model than it was asked for
            self._model = transcript.model
            self._reporter.say(f"The server used {self._model}.")
        if outcome.job.stem is None and not printed:
            self._head(outcome.job)
            self._print(outcome.job, transcript)
        for path in outcome.job.targets:
            self._reporter.say(f"{label} → {path}")
        for warning in transcript.warnings:
            self._reporter.say(f"{label}: {warning}")

    def _head(self, job: Job) -> None:
        if job.heading is not None:
            self._reporter.text(job.heading)

    def _print(self, job: Job, transcript: Transcript) -> None:
        text = outputs.render(transcript, job.formats[0], words=self._options.words)
        self._reporter.text(text.removesuffix("\n"))
        sys.stdout.flush()


def _told(error: HearsayError | OSError) -> HearsayError:
    """Make of a full disk or a broken device what happened to one recording, but not of a closed pipe."""
    if isinstance(error, BrokenPipeError):
        raise error
    return error if isinstance(error, HearsayError) else HearsayError(f"{error}.")
