"""`hearsay keys`: make, list and revoke API keys; a running server notices at once.

Knows only the key file.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hearsay.cli import terminal

if TYPE_CHECKING:
    from hearsay.storage.api_keys import KeyFile

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", help="Make and revoke API keys."
)


@app.command(epilog="Example: `export HEARSAY_API_KEY=$(hearsay keys add laptop)`")
def add(name: Annotated[str, typer.Argument(help="Who or what it is for.")]) -> None:
    """Make a key. It is printed once, to standard output, and stored as a hash only."""
    file = _file()
    key, record = file.add(name)
    typer.echo(key)
    terminal.say(f"This is the key {record.id} for {name}; it cannot be shown again. Callers now need a key.")


@app.command("list")
def list_keys(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the keys: id, name, first and last characters, day."""
    records = _file().records()
    if as_json:
        terminal.print_json(
            [{k: v for k, v in dataclasses.asdict(r).items() if k != "digest"} for r in records]
        )
        return
    days = [f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%d}" for record in records]
    rows = [(r.id, r.name, r.hint, day) for r, day in zip(records, days, strict=True)]
    terminal.print_table(("Id", "Name", "Key", "Made"), rows)
    if not records:
        terminal.say("There are no keys. `hearsay keys add NAME` makes one.")


@app.command()
def revoke(which: Annotated[str, typer.Argument(metavar="ID|NAME", help="Which key.")]) -> None:
    """Revoke a key; it opens nothing from now on."""
    record = _file().revoke(which)
    typer.echo(f"Revoked {record.id} ({record.name})")


def _file() -> KeyFile:
    from hearsay.storage.api_keys import KeyFile

    return KeyFile(terminal.resolved().settings.keys_file)
