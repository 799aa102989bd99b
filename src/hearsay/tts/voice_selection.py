"""Who speaks: wishes → a model, one of its voices, and the language.

Knows no wire and loads nothing. A wish that is plainly expressed is met or refused; where it was only implied
(by the name of a model or of a vendor's voice) and cannot be met, somebody else speaks, with a warning.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from hearsay.domain import Gender, ModelCard, Task, VendorVoice, Voice
from hearsay.errors import (
    ConfigurationError,
    HearsayError,
    InvalidRequest,
    ModelNotInstalled,
    UnsupportedOption,
)
from hearsay.text import languages
from hearsay.text.language_id import SAMPLE, identify

_SHOWN = 60
"""Characters of a caller's word that an error repeats."""

_LISTED = 12
"""Languages that an error lists."""

_REGION = re.compile(r"[a-z]{2,3}(-(hans|hant|latn|cyrl|arab))?(-([a-z]{2}|[0-9]{3}))?")
"""A language's tag that may stand for the voice of the language, with another region than the voice's own.

Not every tag that could be one: `af_heart` is somebody's name, and nobody who asks for her wants Afrikaans.
"""


class Catalogue(Protocol):
    """What must be known about models; `models.Catalogue` knows it."""

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Find the model that a name means. Raises: `ModelNotFound`, `UnsupportedOption`."""
        ...

    def cards(self) -> list[ModelCard]:
        """Return every model, whatever it does, installed or not."""
        ...

    def synthesizers(self) -> list[ModelCard]:
        """Return the installed models that can speak, best first."""
        ...

    def voices(self, card: ModelCard) -> tuple[Voice, ...]:
        """List a model's voices, best first."""
        ...

    def variants(self, card: ModelCard) -> tuple[Voice, ...]:
        """List what may follow the id of each of a model's voices and a plus sign; most have none."""
        ...

    def is_default_name(self, name: str | None, task: Task = Task.TRANSCRIBE) -> bool:
        """Return whether who says this name, or none, gets the default model for a task."""
        ...

    def implied_language(self, name: str | None) -> str | None:
        """Return the code of the language that the name of a model asks for besides."""
        ...


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """Who speaks."""

    card: ModelCard
    voice: Voice
    language: str
    """Code of the language that is spoken, by which text is cut."""
    warnings: tuple[str, ...] = ()
    """What could not be had, one sentence each."""


def select_voice(
    catalogue: Catalogue,
    *,
    model: str | None,
    voice: str | None,
    persona: VendorVoice | None,
    language: str | None,
    text: str,
    fallback_language: str = "en",
    aliases: Mapping[str, str] | None = None,
    nicknames: Iterable[str] = (),
) -> VoiceChoice:
    """Choose who speaks a text, of which the first lines are enough.

    `voice` is the id of a voice, with or without its model (`MODEL/VOICE`), one of the operator's `aliases`
    for that, a vendor's name, which comes with its `persona`, or for espeak-ng a language, with or without a
    variant (`de+m3`); None means the best. `nicknames` are the names that would have come with a
    persona: whoever misspells one is told.

    Raises: `InvalidRequest` with the nearest names for an unknown voice, `UnsupportedOption` for a language
    that nobody who may be chosen speaks, `ModelNotFound`, `ModelNotInstalled` also for a voice of a model
    that is not, `ConfigurationError` for an alias of itself.
    """
    followed = _followed(voice, aliases or {})
    if followed != voice:
        persona = None
    stage = _Candidates(catalogue, model, followed)
    named = stage.named()
    if named is not None:
        return _by_name(stage, named, language)
    if stage.voice is not None and persona is None:
        raise stage.absent() or _unknown(voice or "", stage, (*(aliases or {}), *nicknames))
    tongue = _tongue(stage, persona, language, text, fallback_language)
    return _by_language(stage, tongue, persona)


