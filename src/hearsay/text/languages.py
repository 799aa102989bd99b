"""Languages: codes, English names, and the accepted spellings of both.

Knows no engine; a model's card lists its languages. Codes are ISO 639-1 where there is one. Names are those
of openai/whisper `tokenizer.py`, which the hosted services return.
"""

from __future__ import annotations

import difflib
import re

from hearsay.errors import InvalidRequest

# fmt: off
NAMES: dict[str, str] = {
    "en": "english", "zh": "chinese", "de": "german", "es": "spanish", "ru": "russian", "ko": "korean",
    "fr": "french", "ja": "japanese", "pt": "portuguese", "tr": "turkish", "pl": "polish", "ca": "catalan",
    "nl": "dutch", "ar": "arabic", "sv": "swedish", "it": "italian", "id": "indonesian", "hi": "hindi",
    "fi": "finnish", "vi": "vietnamese", "he": "hebrew", "uk": "ukrainian", "el": "greek", "ms": "malay",
    "cs": "czech", "ro": "romanian", "da": "danish", "hu": "hungarian", "ta": "tamil", "no": "norwegian",
    "th": "thai", "ur": "urdu", "hr": "croatian", "bg": "bulgarian", "lt": "lithuanian", "la": "latin",
    "mi": "maori", "ml": "malayalam", "cy": "welsh", "sk": "slovak", "te": "telugu", "fa": "persian",
    "lv": "latvian", "bn": "bengali", "sr": "serbian", "az": "azerbaijani", "sl": "slovenian",
    "kn": "kannada", "et": "estonian", "mk": "macedonian", "br": "breton", "eu": "basque",
    "is": "icelandic", "hy": "armenian", "ne": "nepali", "mn": "mongolian", "bs": "bosnian", "kk": "kazakh",
    "sq": "albanian", "sw": "swahili", "gl": "galician", "mr": "marathi", "pa": "punjabi", "si": "sinhala",
    "km": "khmer", "sn": "shona", "yo": "yoruba", "so": "somali", "af": "afrikaans", "oc": "occitan",
    "ka": "georgian", "be": "belarusian", "tg": "tajik", "sd": "sindhi", "gu": "gujarati", "am": "amharic",
    "yi": "yiddish", "lo": "lao", "uz": "uzbek", "fo": "faroese", "ht": "haitian creole", "ps": "pashto",
    "tk": "turkmen", "nn": "nynorsk", "mt": "maltese", "sa": "sanskrit", "lb": "luxembourgish",
    "my": "myanmar", "bo": "tibetan", "tl": "tagalog", "mg": "malagasy", "as": "assamese", "tt": "tatar",
    "haw": "hawaiian", "ln": "lingala", "ha": "hausa", "ba": "bashkir", "jw": "javanese", "su": "sundanese",
    "yue": "cantonese",
}
"""English name of every language code, in the order of Whisper's language tokens."""

ALIASES: dict[str, str] = {
    "burmese": "my", "valencian": "ca", "flemish": "nl", "haitian": "ht", "letzeburgesch": "lb",
    "pushto": "ps", "panjabi": "pa", "moldavian": "ro", "moldovan": "ro", "sinhalese": "si",
    "castilian": "es", "mandarin": "zh", "farsi": "fa", "bokmål": "no", "filipino": "tl", "cmn": "zh",
    "fil": "tl", "in": "id", "iw": "he", "ji": "yi", "jv": "jw", "mo": "ro", "nb": "no",
}
# fmt: on
"""Other names and codes; the last ones are ISO or BCP 47 codes that differ from Whisper's."""

UNKNOWN = ("", "auto")
"""Spellings that request language detection."""

_REGION = re.compile(r"[-_][a-z0-9-_]+$")

_MAX_LENGTH = 64
"""Characters of the longest accepted text; a fuzzy search of a megabyte would take hours."""


def parse(text: str) -> str | None:
    """Parse a code or name in any case, with or without a region (`en-US`), to a code; None means detection.

    Raises: `InvalidRequest` with the nearest names.
    """
    normalized = text.strip().lower()
    if normalized in UNKNOWN:
        return None
    if len(normalized) > _MAX_LENGTH:
        message = f"There is no language {normalized[:20] + '…'!r}. Give an ISO 639-1 code, or `auto`."
        raise InvalidRequest(message, param="language", code="invalid_language")
    for spelling in (normalized, _REGION.sub("", normalized)):
        if spelling in NAMES:
            return spelling
        if spelling in _CODES:
            return _CODES[spelling]
    matches = difflib.get_close_matches(normalized, [*_CODES, *NAMES], n=3)
    hint = f" Did you mean {' or '.join(repr(name) for name in matches)}?" if matches else ""
    message = f"There is no language {text.strip()!r}.{hint} Give an ISO 639-1 code, or `auto`."
    raise InvalidRequest(message, param="language", code="invalid_language")


def name(code: str) -> str:
    """Return the English name of a code, in lower case; an unknown code itself."""
    return NAMES.get(code, code)


_CODES = {name: code for code, name in NAMES.items()} | ALIASES
