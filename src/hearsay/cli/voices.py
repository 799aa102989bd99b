"""`hearsay voices`: who can speak here, which voices take the part of the vendors' own, what could be pulled.

Knows how to ask the catalogue and how to show its answers; who takes a part is decided in `casting`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hearsay import languages
from hearsay.cli import console
from hearsay.domain import ModelCard, Persona, Task, Voice
from hearsay.errors import InvalidRequest, UnsupportedOption

if TYPE_CHECKING:
    from hearsay.models import Catalogue


def voices(
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Only the voices of this model.", autocompletion=console.complete_model
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            metavar="CODE",
            help="Only voices that speak this language, such as de or german.",
            autocompletion=console.complete_language,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the voices that are installed.

    After them come the names of vendors' voices, and which of ours takes the part of each. Any of these names
    may be given to `hearsay say --voice`, or as `voice` in a request.

    Examples:

        hearsay voices --language de

        hearsay voices --model espeak-ng --json
    """
    from hearsay import composition

    catalogue = composition.catalogue(console.resolved().settings)
    code = _code(language)
    cards = [catalogue.card(model, Task.SPEAK)] if model else catalogue.speakers()
    own = [_Own(card, voice) for card in cards for voice in catalogue.voices(card) if _speaks(voice, code)]
    parts = list(_parts(catalogue, model, code))
    better = [card.id for card in catalogue.cards() if _is_better(catalogue, card)]
    if as_json:
        console.print_json(
            {
                "voices": [each.told() for each in own],
                "stand_ins": [each.told() for each in parts],
                "pull": better,
            }
        )
        return
    heading = ("Voice", "Model", "Languages", "Gender", "Name")
    rows = [each.row() for each in own] + [part.row() for part in parts]
    console.print_table(heading, rows)
    if better:
        console.say(f"Better voices: `hearsay models pull {better[0]}`{_also(better[1:])}.")


@dataclass(frozen=True, slots=True)
class _Own:
    """A voice that is installed."""

    card: ModelCard
    voice: Voice

    def told(self) -> dict[str, Any]:
        return {
            "id": self.voice.id,
            "model": self.card.id,
            "name": self.voice.name,
            "languages": list(self.voice.languages),
            "gender": self.voice.gender,
        }

    def row(self) -> tuple[str, ...]:
        voice = self.voice
        return voice.id, self.card.id, " ".join(voice.languages), voice.gender or "-", voice.name


@dataclass(frozen=True, slots=True)
class _Part:
    """A voice of a vendor, and the one of ours that takes its part."""

    persona: Persona
    card: ModelCard
    voice: Voice

    def told(self) -> dict[str, Any]:
        return {
            "id": self.persona.name,
            "language": self.persona.language,
            "gender": self.persona.gender,
            "model": self.card.id,
            "voice": self.voice.id,
        }

    def row(self) -> tuple[str, ...]:
        # Who speaks every language is played by another voice in each of them.
        spoken = self.persona.language or "*"
        played = f"{self.voice.id} takes this part"
        return self.persona.name, self.card.id, spoken, self.persona.gender, played


def _parts(catalogue: Catalogue, model: str | None, language: str | None) -> Iterator[_Part]:
    from hearsay.casting import cast
    from hearsay.dialects.voices import PERSONAS

    for persona in PERSONAS.values():
        if language and persona.language not in (None, language):
            continue
        wanted = language or persona.language
        try:
            chosen = cast(
                catalogue, model=model, voice=persona.name, persona=persona, language=wanted, text=""
            )
        except UnsupportedOption:
            continue  # No voice that is installed speaks this language.
        yield _Part(persona, chosen.card, chosen.voice)


def _code(text: str | None) -> str | None:
    try:
        return languages.parse(text) if text else None
    except InvalidRequest as error:
        raise typer.BadParameter(error.message, param_hint="--language") from error


def _speaks(voice: Voice, code: str | None) -> bool:
    return code is None or any(tag.split("-")[0] == code for tag in voice.languages)


def _is_better(catalogue: Catalogue, card: ModelCard) -> bool:
    return Task.SPEAK in card.tasks and card.repository is not None and not catalogue.installed(card)


def _also(names: list[str]) -> str:
    return f" (or {', '.join(names)})" if names else ""
