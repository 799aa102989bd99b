"""Text cleaning, and splitting into utterances for synthesis.

Knows no voice and no model: the caller sets the length of utterances. Cuts prefer the end of a sentence, then
a clause, then a word, and never split a grapheme. Text may be a stream, as of a language model; it is read no
further than the next utterance needs, in constant memory.

Sources: `sentencex` (Wikimedia) finds sentence ends; grapheme clusters follow Unicode Standard Annex #29 as
far as the standard library has the properties; the limit on marks is that of the Stream-Safe Text Format
(Unicode Standard Annex #15).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

MAX_JOINED = 800
"""Characters up to which short neighbouring sentences are joined to one utterance."""

MAX_MARKS = 30
"""Combining marks per character; more are dropped."""

_BLOCK = 1024
"""Characters read at a time."""

_LOOKAHEAD = 128
"""Characters after the longest utterance that may decide whether a sentence ends there."""

_LINES = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028]")

_UNSPEAKABLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\ufffc-\uffff\U000f0000-\U0010ffff]"
)
"""Unspeakable characters that may separate words: controls, surrogates, private use."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
"""Invisible characters: soft hyphens, directional and byte order marks, variation selectors."""

_JOINERS = re.compile(r"(?<![^\x00-\x7f\s])[\u200c\u200d]+|(?<=[\u200c\u200d])[\u200c\u200d]+")
"""Joiners without effect; in Persian, Hindi or an emoji a single one has a meaning."""

_COMPATIBILITY_FORMS = re.compile(
    "[\u2080-\u2089\u2103\u2109\u2160-\u217f\u2460-\u2473\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufd3d\ufd50-\ufdfb"
    "\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f\uffa1-\uffdc\U0001d400-\U0001d7ff]+"
)
"""Compatibility forms of letters and digits, which voices omit or spell: full-width, ligatures, mathematical.

Symbols keep their forms: `½` is not read as `1⁄2`, and a full-width mark ends a Chinese sentence.
"""

_SPACES = re.compile(r"\s{2,}|[^\S ]")
"""White space other than a single space."""

_SYMBOL_RUN = re.compile(rf"[^\w\s]{{{MAX_MARKS + 1},}}")

_PARAGRAPH = re.compile(r"\n\n")

_CLAUSE = re.compile(r"[,;:،؛፣፤၊–—…)\]»”][\s]|\s[-–—]\s|[、，；：。！？।॥။።」』）]|[.!?؟۔]\s")

_ABBREVIATION = re.compile(r"\W*(?:\w|\d\d)[.)]\s*")
"""An initial, a title or a number that looks like a sentence: `M.`, `3.`, `b)`."""

_JOINS_NEXT = frozenset("เแโใไເແໂໃໄ\u200d")
"""Characters that form a cluster with the next one; `_JOINS_PREVIOUS` with the previous one."""

_JOINS_PREVIOUS = frozenset("ำຳ\u200c\u200d")


def clean(text: str) -> str:
    """Return the text without unspeakable characters; clean text stays the same. Never raises.

    White space becomes a space, a newline, or two of them at the end of a paragraph. Compatibility forms of
    letters and digits (full-width, ligatures) become plain ones. Markup stays.
    """
    if text.isascii() and text.isprintable():
        return _SPACES.sub(_collapse, text)
    text = _LINES.sub("\n", text).replace("\u2029", "\n\n")
    if not text.isascii():
        text = _COMPATIBILITY_FORMS.sub(_normalize_form, text)
    text = _JOINERS.sub("", _INVISIBLE.sub("", _UNSPEAKABLE.sub(" ", text)))
    text = _SPACES.sub(_collapse, text)
    if not text.isascii():
        text = _SYMBOL_RUN.sub(
            _limit_marks, unicodedata.normalize("NFC", _SYMBOL_RUN.sub(_limit_marks, text))
        )
    return text


def split_utterances(
    text: str | Iterable[str], *, language: str | None, max_length: int, first_length: int = 120
) -> Iterator[str]:
    """Yield the utterances of a text in order; joined they are the cleaned text, except for white space.

    `max_length` is the length of an utterance in characters, `first_length` that of the first one, short for
    a low latency. `language` is a code, with or without segmentation rules.
    """
    splitter = _UtteranceSplitter(text, language or "en", max_length)
    limit, joined_length = min(first_length, max_length), 0
    while (utterance := splitter.next_utterance(limit, joined_length)) is not None:
        yield utterance
        limit, joined_length = max_length, min(MAX_JOINED, max_length)


