"""From espeak-ng's phonemes of a text to those that a neural voice was trained on, sentence by sentence.

Does not know the library: a clause comes as phonemes (IPA) and the stretch of text that they stand for.
Sources: rhasspy/piper-phonemize (`phonemize.cpp`: marks after clauses, decomposed letters, flags of language
switches left out), hexgrad/misaki (`espeak.py`: what Kokoro 1.0 writes otherwise than espeak-ng does).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

MOST_PHONEMES = 200
"""In one sentence: some 15 s of speech. Kokoro has no style for more than 509, and memory grows with it."""

FEWEST_PHONEMES = 40
"""A sentence shorter than this is synthesized with the next: voices stumble over single words, and what
looks like the end of a sentence may be that of `Dr.`."""

TIE = "^"
"""What joins the letters of one sound where that is asked of espeak-ng."""

_MARK = re.compile(r"[.,;:!?…。．！？，、；：।؟،؛—–]")
_PLAIN = str.maketrans("。．！？，、；：।؟،؛–", "..!?,,;:.?,;—")
_ENDS = frozenset(".!?…")
_SWITCH = re.compile(r"\([a-z-]+\)")
_SYLLABIC = re.compile("(\\S)\u0329")


KOKORO_SYMBOLS = {
    symbol: number
    for number, symbol in enumerate(
        '_;:,.!?__—…"()“” \u0303ʣʥʦʨᵝꭧAI_____O_Q_ST__W_Yᵊabcdef_hijklmnopqrstuvwxyzɑɐɒæ__βɔɕç_ɖðʤə_ɚɛɜ__ɟ_ɡ'
        "______ɥ_ɨɪʝ______ɯɰŋɳɲɴø_ɸθœ__ɹ_ɾɻ_ʁɽʂʃʈʧ_ʊʋ_ʌɣɤ_χʎ___ʒʔ_______ˈˌː___ʰ_ʲ____↓_→↗↘___ᵻ"
    )
    if symbol != "_"
}
"""The symbols of Kokoro 1.0 and their numbers, as `config.json` of hexgrad/Kokoro-82M has them."""


class Spelling(StrEnum):
    """How the phonemes of a voice are written."""

    ESPEAK = "espeak"
    """As espeak-ng writes them, in decomposed letters: Piper."""
    KOKORO_FIRST = "kokoro-first"
    """Kokoro 0.19."""
    KOKORO = "kokoro"
    """Kokoro 1.0: one letter for each diphthong and affricate."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a text without a pause inside."""

    phonemes: str
    text: str
    """As it was written, with what ends it; it may begin or end a letter early or late."""


def is_tied(spelling: Spelling) -> bool:
    """Return whether espeak-ng must mark which letters are one sound."""
    return spelling is Spelling.KOKORO


def sentences(
    clauses: Iterable[Clause],
    spelling: Spelling,
    language: str,
    known: Collection[str],
    most: int = MOST_PHONEMES,
) -> Iterator[str]:
    """Yield sentences of at most so many phonemes that a voice knows, with the marks between them.

    `language` is espeak-ng's name of the voice's language; phonemes that are not in `known` are left out,
    as every program for these voices does. A text that cannot be spoken has no sentences.
    """
    gathered = ""
    for clause in clauses:
        spoken = _known(spelled(clause.phonemes, spelling, language), known).strip()
        mark = mark_of(clause.text)
        if spoken:
            gathered += spoken + _known(mark, known)
            if mark in _ENDS and len(gathered) >= FEWEST_PHONEMES:
                yield from cut(gathered, most)
                gathered = ""
            else:
                gathered += " "
    yield from cut(gathered.strip(), most)


def mark_of(text: str) -> str:
    """Return what ends a clause: the last mark in its text, after all words but a part of the next one."""
    end = max((found.end() for found in _MARK.finditer(text)), default=0)
    if not end or len(re.findall(r"\w", text[end:])) > 1:
        return ""
    return text[end - 1].translate(_PLAIN)


def spelled(phonemes: str, spelling: Spelling, language: str) -> str:
    """Return phonemes as a voice has them written."""
    phonemes = _SWITCH.sub("", phonemes)
    if spelling is Spelling.KOKORO:
        return _kokoro(phonemes, language)
    if spelling is Spelling.KOKORO_FIRST:
        return phonemes.replace("ʲ", "j").replace("r", "ɹ").replace("x", "k").replace("ɬ", "l")
    return unicodedata.normalize("NFD", phonemes)


def cut(phonemes: str, most: int) -> Iterator[str]:
    """Yield parts of what is too long, cut after a mark in the second half, else between words."""
    while len(phonemes) > most:
        head = phonemes[:most]
        at = max(head.rfind(mark) for mark in (", ", "; ", ": ", "— ")) + 1
        if at <= most // 2:
            at = head.rfind(" ")
        if at <= 0:
            at = most
        yield phonemes[:at].strip()
        phonemes = phonemes[at:].strip()
    if phonemes:
        yield phonemes


_SHARED = (("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"), ("e^ɪ", "A"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"))
"""Sounds for which Kokoro has letters of its own, in every language."""

_ENGLISH = (
    *(*_SHARED, ("ə^l", "ᵊl"), ("ʔˌn\u0329", "tᵊn"), ("ʔn\u0329", "tᵊn"), ("ʔn", "tᵊn")),
    *(("e", "A"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"), ("ɚ", "əɹ"), ("ɬ", "l"), ("ʔ", "t")),
    *(("ʲ", ""), ("\u0303", "")),
)
_BRITISH = (("e^ə", "ɛː"), ("i^ə", "ɪə"), ("iə", "ɪə"), ("ə^ʊ", "Q"))
_AMERICAN = (("o^ʊ", "O"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪə", "iə"), ("ː", ""))
_OTHERS = (*_SHARED, ("d^z", "ʣ"), ("o^ʊ", "O"), ("s^s", "S"), ("t^s", "ʦ"), ("ə^ʊ", "Q"))


def _kokoro(phonemes: str, language: str) -> str:
    if not language.startswith("en"):
        return _replaced(phonemes, _OTHERS).replace(TIE, "").replace("-", "")
    british = language != "en-us"
    # Of British "e^ə" the "e" is no "A"; so it goes first.
    phonemes = _replaced(phonemes, (_BRITISH[0],)) if british else phonemes
    phonemes = _SYLLABIC.sub(r"ᵊ\1", _replaced(phonemes, _ENGLISH))
    phonemes = _replaced(phonemes, _BRITISH if british else _AMERICAN)
    return phonemes.replace(TIE, "")


def _replaced(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def _known(text: str, known: Collection[str]) -> str:
    return "".join(letter for letter in text if letter in known)
