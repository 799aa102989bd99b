"""`hearsay voices`: who can speak here, which voices take the part of the vendors' own, what could be pulled.

Knows how to ask the catalogue and how to show its answers; who takes a part is decided in `casting`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hearsay.cli import terminal
from hearsay.domain import Gender, ModelCard, Task, VendorVoice, Voice
from hearsay.errors import InvalidRequest, UnsupportedOption
from hearsay.text import languages

if TYPE_CHECKING:
    from hearsay.models.catalogue import Catalogue
    from hearsay.tts.voice_selection import VoiceChoice


def voices(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Only the voices of this model.",
            autocompletion=terminal.complete_synthesizer,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            metavar="CODE",
            help="Only voices that speak this language, such as de or german.",
            autocompletion=terminal.complete_language,
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
    from hearsay import wiring

    catalogue = wiring.catalogue(terminal.resolved().settings)
    code = _code(language)
    cards = [catalogue.card(model, Task.SYNTHESIZE)] if model else catalogue.synthesizers()
    installed = [
        _Own(card, voice) for card in cards for voice in catalogue.voices(card) if _speaks(voice, code)
    ]
    aliases = list(_aliases(catalogue, model, code))
    parts = list(_parts(catalogue, model, code))
    better = [card.id for card in catalogue.cards() if _is_better(catalogue, card, code)]
    if as_json:
        lists: dict[str, Sequence[_Own | _Part]] = {
            "voices": installed,
            "aliases": aliases,
            "stand_ins": parts,
        }
        told = {name: [each.told() for each in found] for name, found in lists.items()}
        terminal.print_json({**told, "pull": better})
        return
    heading = ("Voice", "Model", "Languages", "Gender", "Name")
    rows = [each.row() for each in installed] + [each.row() for each in (*aliases, *parts)]
    terminal.print_table(heading, rows)
    if better:
        more = " `hearsay models list` shows others." if len(better) > 1 else ""
        terminal.say(f"`hearsay models pull {better[0]}` installs better voices.{more}")


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
    """A name that is no voice of ours, and the voice that speaks for who says it."""

    name: str
    language: str | None
    """Code of the only language that it stands for; None for one that has another voice in each."""
    gender: Gender | None
    card: ModelCard
    voice: Voice
    why: str
    """What the voice has to do with the name, in words that follow its id."""

    def told(self) -> dict[str, Any]:
        return {
            "id": self.name,
            "language": self.language,
            "gender": self.gender,
            "model": self.card.id,
            "voice": self.voice.id,
        }

    def row(self) -> tuple[str, ...]:
        known = self.language or "*", self.gender or "-"
        return self.name, self.card.id, *known, f"{self.voice.id} {self.why}"


def _aliases(catalogue: Catalogue, model: str | None, language: str | None) -> Iterator[_Part]:
    """Return the operator's own names; who meant something that is not there is told on the side."""
    for name in catalogue.voice_aliases:
        try:
            found = _cast(catalogue, name, model=model)
        except InvalidRequest as error:
            terminal.say(f"{name}: {error.message}")
            continue
        if _speaks(found.voice, language):
            yield _Part(name, found.language, found.voice.gender, found.card, found.voice, "is meant")


def _parts(catalogue: Catalogue, model: str | None, language: str | None) -> Iterator[_Part]:
    from hearsay.dialects.vendor_voices import VENDOR_VOICES

    for persona in VENDOR_VOICES.values():
        if language and persona.language not in (None, language):
            continue
        wanted = language or persona.language
        try:
            found = _cast(catalogue, persona.name, model=model, persona=persona, language=wanted)
        except UnsupportedOption:
            continue  # No voice that is installed speaks this language.
        known = persona.language, persona.gender
        yield _Part(persona.name, *known, found.card, found.voice, "takes this part")


def _cast(
    catalogue: Catalogue,
    voice: str,
    *,
    model: str | None,
    persona: VendorVoice | None = None,
    language: str | None = None,
) -> VoiceChoice:
    from hearsay.tts.voice_selection import select_voice

    aliases = catalogue.voice_aliases
    return select_voice(
        catalogue, model=model, voice=voice, vendor_voice=persona, language=language, text="", aliases=aliases
    )


def _code(text: str | None) -> str | None:
    try:
        return languages.parse(text) if text else None
    except InvalidRequest as error:
        raise typer.BadParameter(error.message, param_hint="--language") from error


def _speaks(voice: Voice, code: str | None) -> bool:
    return code is None or any(tag.split("-")[0] == code for tag in voice.languages)


def _is_better(catalogue: Catalogue, card: ModelCard, code: str | None) -> bool:
    able = Task.SYNTHESIZE in card.tasks and (code is None or code in card.languages)
    return able and card.repository is not None and not catalogue.installed(card)
