"""Voice selection: the requested model, voice and language → a model, one of its voices, and a language.

Knows no protocol and loads nothing. An explicit request is met or refused; where it is only implied (by the
name of a model or of a vendor's voice) and cannot be met, another voice is chosen, with a warning.
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

_MAX_SHOWN = 60
"""Characters of a requested name that an error repeats."""

_MAX_LISTED = 12
"""Languages that an error lists."""

_REGION = re.compile(r"[a-z]{2,3}(-(hans|hant|latn|cyrl|arab))?(-([a-z]{2}|[0-9]{3}))?")
"""A language tag that selects a voice of the language, also with another region than the voice's own.

Excludes names that only look like tags: `af_heart` is a voice's name, not Afrikaans.
"""


class Catalogue(Protocol):
    """The part of `models.Catalogue` that is needed here."""

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        """Return the model of a name. Raises: `ModelNotFound`, `UnsupportedOption`."""

    def cards(self) -> list[ModelCard]:
        """Return every model of every task, installed or not."""

    def synthesizers(self) -> list[ModelCard]:
        """Return the installed synthesis models, best first."""

    def voices(self, card: ModelCard) -> tuple[Voice, ...]:
        """Return a model's voices, best first."""

    def variants(self, card: ModelCard) -> tuple[Voice, ...]:
        """Return the variants of a model's voices (`VOICE+VARIANT`); most models have none."""

    def is_default_name(self, name: str | None, task: Task = Task.TRANSCRIBE) -> bool:
        """Return whether a name (or None) means the default model of a task."""

    def implied_language(self, name: str | None) -> str | None:
        """Return the code of the language that a model's name implies."""


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """The selected voice."""

    card: ModelCard
    voice: Voice
    language: str
    """Code of the spoken language, which sets the rules of sentence segmentation."""
    warnings: tuple[str, ...] = ()
    """Implied requests that could not be met, one sentence each."""


def select_voice(
    catalogue: Catalogue,
    *,
    model: str | None,
    voice: str | None,
    vendor_voice: VendorVoice | None,
    language: str | None,
    text: str,
    fallback_language: str = "en",
    aliases: Mapping[str, str] | None = None,
    vendor_names: Iterable[str] = (),
) -> VoiceChoice:
    """Return the voice for a text, of which the first lines suffice.

    `voice` is a voice's id, with or without its model (`MODEL/VOICE`), one of the operator's `aliases` for
    that, a vendor's name, given together with its `vendor_voice`, or for espeak-ng a language, with or
    without a variant (`de+m3`); None means the best. `vendor_names` are all vendors' names, for suggestions.

    Raises: `InvalidRequest` with the nearest names for an unknown voice, `UnsupportedOption` for a language
    of no candidate, `ModelNotFound`, `ModelNotInstalled` also for a voice of a model that is not installed,
    `ConfigurationError` for a circular alias.
    """
    resolved = _resolve_aliases(voice, aliases or {})
    if resolved != voice:
        vendor_voice = None
    candidates = _Candidates(catalogue, model, resolved)
    match = candidates.find()
    if match is not None:
        return _by_name(candidates, match, language)
    if candidates.voice is not None and vendor_voice is None:
        raise candidates.not_installed() or _voice_not_found(
            voice or "", candidates, (*(aliases or {}), *vendor_names)
        )
    choice = _choose_language(candidates, vendor_voice, language, text, fallback_language)
    return _by_language(candidates, choice, vendor_voice)


