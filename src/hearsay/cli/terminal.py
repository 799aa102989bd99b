"""Terminal output and shell completion of the commands: tables, JSON, notices, download progress.

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

from hearsay.errors import HearsayError

if TYPE_CHECKING:
    from hearsay.domain import Task
    from hearsay.models.catalogue import Catalogue
    from hearsay.models.partial_folder import Progress
    from hearsay.settings import Resolved

_FULL_WIDTH = 110


def resolved(**flags: Any) -> Resolved:
    """Return the settings of file, environment and these flags. Raises: `ConfigurationError`."""
    from hearsay.settings import resolve

    return resolve(environment=os.environ, flags=flags)


def print_json(data: Any) -> None:
    """Print data as JSON."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]], *, optional: int = 0) -> None:
    """Print rows; columns on a terminal, tab-separated elsewhere.

    The last `optional` columns are left out on terminals narrower than `_FULL_WIDTH` characters.
    """
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if optional and console.width < _FULL_WIDTH:
        heading, rows = heading[:-optional], [row[:-optional] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, title in enumerate(heading):
        # Names must stay whole for copying; other columns may wrap.
        width = max((len(row[0]) for row in rows), default=0) if i == 0 else None
        table.add_column(title, no_wrap=i == 0, min_width=width)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def say(text: str) -> None:
    """Print a notice to standard error."""
    typer.echo(text, err=True)


@contextmanager
def download_bar(label: str) -> Iterator[Progress]:
    """Yield a callback that shows a download's progress: a bar on a terminal, a line per tenth elsewhere."""
    if not sys.stderr.isatty():
        from hearsay.models.hub import progress_lines

        yield progress_lines(label, say)
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def install_missing(catalogue: Catalogue, task: Task, notify: Callable[[str], None]) -> None:
    """Download the default recogniser where it is missing, with a bar; say why where that fails."""
    card = catalogue.missing_default(task)
    if card is None:
        return
    notify(f"Downloading {card.id}, once; Ctrl-C stops it, and another run goes on from there.")
    try:
        with download_bar(card.id) as progress:
            catalogue.pull(card.id, progress)
    except HearsayError as error:
        notify(error.message)