class _Candidates:
    """The models from which to choose, and the voice that is asked for, without its model's name."""

    def __init__(self, catalogue: Catalogue, model: str | None, voice: str | None) -> None:
        self.catalogue = catalogue
        self.model = model
        self.voice = voice
        best = catalogue.card(model, Task.SYNTHESIZE)
        self.is_open = is_default = catalogue.is_default_name(model, Task.SYNTHESIZE)
        """Whether any model may speak, for none is named."""
        others = catalogue.synthesizers() if is_default else []
        cards = [best, *(card for card in others if card.id != best.id)]
        inside, slash, outside = (voice or "").rpartition("/")
        if slash and (owner := self._owner(inside)) is not None:
            if not is_default and owner.id != best.id:
                raise InvalidRequest(
                    f"`{voice}` is no voice of the model `{best.id}`.", param="voice", code="voice_not_found"
                )
            cards, self.voice = [owner], outside
        self.cast_of = {card.id: (card, catalogue.voices(card)) for card in cards}
        if not any(voices for _, voices in self.cast_of.values()):
            raise ModelNotInstalled(
                f"The model `{best.id}` is not installed. `hearsay models pull {best.id}` installs it."
            )

    def all(self) -> Iterable[tuple[ModelCard, Voice]]:
        """Return every voice with its model, best first."""
        return ((card, voice) for card, voices in self.cast_of.values() for voice in voices)

    def named(self) -> tuple[ModelCard, Voice] | None:
        """Find the voice that has the name which is asked for, in any case."""
        if self.voice is None:
            return None
        wanted = self.voice.casefold()
        exact = next(((card, voice) for card, voice in self.all() if voice.id.casefold() == wanted), None)
        if exact is not None:
            return exact
        tag, plus, variant = wanted.replace("_", "-").partition("+")
        if not _REGION.fullmatch(tag) and tag not in self._ids():
            return None
        for card, voices in self.cast_of.values():
            known = {each.id.casefold(): each for each in self.catalogue.variants(card)}
            base = next(iter(_fitting(voices, tag)), None)
            if known and base is not None and (not plus or variant in known):
                return card, base.varied(known[variant]) if plus else base
        return None

    def absent(self) -> ModelNotInstalled | None:
        """Return which model has the voice, where one that is not installed would speak in it."""
        if not self.is_open or self.voice is None:
            return None
        wanted = self.voice.casefold()
        for card in self.catalogue.cards():
            for voice in self.catalogue.voices(card) if card.id not in self.cast_of else ():
                if voice.id.casefold() == wanted:
                    return ModelNotInstalled(
                        f"The voice `{voice.id}` is one of `{card.id}`, which is not installed. "
                        f"`hearsay models pull {card.id}` installs it.",
                        param="voice",
                    )
        return None

    def _ids(self) -> set[str]:
        return {voice.id.casefold() for _, voice in self.all()}

    def _owner(self, name: str) -> ModelCard | None:
        if self.catalogue.is_default_name(name, Task.SYNTHESIZE):
            return None
        try:
            return self.catalogue.card(name, Task.SYNTHESIZE)
        except HearsayError:
            return None  # Then the slash is part of the voice's name.


@lru_cache(maxsize=1024)
def code(tag: str) -> str:
    """Return the code of a tag's language: `en` for `en-us`, `zh` for `cmn`."""
    base = tag.partition("-")[0]
    return languages.ALIASES.get(base, base)


@dataclass(frozen=True, slots=True)
class _LanguageChoice:
    """The language to speak, and why."""

    tag: str
    because: str | None = None
    """Who implied it, where nobody asked for it."""
    is_asked: bool = False
    """Whether the caller said so, and is to be told if it cannot be had."""


def _followed(voice: str | None, aliases: Mapping[str, str]) -> str | None:
    """Follow the operator's aliases, which may mean each other. Raises: `ConfigurationError`."""
    known = {name.casefold(): meant for name, meant in aliases.items()}
    passed: set[str] = set()
    while voice is not None and voice.casefold() in known:
        if voice.casefold() in passed:
            raise ConfigurationError(f"The alias {voice} for a voice means itself.")
        passed.add(voice.casefold())
        voice = known[voice.casefold()]
    return voice


def _by_name(stage: _Candidates, named: tuple[ModelCard, Voice], language: str | None) -> VoiceChoice:
    card, voice = named
    asked = _asked(stage, language)
    if asked is not None and not _fit(voice, asked):
        raise UnsupportedOption(
            f"The voice `{voice.id}` of `{card.id}` speaks {_list(voice.languages)}, not `{asked}`.",
            param="language",
        )
    spoken = code(asked or voice.languages[0])
    implied = stage.catalogue.implied_language(stage.model)
    if asked is None and implied is not None and not _fit(voice, implied):
        return VoiceChoice(card, voice, spoken, (f"`{voice.id}` does not speak {languages.name(implied)}.",))
    return VoiceChoice(card, voice, spoken)


def _by_language(stage: _Candidates, tongue: _LanguageChoice, persona: VendorVoice | None) -> VoiceChoice:
    warnings = []
    able = ((card, _fitting(voices, tongue.tag)) for card, voices in stage.cast_of.values())
    card, voices = next(((card, voices) for card, voices in able if voices), (None, []))
    if card is None:
        if tongue.is_asked:
            raise _speechless(stage, tongue.tag)
        card, voices = next((card, list(voices)) for card, voices in stage.cast_of.values() if voices)
        if tongue.because:
            name = languages.name(code(tongue.tag)).capitalize()
            warnings.append(f"{name}, which {tongue.because}, is spoken by no voice that is installed.")
        tongue = _LanguageChoice(voices[0].languages[0])
    if persona is None:
        voice = voices[0]
    else:
        voice = _part(stage, card, voices, persona)
        if voice.gender not in (persona.gender, None):
            name = languages.name(code(tongue.tag)).capitalize()
            warnings.append(
                f"{persona.name} is {persona.gender}; `{card.id}` has no {persona.gender} voice for {name}, "
                f"and `{voice.id}` speaks."
            )
    return VoiceChoice(card, voice, code(tongue.tag), tuple(warnings))


