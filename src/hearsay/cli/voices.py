"""`hearsay voices`: the installed voices, which of them stand for vendors' voices, and what could be pulled.

Knows how the catalogue's answers are shown; which voice stands for which is decided by `tts.voice_selection`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hearsay.cli import completion, terminal
from hearsay.domain import Gender, ModelCard, Task, VendorVoice, Voice
from hearsay.errors import InvalidRequest, UnsupportedOption

if TYPE_CHECKING:
    from hearsay.models.catalogue import Catalogue
    from hearsay.tts.voice_selection import VoiceChoice


def voices(
    model: Annotated[str | None, completion.synthesizer_option("Only the voices of this model.")] = None,
    language: Annotated[
        str | None,
        completion.language_option(
            "Only voices that speak this language, such as de or german.", metavar="CODE"
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
    code = completion.parse_language(language)
    cards = [catalogue.card(model, Task.SYNTHESIZE)] if model else catalogue.synthesizers()
    own = [_own(card, voice) for card in cards for voice in catalogue.voices(card) if _speaks(voice, code)]
    aliases = list(_aliases(catalogue, model, code))
    stand_ins = list(_stand_ins(catalogue, model, code))
    better = [card.id for card in catalogue.cards() if _is_better(catalogue, card, code)]
    if as_json:
        lists = {"voices": own, "aliases": aliases, "stand_ins": stand_ins}
        found = {name: [data for data, _ in listed] for name, listed in lists.items()}
        terminal.print_json({**found, "pull": better})
        return
    heading = ("Voice", "Model", "Languages", "Gender", "Name")
    terminal.print_table(heading, [row for _, row in (*own, *aliases, *stand_ins)])
    if better:
        more = " `hearsay models list` shows others." if len(better) > 1 else ""
        terminal.say(f"`hearsay models pull {better[0]}` installs better voices.{more}")


_Listed = tuple[dict[str, Any], tuple[str, ...]]
"""A voice as JSON and as a row of the table."""


def _own(card: ModelCard, voice: Voice) -> _Listed:
    data = {"id": voice.id, "model": card.id, "name": voice.name, "languages": list(voice.languages)}
    row = voice.id, card.id, " ".join(voice.languages), voice.gender or "-", voice.name
    return data | {"gender": voice.gender}, row


def _other_name(
    name: str, language: str | None, gender: Gender | None, chosen: VoiceChoice, why: str
) -> _Listed:
    """Return a name that selects one of the voices; a language of None selects one in each language."""
    model, voice = chosen.card.id, chosen.voice.id
    data = {"id": name, "language": language, "gender": gender, "model": model, "voice": voice}
    return data, (name, model, language or "*", gender or "-", f"{voice} {why}")


def _aliases(catalogue: Catalogue, model: str | None, language: str | None) -> Iterator[_Listed]:
    """Return the operator's own names for voices; those that lead nowhere are told on standard error."""
    for name in catalogue.voice_aliases:
        try:
            chosen = _select(catalogue, name, model=model)
        except InvalidRequest as error:
            terminal.say(f"{name}: {error.message}")
            continue
        if _speaks(chosen.voice, language):
            yield _other_name(name, chosen.language, chosen.voice.gender, chosen, "is meant")


def _stand_ins(catalogue: Catalogue, model: str | None, language: str | None) -> Iterator[_Listed]:
    """Return the names of vendors' voices of which an installed voice speaks the language."""
    from hearsay.dialects.vendor_voices import VENDOR_VOICES

    for each in VENDOR_VOICES.values():
        if language and each.language not in (None, language):
            continue
        try:
            wanted = language or each.language
            chosen = _select(catalogue, each.name, model=model, persona=each, language=wanted)
        except UnsupportedOption:
            continue
        yield _other_name(each.name, each.language, each.gender, chosen, "takes this part")


def _select(
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


def _speaks(voice: Voice, code: str | None) -> bool:
    return code is None or any(tag.split("-")[0] == code for tag in voice.languages)


def _is_better(catalogue: Catalogue, card: ModelCard, code: str | None) -> bool:
    able = Task.SYNTHESIZE in card.tasks and (code is None or code in card.languages)
    return able and card.repository is not None and not catalogue.installed(card)
