"""`hearsay models`: list what there is, install and remove weights.

Knows how the catalogue's answers are shown; every decision is the catalogue's.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hearsay.cli import EXIT_INTERRUPTED, terminal

if TYPE_CHECKING:
    from hearsay.domain import ModelCard
    from hearsay.models.catalogue import Catalogue

_VERBS = {"transcribe": "transcribes", "translate": "translates", "speak": "speaks"}
"""What a model does, by the value of its task."""


def _complete(incomplete: str) -> list[str]:
    """Return the names of the models that can be installed, for the shell's completion."""
    from hearsay.engines import registry

    known = (*registry.recognizer_cards(), *registry.synthesizer_cards())
    return [card.id for card in known if card.repository and card.id.startswith(incomplete)]


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="List, install and remove models.",
)


@app.command("list", epilog="Example: `hearsay models list --installed --json`")
def list_models(
    installed: Annotated[bool, typer.Option("--installed", help="Only those that are installed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with aliases and folders.")] = False,
) -> None:
    """List all models: what is installed, what it can do, how large it is, which one is the default."""
    catalogue = _catalogue()
    models = [_described(catalogue, card) for card in catalogue.cards()]
    shown = [model for model in models if model["installed"] or not installed]
    if as_json:
        terminal.print_json(shown)
        return
    heading = ("Model", "State", "Size", "Languages", "Can", "About")
    terminal.print_table(heading, [_row(model) for model in shown], optional=1)
    for advice in (catalogue.upgrade_hint(catalogue.card()), catalogue.voice_upgrade_hint()):
        if advice:
            terminal.say(advice)


@app.command(
    epilog="Examples: `hearsay models pull` (the Whisper that suits this machine), "
    "`hearsay models pull whisper-large-v3 kokoro-82m`"
)
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]…",
            help="Models to install; without any, the Whisper that suits this machine.",
            autocompletion=_complete,
        ),
    ] = None,
) -> None:
    """Download models. Ctrl-C stops, the same command goes on; what is damaged is replaced."""
    catalogue = _catalogue()
    for name in names or [catalogue.recommended().id]:
        _pull(catalogue, name)


@app.command()
def rm(names: Annotated[list[str], typer.Argument(metavar="MODEL…", autocompletion=_complete)]) -> None:
    """Delete models that `pull` installed; nothing that other programs downloaded is touched."""
    catalogue = _catalogue()
    for name in names:
        folder = catalogue.remove(name)
        typer.echo(f"Removed {folder}")


def _catalogue() -> Catalogue:
    from hearsay import wiring

    return wiring.catalogue(terminal.resolved().settings)


def _pull(catalogue: Catalogue, name: str) -> None:
    try:
        with terminal.download_bar(name) as progress:
            folder = catalogue.pull(name, progress)
    except KeyboardInterrupt:
        terminal.say(f"Stopped. `hearsay models pull {name}` goes on from here.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    typer.echo(f"{name} is in {folder}")


def _described(catalogue: Catalogue, card: ModelCard) -> dict[str, Any]:
    folder = catalogue.folder(card)
    data = dataclasses.asdict(card)
    del data["extra"], data["voices"]
    return {
        **data,
        "tasks": sorted(card.tasks),
        "ignores": sorted(card.ignores),
        "installed": catalogue.installed(card),
        "default": catalogue.is_default(card),
        "folder": str(folder) if folder else None,
    }


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    state = "installed" if model["installed"] else "-"
    if model["default"]:
        state = "default" if model["installed"] else "default, not installed"
    languages = model["languages"]
    return (
        model["id"],
        state,
        f"{model['size_bytes'] / 1e6:.0f} MB" if model["size_bytes"] else "-",
        str(len(languages)) if len(languages) > 3 else " ".join(languages),
        ", ".join(verb for task, verb in _VERBS.items() if task in model["tasks"]),
        model["description"]
        if model["owner"] != "local"
        else f"{model['description']}, in {model['folder']}",
    )
