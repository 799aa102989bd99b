"""Progress: lines now and then in a log, bars on a terminal, and errors in spite of quiet."""

from __future__ import annotations

import io
import sys

import pytest

from hearsay.cli import progress


def test_lines_tell_progress_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    lines = progress.Lines(sys.stdout, clock=lambda: now)
    track = lines.begin("talk.mp3")
    for now in (1.0, 25.0, 30.0, 50.0):
        track.update(now, 100.0)
    track.end()
    assert capsys.readouterr().out.splitlines() == [
        "talk.mp3: 25 %, about 1:15 left",
        "talk.mp3: 50 %, about 0:50 left",
    ]


def test_bars_draw_and_leave_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Bars(with_stdout=False) as bars:
        track = bars.begin("[odd] name.mp3")
        track.update(10, 100)
        bars.text("[text] with [marks]")
        bars.say("a remark about [this]")
        track.end()
    captured = capsys.readouterr()
    assert captured.out == "[text] with [marks]\n"
    assert "a remark about [this]" in captured.err


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65, "1:05"), (3725, "1:02:05")])
def test_clock_text(seconds: float, text: str) -> None:
    assert progress.format_duration(seconds) == text


def test_what_is_done_at_once_or_not_begun_is_no_line() -> None:
    now, stream = 0.0, io.StringIO()
    track = progress.Lines(stream, clock=lambda: now).begin("talk.mp3")
    now = 100.0
    track.update(0.0, 10.0)
    track.update(10.0, 10.0)
    assert stream.getvalue() == ""


def test_quiet_lines_are_errors_and_text_alone(capsys: pytest.CaptureFixture[str]) -> None:
    now, stream = 0.0, io.StringIO()
    with progress.Lines(stream, quiet=True, clock=lambda: now) as lines:
        track = lines.begin("talk.mp3")
        now = 100.0
        track.update(1.0, 2.0)
        lines.say("a remark")
        lines.error("a.wav: It cannot be read.")
        lines.text("hello")
    assert stream.getvalue() == "a.wav: It cannot be read.\n"
    assert capsys.readouterr().out == "hello\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("is_terminal", "quiet", "kind"),
    [(True, False, progress.Bars), (True, True, progress.Lines), (False, False, progress.Lines)],
)
def test_bars_are_for_terminals(
    is_terminal: bool, quiet: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if is_terminal else io.StringIO())
    assert isinstance(progress.open_reporter(quiet=quiet), kind)


def test_on_one_terminal_text_goes_through_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with progress.Bars(with_stdout=True) as bars:
        bars.begin("talk.mp3")
        bars.text("[text] :smile:")
        bars.error("[an error]")
    assert "[text] :smile:\n" in terminal.getvalue()
    assert "[an error]" in terminal.getvalue()