class _UtteranceSplitter:
    """Splits a text, reading no further than necessary."""

    def __init__(self, text: str | Iterable[str], language: str, max_length: int) -> None:
        self._source = _blocks(text)
        self._is_in_memory = isinstance(text, str)
        self._language = language.partition("-")[0].lower()
        self._lookahead = max_length + _LOOKAHEAD
        self._buffer = ""
        self._ended = False

    def next_utterance(self, max_length: int, joined_length: int) -> str | None:
        """Remove and return the next utterance; None at the end of the text."""
        while True:
            self._buffer = self._buffer.lstrip()
            if self._buffer:
                end = self._find_end(max_length, joined_length)
                if end:
                    utterance, self._buffer = self._buffer[:end], self._buffer[end:]
                    return " ".join(utterance.split())
            elif self._ended:
                return None
            self._read_block()

    def _read_block(self) -> None:
        block = next(self._source, None)
        self._ended = block is None
        if block is not None:
            self._buffer = clean(self._buffer + block)

    def _find_end(self, max_length: int, joined_length: int) -> int | None:
        """Return the end of the next utterance; None where that takes more text."""
        paragraph = _PARAGRAPH.search(self._buffer, 0, self._lookahead)
        stop = paragraph.start() if paragraph else min(len(self._buffer), self._lookahead)
        complete = paragraph is not None or (self._ended and stop == len(self._buffer))
        if not complete and self._is_in_memory and stop <= joined_length:
            return None
        ends = _sentence_ends(self._buffer[:stop], self._language)
        if not complete:
            ends.pop()
        fitting = [end for end in ends if end <= joined_length] or [
            end for end in ends[:1] if end <= max_length
        ]
        if fitting:
            return fitting[-1]
        return _cut_point(self._buffer, max_length) if stop > max_length else None


def _blocks(text: str | Iterable[str]) -> Iterator[str]:
    """Yield a text in blocks of bounded size, without splitting `\\r\\n`."""
    carry = ""
    for part in (text,) if isinstance(text, str) else text:
        for start in range(0, len(part), _BLOCK):
            block = carry + part[start : start + _BLOCK]
            carry = "\r" if block.endswith("\r") else ""
            yield block.removesuffix("\r")
    if carry:
        yield carry


def _sentence_ends(text: str, language: str) -> list[int]:
    """Return the ends of the sentences; the last is the end of the text."""
    ends: list[int] = []
    start = end = 0
    for sentence in _segment_sentences(text, language):
        end += len(sentence)
        if not _ABBREVIATION.fullmatch(text, start, end):
            ends.append(end)
            start = end
    if not ends or ends[-1] < end:
        ends.append(end)
    return ends


def _segment_sentences(text: str, language: str) -> list[str]:
    """Return the sentences of `sentencex`; a text on which it fails is one sentence."""
    from sentencex import segment

    try:
        return list(segment(language, text))
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a Rust panic is no `Exception` and cannot be imported
            raise
        return [text]


def _cut_point(text: str, max_length: int) -> int:
    """Return the best cut of a text that is too long: from 1 to `max_length` characters."""
    clauses = [match.end() for match in _CLAUSE.finditer(text, 0, max_length)]
    if clauses and clauses[-1] > max_length // 8:
        return clauses[-1]
    space = max(text.rfind(" ", 1, max_length + 1), text.rfind("\n", 1, max_length + 1))
    if space > 0:
        return space
    return next((index for index in range(max_length, 0, -1) if _is_boundary(text, index)), max_length)


def _is_boundary(text: str, index: int) -> bool:
    """Return whether a grapheme ends before this index."""
    before, after = text[index - 1], text[index]
    if after in _JOINS_PREVIOUS or before in _JOINS_NEXT or _is_mark(after):
        return False
    if "\u1160" <= after <= "\u11ff" or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False
    if _is_flag(before) and _is_flag(after):
        run = index
        while run and _is_flag(text[run - 1]):
            run -= 1
        return (index - run) % 2 == 0
    return unicodedata.combining(before) != _VIRAMA


_VIRAMA = 9
"""Combining class of the signs that join two consonants of an Indic script."""


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _normalize_form(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0])


def _collapse(match: re.Match[str]) -> str:
    n_lines = match[0].count("\n")
    return " " if n_lines == 0 else "\n" if n_lines == 1 else "\n\n"


def _limit_marks(match: re.Match[str]) -> str:
    kept, n_marks = [], 0
    for character in match[0]:
        n_marks = n_marks + 1 if _is_mark(character) else 0
        if n_marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)
