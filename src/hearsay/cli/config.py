"""`hearsay config`: every setting, its value and its origin.

Knows no setting by name; secrets are hidden by `settings.masked`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hearsay.cli import terminal


def config(
    explain: Annotated[
        bool, typer.Option("--explain", "-e", help="Also say what each setting is for.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings as they apply, and where each comes from.

    Each can be given in a TOML file (`name = value`), as environment variable (HEARSAY_NAME), and many as a
    flag of `hearsay serve`. Flags win over the environment, the environment over the file.

    Examples:

        hearsay config --explain

        HEARSAY_MODEL=whisper-small hearsay config --json
    """
    from hearsay.settings import Settings, default_file, masked

    resolved = terminal.resolved()
    values = masked(resolved.settings)
    origins = {name: resolved.origins.get(name, "default") for name in values}
    descriptions = {name: field.description or "" for name, field in Settings.model_fields.items()}
    if as_json:
        terminal.print_json(
            {
                name: {"value": value, "origin": origins[name], "about": descriptions[name]}
                for name, value in values.items()
            }
        )
        return
    rows = [
        (name, _text(value), origins[name], *([descriptions[name]] if explain else []))
        for name, value in values.items()
    ]
    terminal.print_table(("Setting", "Value", "From", *(["What it is for"] if explain else [])), rows)
    terminal.say(f"Settings file: {resolved.file or f'none; {default_file()} would be read'}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in value.items()) or "-"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "-" if value is None else str(value)