class _Candidates:
    """The models to choose from, and the requested voice without its model's name."""

    def __init__(self, catalogue: Catalogue, model: str | None, voice: str | None) -> None:
        self.catalogue = catalogue
        self.model = model
        self.voice = voice
        best = catalogue.card(model, Task.SYNTHESIZE)
        self.is_any_model = is_default = catalogue.is_default_name(model, Task.SYNTHESIZE)
        """Whether any model may be chosen, because none is named."""
        others = catalogue.synthesizers() if is_default else []
        cards = [best, *(card for card in others if card.id != best.id)]
        model_name, slash, voice_id = (voice or "").rpartition("/")
        if slash and (owner := self._find_card(model_name)) is not None:
            if not is_default and owner.id != best.id:
                raise InvalidRequest(
                    f"`{voice}` is no voice of the model `{best.id}`.", param="voice", code="voice_not_found"
                )
            cards, self.voice = [owner], voice_id
        self.voices_by_model = {card.id: (card, catalogue.voices(card)) for card in cards}
        if not any(voices for _, voices in self.voices_by_model.values()):
            raise ModelNotInstalled(
                f"The model `{best.id}` is not installed. `hearsay models pull {best.id}` installs it."
            )

    def all(self) -> Iterable[tuple[ModelCard, Voice]]:
        return ((card, voice) for card, voices in self.voices_by_model.values() for voice in voices)

    def find(self) -> tuple[ModelCard, Voice] | None:
        if self.voice is None:
            return None
        wanted = self.voice.casefold()
        exact = next(((card, voice) for card, voice in self.all() if voice.id.casefold() == wanted), None)
        if exact is not None:
            return exact
        tag, plus, variant = wanted.replace("_", "-").partition("+")
        if not _REGION.fullmatch(tag) and tag not in {voice.id.casefold() for _, voice in self.all()}:
            return None
        for card, voices in self.voices_by_model.values():
            known = {each.id.casefold(): each for each in self.catalogue.variants(card)}
            base = next(iter(_matching(voices, tag)), None)
            if known and base is not None and (not plus or variant in known):
                return card, base.varied(known[variant]) if plus else base
        return None

    def not_installed(self) -> ModelNotInstalled | None:
        """Return the error that names a model with the voice that is not installed, or None."""
        if not self.is_any_model or self.voice is None:
            return None
        wanted = self.voice.casefold()
        for card in self.catalogue.cards():
            for voice in self.catalogue.voices(card) if card.id not in self.voices_by_model else ():
                if voice.id.casefold() == wanted:
                    return ModelNotInstalled(
                        f"The voice `{voice.id}` is one of `{card.id}`, which is not installed. "
                        f"`hearsay models pull {card.id}` installs it.",
                        param="voice",
                    )
        return None

    def _find_card(self, name: str) -> ModelCard | None:
        if self.catalogue.is_default_name(name, Task.SYNTHESIZE):
            return None
        try:
            return self.catalogue.card(name, Task.SYNTHESIZE)
        except HearsayError:
            return None  # the slash is part of the voice's name


@lru_cache(maxsize=1024)
def code(tag: str) -> str:
    """Return the code of a tag's language: `en` for `en-us`, `zh` for `cmn`."""
    base = tag.partition("-")[0]
    return languages.ALIASES.get(base, base)


@dataclass(frozen=True, slots=True)
class _LanguageChoice:
    """The language to speak, and its origin."""

    tag: str
    reason: str | None = None
    """What implies the language, where it is not requested."""
    is_requested: bool = False
    """Whether the request names it, so that it is refused if unavailable."""


def _resolve_aliases(voice: str | None, aliases: Mapping[str, str]) -> str | None:
    """Return the voice that a chain of aliases ends at. Raises: `ConfigurationError` for a circle."""
    known = {name.casefold(): meant for name, meant in aliases.items()}
    visited: set[str] = set()
    while voice is not None and voice.casefold() in known:
        if voice.casefold() in visited:
            raise ConfigurationError(f"The alias {voice} for a voice means itself.")
        visited.add(voice.casefold())
        voice = known[voice.casefold()]
    return voice


def _by_name(candidates: _Candidates, match: tuple[ModelCard, Voice], language: str | None) -> VoiceChoice:
    card, voice = match
    requested = _requested_language(candidates, language)
    if requested is not None and not _match(voice.languages, requested):
        raise UnsupportedOption(
            f"The voice `{voice.id}` of `{card.id}` speaks {_list(voice.languages)}, not `{requested}`.",
            param="language",
        )
    spoken = code(requested or voice.languages[0])
    implied = candidates.catalogue.implied_language(candidates.model)
    if requested is None and implied is not None and not _match(voice.languages, implied):
        return VoiceChoice(card, voice, spoken, (f"`{voice.id}` does not speak {languages.name(implied)}.",))
    return VoiceChoice(card, voice, spoken)


def _by_language(
    candidates: _Candidates, choice: _LanguageChoice, vendor_voice: VendorVoice | None
) -> VoiceChoice:
    warnings = []
    able = ((card, _matching(voices, choice.tag)) for card, voices in candidates.voices_by_model.values())
    card, voices = next(((card, voices) for card, voices in able if voices), (None, []))
    if card is None:
        if choice.is_requested:
            raise _unsupported_language(candidates, choice.tag)
        card, voices = next(
            (card, list(voices)) for card, voices in candidates.voices_by_model.values() if voices
        )
        if choice.reason:
            name = languages.name(code(choice.tag)).capitalize()
            warnings.append(f"{name}, which {choice.reason}, is spoken by no voice that is installed.")
        choice = _LanguageChoice(voices[0].languages[0])
    if vendor_voice is None:
        voice = voices[0]
    else:
        voice = _persona_voice(candidates, card, voices, vendor_voice)
        if voice.gender not in (vendor_voice.gender, None):
            name = languages.name(code(choice.tag)).capitalize()
            warnings.append(
                f"{vendor_voice.name} is {vendor_voice.gender}; `{card.id}` has no {vendor_voice.gender} "
                f"voice for {name}, and `{voice.id}` speaks."
            )
    return VoiceChoice(card, voice, code(choice.tag), tuple(warnings))


