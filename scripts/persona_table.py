"""The table of vendors' voices in docs/speech.md: `python -m scripts.persona_table` writes it anew."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from hearsay.dialects.vendor_voices import FAMILIES
from hearsay.domain import VendorVoice
from hearsay.text import languages

PAGE = Path(__file__).parents[1] / "docs" / "speech.md"

_TABLE = re.compile(r"(<!-- voices: .*? -->\n).*?(<!-- end of voices -->)", re.DOTALL)

_LISTED = "Together, Sonic"
"""So many that they are listed and not tabulated."""


def written(page: str) -> str:
    """Return the page with the table as the code has it."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{table()}\n{found[2]}", page)


def table() -> str:
    """Write every vendor's voices in Markdown."""
    parts = []
    for family, personas in FAMILIES.items():
        parts.append(f"**{family}**\n")
        parts.append(_list(personas) if family == _LISTED else _rows(personas))
    return "\n".join(parts)


def _rows(personas: tuple[VendorVoice, ...]) -> str:
    head = "| voice | sounds | espeak-ng | Kokoro |\n| --- | --- | --- | --- |\n"
    lines = [
        f"| `{each.name}` | {each.gender} | `{each.parts[-1]}` | {', '.join(map(_code, each.parts[:-1]))} |\n"
        for each in personas
    ]
    return head + "".join(lines)


def _list(personas: tuple[VendorVoice, ...]) -> str:
    def kind(each: VendorVoice) -> tuple[str, str]:
        spoken = languages.name(each.language).capitalize() if each.language else "any language"
        return spoken, each.gender

    ordered = sorted(personas, key=lambda each: (each.language is not None, *kind(each), each.name))
    lines = []
    for (spoken, gender), several in groupby(ordered, kind):
        lines.append(f"- {spoken}, {gender}: " + ", ".join(f"`{each.name}`" for each in several) + "\n")
    return "".join(lines)


def _code(name: str) -> str:
    return f"`{name}`"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
