"""The worker: outcomes in order, outputs whole, one recording's fault that of no other."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from hearsay.cli.progress import Lines
from hearsay.cli.transcribe.inputs import Source
from hearsay.cli.transcribe.outputs import Format
from hearsay.cli.transcribe.worker import (
    Job,
    Outcome,
    Summary,
    Worker,
    fails_every_recording,
    run_concurrently,
)
from hearsay.domain import Segment, Task, TranscribeOptions, Transcript
from hearsay.engines.fake import cards
from hearsay.errors import (
    EngineFailed,
    HearsayError,
    InvalidAudio,
    ModelNotFound,
    Overloaded,
    Unauthorized,
)


class Model:
    """A model of the command line whose transcript is the text of the file, or an error."""

    card = cards.fake()

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.timed = True

    def transcribe(
        self,
        path: Path,
        options: TranscribeOptions,
        *,
        progress: Callable[[float, float], None],
        on_segment: Callable[[Segment], None],
    ) -> Transcript:
        text = path.read_text()
        if text == "bad":
            raise self.error or InvalidAudio("It is bad.")
        segment = Segment(0.0, 1.0, f" {text}")
        on_segment(segment)
        progress(1.0, 1.0)
        segments = (segment,) if self.timed else ()
        return Transcript(text, segments, "en", 1.0, options.task, self.card.id, ("It is short.",))


class LocalRun:
    """A worker over files of a folder, and what it said and counted."""

    def __init__(self, folder: Path) -> None:
        self.model, self.said, self.summary = Model(), io.StringIO(), Summary()
        self._folder = folder
        self._worker = Worker(TranscribeOptions(), Lines(self.said), self.summary)

    def job(self, name: str, *formats: Format, **more: Any) -> Job:
        path = self._folder / name
        path.write_text(Path(name).stem)
        stem = self._folder / "out" / Path(name).stem
        options: dict[str, Any] = {"stem": stem} | more
        return Job(Source(name, path, None, PurePosixPath(name)), formats or (Format.TXT,), **options)

    def run(self, *jobs: Job) -> list[str]:
        self._worker.run_local(jobs, self.model)  # type: ignore[arg-type]
        return self.said.getvalue().splitlines()


@pytest.fixture
def local(tmp_path: Path) -> LocalRun:
    return LocalRun(tmp_path)


def test_every_format_is_a_file_and_is_told(local: LocalRun, tmp_path: Path) -> None:
    job = local.job("hello.wav", Format.TXT, Format.SRT)
    text, subtitles = tmp_path / "out/hello.txt", tmp_path / "out/hello.srt"
    assert job.targets == (text, subtitles)
    assert local.run(job) == [
        f"hello.wav → {text}",
        f"hello.wav → {subtitles}",
        "hello.wav: It is short.",
    ]
    assert text.read_text() == "hello\n"
    assert "00:00:01" in subtitles.read_text()
    assert local.summary == Summary(done=1)


def test_a_bad_recording_stops_no_other(local: LocalRun, tmp_path: Path) -> None:
    said = local.run(local.job("bad.wav"), local.job("hello.wav"))
    assert said[0] == "bad.wav: It is bad."
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["hello.txt"]
    assert (local.summary.done, [o.job.source.label for o in local.summary.failures]) == (1, ["bad.wav"])


def test_an_error_of_the_system_is_one_of_the_recording(local: LocalRun) -> None:
    local.model.error = OSError(28, "No space left on device")
    assert local.run(local.job("bad.wav")) == ["bad.wav: [Errno 28] No space left on device."]


def test_a_reader_that_has_gone_ends_everything(local: LocalRun) -> None:
    local.model.error = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        local.run(local.job("bad.wav"), local.job("hello.wav"))


def test_a_mistake_of_ours_is_not_hidden(local: LocalRun) -> None:
    local.model.error = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError):
        local.run(local.job("bad.wav"))


def test_subtitles_without_times_are_refused_and_nothing_is_written(local: LocalRun, tmp_path: Path) -> None:
    local.model.timed = False
    said = local.run(local.job("hello.wav", Format.TXT, Format.VTT))
    assert said == ["hello.wav: fake gives text without times, so no srt and no vtt."]
    assert not (tmp_path / "out").exists()
    assert len(local.summary.failures) == 1


def test_an_output_that_cannot_be_written_names_its_path(local: LocalRun, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    (said,) = local.run(local.job("hello.wav"))
    assert said.startswith(f"hello.wav: {tmp_path / 'out/hello.txt'} cannot be written: ")


def test_standard_output_gets_text_as_it_comes_below_its_heading(
    local: LocalRun, capsys: pytest.CaptureFixture[str]
) -> None:
    said = local.run(local.job("hello.wav", stem=None, heading="== hello.wav"))
    assert capsys.readouterr().out == "== hello.wav\nhello\n"
    assert said == ["hello.wav: It is short."]


def test_standard_output_gets_other_formats_whole(
    local: LocalRun, capsys: pytest.CaptureFixture[str]
) -> None:
    local.run(local.job("hello.wav", Format.VTT, stem=None))
    out = capsys.readouterr().out
    assert out.startswith("WEBVTT\n\n") and out.endswith("hello\n\n")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EngineFailed("gone", code="unreachable"), True),
        (Unauthorized(), True),
        (ModelNotFound(), True),
        (EngineFailed("broke", code="connection_broken"), False),
        (EngineFailed(), False),
        (Overloaded(), False),
        (InvalidAudio(), False),
    ],
)
def test_which_errors_every_recording_would_get(error: HearsayError, expected: bool) -> None:
    assert fails_every_recording(error) is expected


def test_outcomes_are_counted() -> None:
    job = Job(Source("a", None, None, PurePosixPath("a")), (Format.TXT,), None)
    summary, failed = Summary(), Outcome(job, InvalidAudio())
    summary.count(Outcome(job, transcript=Transcript("", (), None, 0.0, Task.TRANSCRIBE, "m")))
    summary.count(failed)
    assert summary == Summary(done=1, failures=[failed])
    assert job.targets == ()


def test_results_come_in_order_whichever_is_done_first() -> None:
    async def scenario() -> list[int]:
        last_is_done = asyncio.Event()
        results: list[int] = []

        async def work(number: int) -> int:
            if number == 2:
                last_is_done.set()
            await last_is_done.wait()
            return number

        jobs = [partial(work, number) for number in range(3)]
        await run_concurrently(jobs, n_concurrent=3, on_result=results.append)
        return results

    assert asyncio.run(scenario()) == [0, 1, 2]


def test_no_more_run_at_once_than_may() -> None:
    running, peak = 0, 0

    async def work() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1

    asyncio.run(run_concurrently([work] * 9, n_concurrent=2, on_result=lambda _: None))
    assert peak == 2


def test_an_error_ends_those_that_still_run() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    async def breaks() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run_concurrently([breaks, waits], n_concurrent=2, on_result=lambda _: None))
    assert ended == ["waiting"]