def _persona_voice(
    candidates: _Candidates, card: ModelCard, voices: Sequence[Voice], vendor_voice: VendorVoice
) -> Voice:
    """Return the voice among those of the language that stands in for a vendor's voice."""
    own = next((voice for voice in voices if voice.id in vendor_voice.parts), None)
    if own is not None:
        return own
    plain = next((voice for voice in voices if "+" not in voice.id), None)
    variants = candidates.catalogue.variants(card)
    variant = next((each for each in variants if f"+{each.id}" in vendor_voice.parts), None)
    if plain is not None and variant is not None:
        return replace(plain.varied(variant), gender=vendor_voice.gender)
    return min(voices, key=lambda voice: _mismatch(voice.gender, vendor_voice.gender))


def _mismatch(gender: Gender | None, wanted: Gender) -> int:
    return 0 if gender is wanted else 1 if gender is None else 2


def _choose_language(
    candidates: _Candidates, vendor_voice: VendorVoice | None, language: str | None, text: str, fallback: str
) -> _LanguageChoice:
    """Return the language: requested, implied, identified from the text, or the operator's default."""
    requested = _requested_language(candidates, language)
    if requested is not None:
        return _LanguageChoice(requested, is_requested=True)
    implied = candidates.catalogue.implied_language(candidates.model)
    if implied is not None:
        return _LanguageChoice(implied, reason=f"`{candidates.model}` stands for")
    if vendor_voice is not None and vendor_voice.language is not None:
        return _LanguageChoice(vendor_voice.language, reason=f"{vendor_voice.name} speaks")
    codes = {code(tag) for _, voice in candidates.all() for tag in voice.languages}
    written = codes.copy().pop() if len(codes) == 1 else identify(text[:SAMPLE], codes)
    return _LanguageChoice(written or languages.parse(fallback) or "en")


def _requested_language(candidates: _Candidates, language: str | None) -> str | None:
    """Parse the requested language: a voice's own tag, or a code or name; None where it is open.

    Raises: `InvalidRequest` with the nearest names.
    """
    if language is None:
        return None
    tag = language.strip().casefold().replace("_", "-")
    if tag and any(_match(voice.languages, tag) for _, voice in candidates.all()):
        return tag
    return languages.parse(language)


@lru_cache(maxsize=4096)  # every request checks hundreds of voices, mostly for a few languages
def _match(spoken: tuple[str, ...], tag: str) -> int:
    """Return how well a voice's languages match a tag: 0 for not at all, highest for the same region."""
    return max((_tag_match(each, tag) for each in spoken), default=0)


def _tag_match(spoken: str, tag: str) -> int:
    if spoken == tag:
        return 3
    if code(spoken) != code(tag):
        return 0
    return 2 if f"{spoken}-".startswith(f"{tag}-") or f"{tag}-".startswith(f"{spoken}-") else 1


def _matching(voices: Iterable[Voice], tag: str) -> list[Voice]:
    """Return the voices of a language, those of the same region first, else in their order."""
    able = [voice for voice in voices if _match(voice.languages, tag)]
    return sorted(able, key=lambda voice: -_match(voice.languages, tag))


def _voice_not_found(name: str, candidates: _Candidates, others: Iterable[str]) -> InvalidRequest:
    names = {other.casefold(): other for other in others} | {
        v.id.casefold(): v.id for _, v in candidates.all()
    }
    near = difflib.get_close_matches(name[:_MAX_SHOWN].casefold(), names, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(f'`{names[each]}`' for each in near)}?" if near else ""
    only = "" if len(candidates.voices_by_model) > 1 else f" of `{next(iter(candidates.voices_by_model))}`"
    return InvalidRequest(
        f"There is no voice `{name[:_MAX_SHOWN]}`{only}.{hint} "
        "`hearsay voices` and GET voices list those that there are.",
        param="voice",
        code="voice_not_found",
    )


def _unsupported_language(candidates: _Candidates, tag: str) -> UnsupportedOption:
    spoken = sorted({code(each) for _, voice in candidates.all() for each in voice.languages})
    there = f"there is {_list(spoken)}" if len(spoken) <= _MAX_LISTED else "GET voices lists what there is"
    name = f"{languages.name(code(tag)).capitalize()} (`{tag}`)"
    if len(candidates.voices_by_model) == 1:
        message = f"The model `{next(iter(candidates.voices_by_model))}` does not speak {name}; {there}."
    else:
        message = f"None of the installed models speaks {name}; {there}."
    return UnsupportedOption(message, param="language")


def _list(tags: Sequence[str]) -> str:
    return ", ".join(f"`{tag}`" for tag in tags)
