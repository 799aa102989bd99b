"""Tables and progress, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from hearsay.cli import terminal as console
from hearsay.domain import Task
from hearsay.engines.hardware import GIB, Machine
from hearsay.models import hub
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from tests.support.local_hub import LocalHub, serving, toy_model

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


def test_a_missing_default_is_downloaded_once_and_failures_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    told: list[str] = []
    with serving(LocalHub({"Systran/faster-whisper-base": toy_model(2000)})) as local:
        source, machine = Hub(local.address, cache=tmp_path / "hub"), Machine(2, 4 * GIB)
        catalogue = Catalogue(models_folder=tmp_path / "models", hub=source, machine=machine)
        local.status = 500
        console.install_missing(catalogue, Task.TRANSCRIBE, told.append)
        assert told[0].startswith("Downloading whisper-base") and "answers 500" in told[1]
        local.status = None
        console.install_missing(catalogue, Task.TRANSCRIBE, told.append)
        assert catalogue.installed(catalogue.card()) and len(told) == 3
        console.install_missing(catalogue, Task.TRANSCRIBE, told.append)
        assert len(told) == 3
