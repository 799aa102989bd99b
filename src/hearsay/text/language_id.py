"""In which language a text is written, as far as that can be told.

Knows no voice and no model. Better no answer than a wrong one: a greeting is too short, half English and
half German is neither, and for both there is the language that the operator chose. Only where that one
could not even be read, because the script is another, the likeliest of those that share the script will do.
Scripts that one language has to itself decide by themselves; for the others there is a classifier of byte
sequences, which needs 75 MB and a second when it is first asked and a millisecond for a text from then on.
Any thread may ask.

Sources: Lui & Baldwin (2011), Cross-domain Feature Selection for Language Identification; Lui & Baldwin
(2012), langid.py; the model of 139 languages is that of `py3langid`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from functools import cache
from threading import Lock
from typing import Any

from hearsay.text import languages

SAMPLE = 600
"""Characters of a text that are looked at."""

CONFIDENCE = 0.5
"""Probability that an answer must have."""

MIN_LETTERS = 6
"""Fewer say nothing in a script that many languages share."""

# fmt: off
COMMON = frozenset({
    "ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hr", "hu",
    "id", "it", "ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sr", "sv", "ta", "th", "tr",
    "uk", "ur", "vi", "zh",
})
# fmt: on
"""Languages that are read every day by many."""

RARITY = 3.0
"""Nats of evidence that speak against any other before a letter is read: `Hola` is not Aragonese."""

_SCRIPTS: tuple[tuple[str, str], ...] = (
    ("\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d", "ja"),
    ("\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff", "ko"),
    ("\u0370-\u03ff\u1f00-\u1fff", "el"),
    ("\u0590-\u05ff", "he"),
    ("\u0e00-\u0e7f", "th"),
    ("\u10a0-\u10ff\u1c90-\u1cbf", "ka"),
    ("\u0530-\u058f", "hy"),
    ("\u1200-\u139f", "am"),
    ("\u0a00-\u0a7f", "pa"),
    ("\u0a80-\u0aff", "gu"),
    ("\u0b00-\u0b7f", "or"),
    ("\u0b80-\u0bff", "ta"),
    ("\u0c00-\u0c7f", "te"),
    ("\u0c80-\u0cff", "kn"),
    ("\u0d00-\u0d7f", "ml"),
    ("\u0d80-\u0dff", "si"),
    ("\u0e80-\u0eff", "lo"),
    ("\u0f00-\u0fff", "bo"),
    ("\u1000-\u109f", "my"),
    ("\u1780-\u17ff", "km"),
    ("\u13a0-\u13ff\uab70-\uabbf", "chr"),
)
"""Letters and the language that alone is written in them, or nearly so."""

_OWN = tuple((re.compile(f"[{letters}]"), code) for letters, code in _SCRIPTS)

_SHARED: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (
        re.compile("[\u0400-\u052f]"),
        ("ru", "uk", "bg", "sr", "be", "mk", "kk", "ky", "mn", "tg", "tt", "ba"),
    ),
    (
        re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]"),
        ("ar", "fa", "ur", "ps", "sd", "ug"),
    ),
    (re.compile("[\u0900-\u097f]"), ("hi", "mr", "ne")),
    (re.compile("[\u0980-\u09ff]"), ("bn", "as")),
    (re.compile("[\u3400-\u9fff]"), ("zh", "ja", "yue")),
)
"""Letters and the few languages that are written in them, the one with the most readers first."""

_KANJI = re.compile("[\u3400-\u9fff]")

_KANJI_PER_KANA = 10
"""More than Japanese has; Chinese borrows a kana now and then."""

_LETTERS = re.compile(r"[^\W\d_]")

_CODES = {"jv": "jw", "nb": "no"}
"""Codes that the classifier writes differently from `languages`."""

_loading = Lock()


def identify(text: str, among: Collection[str]) -> str | None:
    """Return the code of the language in which a text is written; None where it cannot be told.

    `among` are the codes that may be answered. A text in another language gives None.
    """
    sample = text[:SAMPLE]
    n_letters = len(_LETTERS.findall(sample))
    found = _by_script(sample, n_letters)
    if found is None and n_letters >= MIN_LETTERS:
        found = _by_letters(sample, frozenset(among))
    return found if found in among else None


def prepare() -> None:
    """Load the classifier now, so that nobody waits for it later."""
    _classifier()


def _by_script(sample: str, n_letters: int) -> str | None:
    for script, code in _OWN:
        n_own = len(script.findall(sample))
        if code == "ja" and (n_kanji := len(_KANJI.findall(sample))) < _KANJI_PER_KANA * n_own:
            n_own += n_kanji
        if 2 * n_own > n_letters:
            return code
    for script, codes in _SHARED:
        if 2 * len(script.findall(sample)) > n_letters:
            evidence = _evidence(sample) if n_letters else {}  # digits: the first will do
            return max(codes, key=lambda code: evidence.get(code, -math.inf))
    return None


def _by_letters(sample: str, among: frozenset[str]) -> str | None:
    half = len(sample) // 2
    parts = [sample] if len(sample) < SAMPLE // 3 else [sample[:half], sample[half:]]
    answers = {_likeliest(part, among) for part in parts}
    return answers.pop() if len(answers) == 1 else None


def _likeliest(text: str, among: frozenset[str]) -> str | None:
    """Return the likeliest language, if it is likely enough.

    Its rivals are all that anybody may have meant.
    """
    temper = math.sqrt(len(text.encode("utf-8", "replace")))
    weights = {
        code: score / temper
        for code, score in _evidence(text).items()
        if code in among or code in languages.NAMES
    }
    best = max(weights, key=lambda code: weights[code])
    total = sum(math.exp(weight - weights[best]) for weight in weights.values())
    return best if 1 / total >= CONFIDENCE else None


def _evidence(text: str) -> Mapping[str, float]:
    """Return the logarithm of each language's probability, but for a constant, in no particular order."""
    evidence: dict[str, float] = {}
    for name, score in _classifier().rank(text.encode("utf-8", "replace")):
        code = _CODES.get(name, name)
        evidence.setdefault(code, score - (0.0 if code in COMMON else RARITY))
    return evidence


def _classifier() -> Any:
    with _loading:
        return _loaded()


@cache
def _loaded() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
