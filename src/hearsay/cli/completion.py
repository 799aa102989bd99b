"""Shell completion: models, languages and voices that begin with a text.

Knows no command.
"""

from __future__ import annotations

from hearsay.cli.terminal import resolved


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


def complete_voice(incomplete: str) -> list[str]:
    """Return the installed voices and vendors' voice names that begin with the text."""
    from hearsay import wiring
    from hearsay.dialects.vendor_voices import VENDOR_VOICES

    catalogue = wiring.catalogue(resolved().settings)
    installed = [voice.id for card in catalogue.synthesizers() for voice in catalogue.voices(card)]
    names = dict.fromkeys((*installed, *(voice.name for voice in VENDOR_VOICES.values())))
    return [name for name in names if name.casefold().startswith(incomplete.casefold())]
