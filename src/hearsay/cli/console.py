"""What the operator's commands print with: tables for people, plain lines for programs, a bar for downloads.

Knows no command. On a terminal a table has columns and colours; elsewhere it is tab-separated lines.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from hearsay.hub import Progress
    from hearsay.settings import Resolved

_STEP = 10
"""Percent between two progress lines where there is no terminal."""


def resolved(**flags: Any) -> Resolved:
    """Read the settings from file, environment and these flags. Raises: `ConfigurationError`."""
    from hearsay.settings import resolve

    return resolve(environment=os.environ, flags=flags)


def print_json(data: Any) -> None:
    """Print data for programs."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows; columns on a terminal, tab-separated elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heading, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def say(text: str) -> None:
    """Say something on standard error."""
    typer.echo(text, err=True)


@contextmanager
def download_bar(label: str) -> Iterator[Progress]:
    """Show on standard error how far a download is: a bar on a terminal, a line every tenth elsewhere."""
    if not sys.stderr.isatty():
        yield lines(label, say)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def lines(label: str, tell: Callable[[str], None]) -> Progress:
    """Turn progress into a line for every tenth that is done."""
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenth = _STEP * (100 * done // total // _STEP) if total else 100
        if tenth > told:
            told = tenth
            tell(f"{label}: {tenth} % of {total / 1e6:.0f} MB")

    return progress


def complete_model(incomplete: str) -> list[str]:
    """Offer model names to the shell."""
    from hearsay import cards

    return [card.id for card in cards.known() if card.id.startswith(incomplete)]
