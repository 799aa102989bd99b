"""The command `hearsay`: its subcommands, common options and exit statuses.

Knows each subcommand's help text, and imports the subcommand only when it is called: help and completion are
fast.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from hearsay import __version__

EXIT_FAILED, EXIT_USAGE, EXIT_NO_MODEL, EXIT_INTERRUPTED = 1, 2, 3, 130
"""Exit statuses of every command besides 0."""

EPILOG = """\
First steps:

- `hearsay serve` starts the server on 127.0.0.1:8000.

- `hearsay transcribe talk.mp3` writes down what is said in a file.

- `hearsay say Hello` says it aloud.

- `hearsay models pull` installs the model that suits this machine.

- `hearsay doctor` shows what is installed and whether it works.

Exit status: 0 done, 1 failed, 2 a mistake in the command or the settings, 3 no such model or no weights,
130 interrupted.
"""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """Location and help text of a subcommand, known without importing it."""

    module: str
    attribute: str
    help: str


SUBCOMMANDS = {
    "serve": Subcommand("hearsay.cli.serve.command", "serve", "Start the server."),
    "transcribe": Subcommand(
        "hearsay.cli.transcribe.command", "transcribe", "Write down what is said in recordings."
    ),
    "say": Subcommand("hearsay.cli.say.command", "say", "Say a text aloud, or write it to a sound file."),
    "voices": Subcommand("hearsay.cli.voices", "voices", "List the voices that are installed."),
    "models": Subcommand("hearsay.cli.models", "app", "List, install and remove models."),
    "keys": Subcommand("hearsay.cli.keys", "app", "Make and revoke API keys."),
    "config": Subcommand("hearsay.cli.config", "config", "Show the settings as they apply."),
    "doctor": Subcommand(
        "hearsay.cli.doctor.command", "doctor", "Check this machine, and transcribe a known clip."
    ),
}


class Subcommands(TyperGroup):
    """The subcommands, each imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the subcommands' names in the order of their use."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a subcommand; before its import, a placeholder with its help text."""
        subcommand = SUBCOMMANDS.get(cmd_name)
        if subcommand is None or cmd_name in self.commands:
            return self.commands.get(cmd_name)
        return TyperGroup(name=cmd_name, help=subcommand.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the subcommand that is called."""
        name = args[0] if args else ""
        if name in SUBCOMMANDS and name not in self.commands:
            self.commands[name] = _load(name, SUBCOMMANDS[name])
        elif name not in SUBCOMMANDS:
            # Placeholders let a misspelt name get a suggestion.
            self.commands.update({n: TyperGroup(name=n) for n in SUBCOMMANDS if n not in self.commands})
            self.commands.pop(name, None)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a subcommand; errors are printed as a sentence, not as a traceback."""
        from hearsay.errors import HearsayError

        try:
            return super().invoke(ctx)
        except HearsayError as error:
            fail(error)
        except BrokenPipeError:
            # The pipe's reader has closed it; nothing more may be flushed to it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_FAILED) from None
        except OSError as error:  # a full disk, a read-only folder: the message names the file
            fail(error)


def fail(error: Exception) -> NoReturn:
    """Print the error to standard error and exit with its status."""
    from hearsay.errors import ConfigurationError, InvalidRequest, ModelNotFound, ModelNotInstalled

    typer.echo(f"hearsay: {error}", err=True)
    if isinstance(error, ModelNotFound | ModelNotInstalled):
        raise typer.Exit(EXIT_NO_MODEL) from error
    raise typer.Exit(
        EXIT_USAGE if isinstance(error, ConfigurationError | InvalidRequest) else EXIT_FAILED
    ) from error


def _load(name: str, subcommand: Subcommand) -> Any:
    attribute = getattr(importlib.import_module(subcommand.module), subcommand.attribute)
    if isinstance(attribute, typer.Typer):
        command = typer.main.get_command(attribute)
    else:
        single = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown"
        )
        single.command(name)(attribute)
        command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(
    name="hearsay",
    cls=Subcommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hearsay {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="Settings file; else HEARSAY_CONFIG or the usual one."
        ),
    ] = None,
) -> None:
    """Speech to text and back on your own machines, with the APIs that your code already speaks."""
    if config is not None:
        os.environ["HEARSAY_CONFIG"] = str(config)


def main() -> None:
    """Run the command line and exit."""
    app(prog_name="hearsay")
