"""Options that several commands have, models and languages, and their completion by the shell.

Knows no command.
"""

from __future__ import annotations

from typing import Any

import typer


def complete_model(incomplete: str) -> list[str]:
    """Return the recognition models that begin with the text."""
    from hearsay.engines import registry

    return [card.id for card in registry.recognizer_cards() if card.id.startswith(incomplete)]


def complete_synthesizer(incomplete: str) -> list[str]:
    """Return the synthesis models that begin with the text."""
    from hearsay.engines import registry

    return [card.id for card in registry.synthesizer_cards() if card.id.startswith(incomplete)]


def complete_language(incomplete: str) -> list[tuple[str, str]]:
    """Return the language codes that begin with the text, and their names."""
    from hearsay.text import languages

    return [(code, name) for code, name in languages.NAMES.items() if code.startswith(incomplete)]


def recognizer_option(help: str) -> Any:
    """Return the option `--model` of a recognition model."""
    return typer.Option("--model", "-m", help=help, autocompletion=complete_model)


def synthesizer_option(help: str) -> Any:
    """Return the option `--model` of a synthesis model."""
    return typer.Option("--model", "-m", help=help, autocompletion=complete_synthesizer)


def language_option(help: str, **settings: Any) -> Any:
    """Return the option `--language`."""
    return typer.Option("--language", "-l", help=help, autocompletion=complete_language, **settings)


def parse_language(text: str | None) -> str | None:
    """Return the code of the option `--language`. Raises: `typer.BadParameter`."""
    from hearsay.errors import InvalidRequest
    from hearsay.text import languages

    try:
        return languages.parse(text) if text else None
    except InvalidRequest as error:
        raise typer.BadParameter(error.message, param_hint="--language") from error
