"""Progress and notices of a command: bars on a terminal, occasional lines in a log.

Knows neither engines nor files. Everything goes to standard error but streamed text; on one terminal both go
through one console, which redraws the bars around the text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import IO

_LINE_SECONDS = 20.0
"""Least time between two progress lines in a log."""
_SPEED_SECONDS = 600.0
"""Period of the speed estimate; one window of a slow model may take a minute."""


def open_reporter(*, quiet: bool) -> Reporter:
    """Return bars where standard error is a terminal, else lines."""
    if sys.stderr.isatty() and not quiet:
        return Bars(with_stdout=sys.stdout.isatty())
    return Lines(sys.stderr, quiet=quiet)


def format_duration(seconds: float) -> str:
    """Return a duration such as `4:05` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """Plain lines, at most one every `_LINE_SECONDS` for each task."""

    def __init__(
        self, stream: IO[str], *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def begin(self, label: str) -> _LineTrack:
        """Start the progress of a task; short ones print no line."""
        return _LineTrack(label, self.say, self._clock)

    def say(self, text: str) -> None:
        """Print a notice, unless quiet."""
        if not self._quiet:
            self.error(text)

    def error(self, text: str) -> None:
        """Print a line, even if quiet."""
        print(text, file=self._stream, flush=True)

    def text(self, line: str) -> None:
        """Print a line of transcript to standard output."""
        print(line, flush=True)


class _LineTrack:
    """Progress of one task."""

    def __init__(self, label: str, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._label, self._say, self._clock = label, say, clock
        self._started = self._last = clock()

    def update(self, done: float, total: float) -> None:
        now = self._clock()
        if now - self._last < _LINE_SECONDS or not 0 < done < total:
            return
        self._last = now
        remaining = (now - self._started) * (total - done) / done
        self._say(f"{self._label}: {100 * done / total:.0f} %, about {format_duration(remaining)} left")

    def end(self) -> None:
        """Do nothing: lines stay."""


class Bars:
    """A bar for each task, on the terminal."""

    def __init__(self, *, with_stdout: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        # On one terminal, text that bypasses rich would break the bar, so both share a console.
        self._console = Console(stderr=not with_stdout)
        self._single_console = with_stdout
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._progress = Progress(
            *columns,
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            speed_estimate_period=_SPEED_SECONDS,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, label: str) -> _BarTrack:
        """Start a bar."""
        return _BarTrack(self._progress, label)

    def say(self, text: str) -> None:
        """Print a notice above the bars."""
        self._console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def error(self, text: str) -> None:
        """Print an error above the bars."""
        self._console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)

    def text(self, line: str) -> None:
        """Print a line of transcript above the bars, or to a standard output that is no terminal."""
        if self._single_console:
            self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            print(line, flush=True)


class _BarTrack:
    def __init__(self, progress: object, label: str) -> None:
        from rich.markup import escape
        from rich.progress import Progress

        assert isinstance(progress, Progress)
        self._progress = progress
        self._task = progress.add_task(escape(label), total=None)

    def update(self, done: float, total: float) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def end(self) -> None:
        self._progress.remove_task(self._task)


Reporter = Lines | Bars
"""Output of progress, notices, errors and text; a context manager."""
