"""Tables and progress, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from hearsay.cli import terminal as console
from hearsay.models import hub

HEADING = ("Name", "State", "About")
ROWS = [("a-very-long-name-of-a-model-that-must-be-copied", "here", "words " * 12), ("b", "[red]", "")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_programs_get_lines_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(HEADING, ROWS, optional=1)
    assert capsys.readouterr().out == "".join("\t".join(row) + "\n" for row in ROWS)


@pytest.mark.parametrize(("columns", "asides"), [(80, False), (140, True)])
def test_people_get_columns_whose_names_are_never_cut(
    monkeypatch: pytest.MonkeyPatch, columns: int, asides: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    console.print_table(HEADING, ROWS, optional=1)
    text = terminal.getvalue()
    assert ROWS[0][0] in text and "[red]" in text and "State" in text
    assert ("About" in text) == asides


def test_progress_tells_every_tenth_once() -> None:
    told: list[str] = []
    progress = hub.progress_lines("x", told.append)
    for done in range(0, 2_000_001, 50_000):
        progress(done, 2_000_000)
    assert told == [f"x: {percent} % of 2 MB" for percent in range(0, 101, 10)]
    progress(0, 0)
    assert len(told) == 11
