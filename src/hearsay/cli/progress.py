"""How far the work has come, for people (a bar with the time left) or for logs (a line now and then).

Knows neither engines nor files. Everything goes to standard error but text that streams to a terminal: there
the bar must step aside for it, so both go through one console.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Protocol

_LINE_SECONDS = 20.0
"""Least time between two progress lines in a log."""
_SPEED_SECONDS = 600.0
"""How far back the estimate of the time left looks; one window of a slow model may take a minute."""


class Track(Protocol):
    """One piece of work under way."""

    def update(self, done: float, total: float) -> None:
        """Return how far it is, in seconds of audio or in bytes."""
        ...

    def end(self) -> None:
        """Say that it is over, well or not."""
        ...


class Reporter(Protocol):
    """Where progress and remarks go; a context manager."""

    def begin(self, label: str) -> Track:
        """Start to follow a piece of work."""
        ...

    def say(self, text: str) -> None:
        """Remark something that the caller may want to know."""
        ...

    def error(self, text: str) -> None:
        """Return what went wrong; never silenced."""
        ...

    def text(self, line: str) -> None:
        """Return a line of transcript to standard output at once."""
        ...

    def __enter__(self) -> Reporter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def reporter(*, quiet: bool) -> Reporter:
    """Choose by whether anybody watches: a bar where standard error is a terminal, lines elsewhere."""
    if sys.stderr.isatty() and not quiet:
        return Bars(with_stdout=sys.stdout.isatty())
    return Lines(sys.stderr, quiet=quiet)


def clock_text(seconds: float) -> str:
    """Write a duration as people do: `4:05`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """Plain lines, at most one every `_LINE_SECONDS` for each piece of work."""

    def __init__(
        self, stream: IO[str], *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def begin(self, label: str) -> Track:
        """Start to follow a piece of work; short ones never get a line."""
        return _LineTrack(label, self.say, self._clock)

    def say(self, text: str) -> None:
        """Write a remark, unless quiet."""
        if not self._quiet:
            self.error(text)

    def error(self, text: str) -> None:
        """Write a line in any case."""
        print(text, file=self._stream, flush=True)

    def text(self, line: str) -> None:
        """Write a line of transcript."""
        print(line, flush=True)


class _LineTrack:
    def __init__(self, label: str, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._label, self._say, self._clock = label, say, clock
        self._begun = self._last = clock()

    def update(self, done: float, total: float) -> None:
        now = self._clock()
        if now - self._last < _LINE_SECONDS or not 0 < done < total:
            return
        self._last = now
        left = (now - self._begun) * (total - done) / done
        self._say(f"{self._label}: {100 * done / total:.0f} %, about {clock_text(left)} left")

    def end(self) -> None:
        """Nothing stays on the screen that would have to go."""


class Bars:
    """A bar for each piece of work, on the terminal."""

    def __init__(self, *, with_stdout: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        # On one terminal, text written past rich would tear the bar; so text and bar share a console there.
        self._console = Console(stderr=not with_stdout)
        self._shared = with_stdout
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, label: str) -> Track:
        """Start a bar."""
        return _BarTrack(self._progress, label)

    def say(self, text: str) -> None:
        """Print a remark above the bars."""
        self._console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def error(self, text: str) -> None:
        """Print what went wrong above the bars."""
        self._console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)

    def text(self, line: str) -> None:
        """Print a line of transcript above the bars, or past them where standard output is elsewhere."""
        if self._shared:
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
