"""Language identification of written text.

Knows no voice and no model. Prefers no result to a wrong one: for a greeting (too short) or half English and
half German text the caller has a default language. Only for another script than that of the default, the most
probable language of the script is returned. Scripts of a single language decide directly; for the others a
classifier of byte n-grams takes 75 MB and a second at first use, then a millisecond per text. Thread-safe.

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
"""Characters of a text that are read."""

CONFIDENCE = 0.5
"""Least probability of a result."""

MIN_LETTERS = 6
"""Least letters in a script that many languages share."""

# fmt: off
COMMON = frozenset({
    "ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fa", "fi", "fr", "he", "hi", "hr", "hu",
    "id", "it", "ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sr", "sv", "ta", "th", "tr",
    "uk", "ur", "vi", "zh",
})
# fmt: on
"""Widely read languages."""

RARE_PENALTY = 3.0
"""Prior against all other languages, nats: `Hola` is not Aragonese."""

# fmt: off
_UNIQUE_SCRIPTS = tuple((re.compile(f"[{letters}]"), code) for letters, code in (
    ("\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d", "ja"), ("\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff", "ko"),
    ("\u0370-\u03ff\u1f00-\u1fff", "el"), ("\u0590-\u05ff", "he"), ("\u0e00-\u0e7f", "th"),
    ("\u10a0-\u10ff\u1c90-\u1cbf", "ka"), ("\u0530-\u058f", "hy"), ("\u1200-\u139f", "am"),
    ("\u0a00-\u0a7f", "pa"), ("\u0a80-\u0aff", "gu"), ("\u0b00-\u0b7f", "or"), ("\u0b80-\u0bff", "ta"),
    ("\u0c00-\u0c7f", "te"), ("\u0c80-\u0cff", "kn"), ("\u0d00-\u0d7f", "ml"), ("\u0d80-\u0dff", "si"),
    ("\u0e80-\u0eff", "lo"), ("\u0f00-\u0fff", "bo"), ("\u1000-\u109f", "my"), ("\u1780-\u17ff", "km"),
    ("\u13a0-\u13ff\uab70-\uabbf", "chr"),
))
"""Scripts of (nearly) one language."""

_SHARED_SCRIPTS = tuple((re.compile(f"[{letters}]"), codes.split()) for letters, codes in (
    ("\u0400-\u052f", "ru uk bg sr be mk kk ky mn tg tt ba"),
    ("\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc", "ar fa ur ps sd ug"),
    ("\u0900-\u097f", "hi mr ne"), ("\u0980-\u09ff", "bn as"), ("\u3400-\u9fff", "zh ja yue"),
))
# fmt: on
"""Scripts of a few languages, the most read one first."""

_KANJI = re.compile("[\u3400-\u9fff]")

_KANJI_PER_KANA = 10
"""More than in Japanese; Chinese text sometimes contains a kana."""

_LETTERS = re.compile(r"[^\W\d_]")

_CODES = {"jv": "jw", "nb": "no"}
"""Codes in which the classifier differs from `languages`."""

_load_lock = Lock()


def identify(text: str, candidates: Collection[str]) -> str | None:
    """Return the code, among `candidates`, of a text's language; None where it is another or uncertain."""
    sample = text[:SAMPLE]
    n_letters = len(_LETTERS.findall(sample))
    found = _by_script(sample, n_letters)
    if found is None and n_letters >= MIN_LETTERS:
        found = _by_classifier(sample, frozenset(candidates))
    return found if found in candidates else None


def prepare() -> None:
    """Load the classifier ahead of the first request."""
    _classifier()


def _by_script(sample: str, n_letters: int) -> str | None:
    for script, code in _UNIQUE_SCRIPTS:
        n_matching = len(script.findall(sample))
        if code == "ja" and (n_kanji := len(_KANJI.findall(sample))) < _KANJI_PER_KANA * n_matching:
            n_matching += n_kanji
        if 2 * n_matching > n_letters:
            return code
    for script, codes in _SHARED_SCRIPTS:
        if 2 * len(script.findall(sample)) > n_letters:
            scores = _log_probabilities(sample) if n_letters else {}  # digits: the first will do
            return max(codes, key=lambda code: scores.get(code, -math.inf))
    return None


def _by_classifier(sample: str, candidates: frozenset[str]) -> str | None:
    half = len(sample) // 2
    parts = [sample] if len(sample) < SAMPLE // 3 else [sample[:half], sample[half:]]
    answers = {_most_probable(part, candidates) for part in parts}
    return answers.pop() if len(answers) == 1 else None


def _most_probable(text: str, candidates: frozenset[str]) -> str | None:
    """Return the most probable language of the candidates and all of `languages`, if probable enough."""
    temperature = math.sqrt(len(text.encode("utf-8", "replace")))
    weights = {
        code: score / temperature
        for code, score in _log_probabilities(text).items()
        if code in candidates or code in languages.NAMES
    }
    best = max(weights, key=lambda code: weights[code])
    total = sum(math.exp(weight - weights[best]) for weight in weights.values())
    return best if 1 / total >= CONFIDENCE else None


def _log_probabilities(text: str) -> Mapping[str, float]:
    """Return the log probability of each language, up to a constant, unordered."""
    scores: dict[str, float] = {}
    for name, score in _classifier().rank(text.encode("utf-8", "replace")):
        code = _CODES.get(name, name)
        scores.setdefault(code, score - (0.0 if code in COMMON else RARE_PENALTY))
    return scores


def _classifier() -> Any:
    with _load_lock:
        return _load()


@cache
def _load() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
