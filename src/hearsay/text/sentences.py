"""Text made harmless, and cut into the pieces in which it is spoken.

Knows no voice and no model: how long a piece may be is for the caller to say. Cuts prefer the end of a
sentence, then a clause, then a word, and never part what is one character to a reader. Text may come bit by
bit, as a book or a language model supplies it; no more of it is read than the next piece needs, and memory
does not grow with its length.

Sources: sentence ends are found by `sentencex` (Wikimedia), clusters follow Unicode Standard Annex #29 as far
as the standard library knows the properties, and the limit on marks is that of the Stream-Safe Text Format
(Unicode Standard Annex #15).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

JOINED = 800
"""Characters up to which short neighbouring sentences are spoken as one piece."""

MOST_MARKS = 30
"""Combining marks that one character may carry; more are dropped."""

_BLOCK = 1024
"""Characters of a long text that are looked at together."""

_AHEAD = 128
"""Characters past the longest piece that may tell whether a sentence ends there."""

_LINES = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028]")

_BLANKS = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\ufffc-\uffff\U000f0000-\U0010ffff]"
)
"""What cannot be said but may part two words: controls, halves of pairs, private use."""

_JUNK = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
"""What is written and not seen: soft hyphens, marks of direction and of byte order, variants of signs."""

_JOINERS = re.compile(r"(?<![^\x00-\x7f\s])[\u200c\u200d]+|(?<=[\u200c\u200d])[\u200c\u200d]+")
"""Joiners that join nothing; in Persian, Hindi or an emoji one of them has its meaning."""

_FORMS = re.compile(
    "[\u2080-\u2089\u2103\u2109\u2160-\u217f\u2460-\u2473\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufd3d\ufd50-\ufdfb"
    "\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f\uffa1-\uffdc\U0001d400-\U0001d7ff]+"
)
"""Other forms of letters and digits, which voices leave out or spell: full-width, ligatures, mathematical.

Signs keep theirs: `½` is no `1⁄2` to a reader, and a full-width mark ends a Chinese sentence.
"""

_SPACES = re.compile(r"\s{2,}|[^\S ]")
"""White space that is no single space, which is what most of it is."""

_SIGNS = re.compile(rf"[^\w\s]{{{MOST_MARKS + 1},}}")

_PARAGRAPH = re.compile(r"\n\n")

_CLAUSE = re.compile(r"[,;:،؛፣፤၊–—…)\]»”][\s]|\s[-–—]\s|[、，；：。！？।॥။።」』）]|[.!?؟۔]\s")

_STUB = re.compile(r"\W*(?:\w|\d\d)[.)]\s*")
"""What looks like a sentence and is an initial, a title or a number: `M.`, `3.`, `b)`."""

_KEPT_BEFORE = frozenset("เแโใไເແໂໃໄ\u200d")
"""Characters that belong to the one after them."""

_KEPT_AFTER = frozenset("ำຳ\u200c\u200d")


def clean(text: str) -> str:
    """Turn any text into one that can be spoken and sent; what is clean stays as it is. Never raises.

    White space becomes a space, a line's end, or two of them where a paragraph ends. Letters and digits in
    other forms (full-width, ligatures) become plain ones. Markup stays the text that it is.
    """
    if text.isascii() and text.isprintable():
        return _SPACES.sub(_space, text)
    text = _LINES.sub("\n", text).replace("\u2029", "\n\n")
    if not text.isascii():
        text = _FORMS.sub(_plain, text)
    text = _JOINERS.sub("", _JUNK.sub("", _BLANKS.sub(" ", text)))
    text = _SPACES.sub(_space, text)
    if not text.isascii():
        text = _SIGNS.sub(_few_marks, unicodedata.normalize("NFC", _SIGNS.sub(_few_marks, text)))
    return text


def split_utterances(
    text: str | Iterable[str], *, language: str | None, most: int, first: int = 120
) -> Iterator[str]:
    """Return the pieces of a text in order; joined they are the cleaned text, but for white space.

    `most` is how many characters a piece may have, `first` how many the first one, which is short so that
    sound comes soon. `language` is a code, known to the rules or not.
    """
    reading = _Reading(text, language or "en", most)
    limit, joined = min(first, most), 0
    while (piece := reading.piece(limit, joined)) is not None:
        yield piece
        limit, joined = most, min(JOINED, most)


class _Reading:
    """A text being read, as far as it is needed."""

    def __init__(self, text: str | Iterable[str], language: str, most: int) -> None:
        self._source = _blocks(text)
        self._at_hand = isinstance(text, str)
        self._language = language.partition("-")[0].lower()
        self._enough = most + _AHEAD
        self._held = ""
        self._ended = False

    def piece(self, most: int, joined: int) -> str | None:
        """Cut the next piece off; None at the end of the text."""
        while True:
            self._held = self._held.lstrip()
            if self._held:
                end = self._end(most, joined)
                if end:
                    piece, self._held = self._held[:end], self._held[end:]
                    return " ".join(piece.split())
            elif self._ended:
                return None
            self._read()

    def _read(self) -> None:
        block = next(self._source, None)
        self._ended = block is None
        if block is not None:
            self._held = clean(self._held + block)

    def _end(self, most: int, joined: int) -> int | None:
        """Find where the next piece ends; None where that cannot be told without reading on."""
        paragraph = _PARAGRAPH.search(self._held, 0, self._enough)
        stop = paragraph.start() if paragraph else min(len(self._held), self._enough)
        closed = paragraph is not None or (self._ended and stop == len(self._held))
        if not closed and self._at_hand and stop <= joined:
            return None
        ends = _sentence_ends(self._held[:stop], self._language)
        if not closed:
            ends.pop()
        fitting = [end for end in ends if end <= joined] or [end for end in ends[:1] if end <= most]
        if fitting:
            return fitting[-1]
        return _cut(self._held, most) if stop > most else None


def _blocks(text: str | Iterable[str]) -> Iterator[str]:
    """Return a text in parts of bounded size; a line's end that is written as two characters stays whole."""
    owed = ""
    for part in (text,) if isinstance(text, str) else text:
        for start in range(0, len(part), _BLOCK):
            block = owed + part[start : start + _BLOCK]
            owed = "\r" if block.endswith("\r") else ""
            yield block.removesuffix("\r")
    if owed:
        yield owed