def _part(stage: _Candidates, card: ModelCard, voices: Sequence[Voice], persona: VendorVoice) -> Voice:
    """Find who of those that speak the language takes a vendor's voice's part."""
    own = next((voice for voice in voices if voice.id in persona.parts), None)
    if own is not None:
        return own
    plain = next((voice for voice in voices if "+" not in voice.id), None)
    variant = next((each for each in stage.catalogue.variants(card) if f"+{each.id}" in persona.parts), None)
    if plain is not None and variant is not None:
        return replace(plain.varied(variant), gender=persona.gender)
    return min(voices, key=lambda voice: _mismatch(voice.gender, persona.gender))


def _mismatch(gender: Gender | None, wanted: Gender) -> int:
    return 0 if gender is wanted else 1 if gender is None else 2


def _tongue(
    stage: _Candidates, persona: VendorVoice | None, language: str | None, text: str, fallback: str
) -> _LanguageChoice:
    """Decide on the language: said, implied, written, or the operator's."""
    asked = _asked(stage, language)
    if asked is not None:
        return _LanguageChoice(asked, is_asked=True)
    implied = stage.catalogue.implied_language(stage.model)
    if implied is not None:
        return _LanguageChoice(implied, because=f"`{stage.model}` stands for")
    if persona is not None and persona.language is not None:
        return _LanguageChoice(persona.language, because=f"{persona.name} speaks")
    among = {code(tag) for _, voice in stage.all() for tag in voice.languages}
    written = among.copy().pop() if len(among) == 1 else identify(text[:SAMPLE], among)
    return _LanguageChoice(written or languages.parse(fallback) or "en")


def _asked(stage: _Candidates, language: str | None) -> str | None:
    """Read the caller's word for a language: a voice's own tag, or a code or name; None leaves it open.

    Raises: `InvalidRequest` with the nearest names.
    """
    if language is None:
        return None
    tag = language.strip().casefold().replace("_", "-")
    if tag and any(_fit(voice, tag) for _, voice in stage.all()):
        return tag
    return languages.parse(language)


def _fit(voice: Voice, tag: str) -> int:
    """Return how well a voice speaks what a tag names: 0 for not at all, more for the very region."""
    return _best_likeness(voice.languages, tag)


@lru_cache(maxsize=4096)  # Hundreds of voices are asked about for every request, mostly for few languages.
def _best_likeness(spoken: tuple[str, ...], tag: str) -> int:
    return max((_likeness(each, tag) for each in spoken), default=0)


def _likeness(spoken: str, tag: str) -> int:
    if spoken == tag:
        return 3
    if code(spoken) != code(tag):
        return 0
    return 2 if f"{spoken}-".startswith(f"{tag}-") or f"{tag}-".startswith(f"{spoken}-") else 1


def _fitting(voices: Iterable[Voice], tag: str) -> list[Voice]:
    """Return the voices that speak a language, those of the very region first, else in their order."""
    fits = [(_fit(voice, tag), voice) for voice in voices]
    return [voice for fit, voice in sorted((each for each in fits if each[0]), key=lambda each: -each[0])]


def _unknown(name: str, stage: _Candidates, others: Iterable[str]) -> InvalidRequest:
    names = {other.casefold(): other for other in others} | {v.id.casefold(): v.id for _, v in stage.all()}
    near = difflib.get_close_matches(name[:_SHOWN].casefold(), names, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(f'`{names[each]}`' for each in near)}?" if near else ""
    only = "" if len(stage.cast_of) > 1 else f" of `{next(iter(stage.cast_of))}`"
    return InvalidRequest(
        f"There is no voice `{name[:_SHOWN]}`{only}.{hint} "
        "`hearsay voices` and GET voices list those that there are.",
        param="voice",
        code="voice_not_found",
    )


def _speechless(stage: _Candidates, tag: str) -> UnsupportedOption:
    spoken = sorted({code(each) for _, voice in stage.all() for each in voice.languages})
    there = f"there is {_list(spoken)}" if len(spoken) <= _LISTED else "GET voices lists what there is"
    name = f"{languages.name(code(tag)).capitalize()} (`{tag}`)"
    if len(stage.cast_of) == 1:
        message = f"The model `{next(iter(stage.cast_of))}` does not speak {name}; {there}."
    else:
        message = f"None of the installed models speaks {name}; {there}."
    return UnsupportedOption(message, param="language")


def _list(tags: Sequence[str]) -> str:
    return ", ".join(f"`{tag}`" for tag in tags)