def _sentence_ends(text: str, language: str) -> list[int]:
    """Find where sentences end; the last end is that of the text."""
    ends: list[int] = []
    start = end = 0
    for sentence in _segmented(text, language):
        end += len(sentence)
        if not _STUB.fullmatch(text, start, end):
            ends.append(end)
            start = end
    if not ends or ends[-1] < end:
        ends.append(end)
    return ends


def _segmented(text: str, language: str) -> list[str]:
    """Part a text by the library's rules; one over which they stumble is taken for one sentence."""
    from sentencex import segment

    try:
        return list(segment(language, text))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # What Rust raises is no `Exception`, and has no module.
            raise
        return [text]


def _cut(text: str, most: int) -> int:
    """Find the best place at which to cut what is too long: at most `most` characters, at least one."""
    clauses = [found.end() for found in _CLAUSE.finditer(text, 0, most)]
    if clauses and clauses[-1] > most // 8:
        return clauses[-1]
    space = max(text.rfind(" ", 1, most + 1), text.rfind("\n", 1, most + 1))
    if space > 0:
        return space
    return next((at for at in range(most, 0, -1) if _parts(text, at)), most)


def _parts(text: str, at: int) -> bool:
    """Return whether a reader sees two characters before and after this place."""
    before, after = text[at - 1], text[at]
    if after in _KEPT_AFTER or before in _KEPT_BEFORE or _is_mark(after):
        return False
    if "\u1160" <= after <= "\u11ff" or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False
    if _is_flag(before) and _is_flag(after):
        run = at
        while run and _is_flag(text[run - 1]):
            run -= 1
        return (at - run) % 2 == 0
    return unicodedata.combining(before) != _VIRAMA


_VIRAMA = 9
"""Combining class of the signs that bind two consonants of an Indian script."""


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _plain(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found[0])


def _space(found: re.Match[str]) -> str:
    n_lines = found[0].count("\n")
    return " " if n_lines == 0 else "\n" if n_lines == 1 else "\n\n"


def _few_marks(found: re.Match[str]) -> str:
    kept, n_marks = [], 0
    for character in found[0]:
        n_marks = n_marks + 1 if _is_mark(character) else 0
        if n_marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)
