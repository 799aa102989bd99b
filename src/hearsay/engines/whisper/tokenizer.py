"""Whisper's vocabulary: text to tokens and back, special tokens, prompts, and where words begin.

Knows no audio and no model. Byte pair encoding is done by the `tokenizers` library; special tokens are kept
out of it, so that text which merely looks like one stays text. Follows openai/whisper `tokenizer.py`, and for
prompts `_get_initial_tokens` of `decoding.py`.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hearsay.domain import Task, Window
from hearsay.errors import ConfigurationError, DownloadFailed, UnsupportedOption

if TYPE_CHECKING:
    import tokenizers

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages written without spaces, where every character may begin a word."""

_REPLACEMENT = "\ufffd"
_NOTES = "♩♪♫♬♭♮♯"
_SYMBOLS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    *("<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", '("', "((", "))", "(((", ")))"),
    *("[[", "]]", "{{", "}}", "♪♪", "♪♪♪"),
)


def _id_of(*names: str) -> cached_property[int]:
    """Return a property of a `Vocabulary`: the id of a special token, by the first name that is known."""
    return cached_property(lambda vocabulary: vocabulary.special_id(*names))


@dataclass(frozen=True)
class Vocabulary:
    """Every token of one model."""

    pieces: Mapping[str, int]
    """Text tokens in the byte-to-letter spelling of GPT-2, with their ids."""
    merges: Sequence[tuple[str, str]]
    """Which pieces are joined, most important first."""
    special: Mapping[str, int]
    """Special tokens such as `<|endoftext|>`, with their ids."""

    end_of_text = _id_of("<|endoftext|>")
    """Id that ends a transcript; smaller ids are text."""
    start = _id_of("<|startoftranscript|>")
    """Id that begins a transcript."""
    translate = _id_of("<|translate|>")
    """Id of the task of translating to English."""
    transcribe = _id_of("<|transcribe|>")
    """Id of the task of transcribing in the language of the speech."""
    previous = _id_of("<|startofprev|>")
    """Id that begins the text before the window."""
    no_speech = _id_of("<|nospeech|>", "<|nocaptions|>")
    """Id whose probability is that of no speech in the window."""

    @cached_property
    def timestamp_begin(self) -> int:
        """Id of time 0.00; timestamps follow the last of the named special tokens."""
        return self.special_id("<|notimestamps|>") + 1

    @cached_property
    def languages(self) -> dict[str, int]:
        """Id of every language code, in the model's order; they stand between start and translate."""
        codes = {
            token.strip("<|>"): id_
            for token, id_ in self.special.items()
            if self.start < id_ < self.translate
        }
        return dict(sorted(codes.items(), key=lambda item: item[1]))

    @cached_property
    def multilingual(self) -> bool:
        """Whether this is the vocabulary of multilingual models, whose prompts name the language.

        It has one text token more than that of English-only ones: the last, which spells nothing. Language
        tokens tell nothing, for both have them. CTranslate2 looks for the same token.
        """
        spelled = {id_ for piece, id_ in self.pieces.items() if piece and id_ < self.end_of_text}
        return len(spelled) < self.end_of_text

    @cached_property
    def suppressed(self) -> tuple[int, ...]:
        """Ids that must never be sampled: special tokens, and signs for sounds that are not speech."""
        special = {self.transcribe, self.translate, self.start, self.previous, self.no_speech}
        return tuple(sorted(special | {self.special_id("<|startoflm|>")} | self._non_speech()))

    def prompt(self, window: Window, *, max_previous: int) -> list[int]:
        """Return what stands before the first sampled token: earlier text, then the start sequence.

        At most `max_previous` tokens of earlier text are kept. Raises: `UnsupportedOption`.
        """
        previous = window.previous[-max_previous:]
        return [*([self.previous, *previous] if previous else []), *self.start_sequence(window)]

    def start_sequence(self, window: Window) -> list[int]:
        """Return start, language and task. Raises: `UnsupportedOption` for a language that it lacks."""
        if not self.multilingual:
            return [self.start]
        language = self.languages.get(window.language or "")
        if language is None:
            raise UnsupportedOption(
                f"The model does not know the language {window.language!r}.", param="language"
            )
        return [self.start, language, self.translate if window.task is Task.TRANSLATE else self.transcribe]

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text; nothing in it is taken for a special token."""
        return tuple(self._encoder.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; special ones vanish, broken UTF-8 becomes U+FFFD."""
        return b"".join(self._bytes[t] for t in tokens if t < self.end_of_text).decode(errors="replace")

    def split_words(self, tokens: Sequence[int], language: str | None) -> list[tuple[str, int]]:
        """Split text tokens into words: the text of each and its number of tokens."""
        characters = self._split_characters(tokens)
        return characters if language in UNSPACED else _join_to_words(characters)

    def _split_characters(self, tokens: Sequence[int]) -> list[tuple[str, int]]:
        """Split tokens wherever those since the last split are whole characters."""
        full_text = self.decode(tokens)
        characters: list[tuple[str, int]] = []
        begin, offset = 0, 0
        for end in range(1, len(tokens) + 1):
            text = self.decode(tokens[begin:end])
            broken = text.find(_REPLACEMENT)
            if broken < 0 or full_text[offset + broken : offset + broken + 1] == _REPLACEMENT:
                characters.append((text, end - begin))
                begin, offset = end, offset + len(text)
        if begin < len(tokens):
            characters.append((self.decode(tokens[begin:]), len(tokens) - begin))
        return characters

    def special_id(self, *names: str) -> int:
        """Return the id of a special token, by the first name that is known. Raises: `ConfigurationError`."""
        for name in names:
            if name in self.special:
                return self.special[name]
        raise ConfigurationError(f"The tokenizer has no {names[0]}; this is not a Whisper model.")

    def _non_speech(self) -> set[int]:
        """Return signs such as ♪ and brackets, and dashes and quotes where they begin a word."""
        ids = {self.encode(" -")[0], self.encode(" '")[0]}
        for symbol in (*_SYMBOLS, *_NOTES):
            for tokens in (self.encode(symbol), self.encode(" " + symbol)):
                if len(tokens) == 1 or symbol in _NOTES:
                    ids.add(tokens[0])
        return ids

    @cached_property
    def _encoder(self) -> tokenizers.Tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers

        encoder = Tokenizer(models.BPE(vocab=dict(self.pieces), merges=list(self.merges)))
        encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        return encoder

    @cached_property
    def _bytes(self) -> list[bytes]:
        """Bytes of every text token, by id."""
        letters = _letters()
        table = [b""] * self.end_of_text
        for piece, id_ in self.pieces.items():
            if id_ < self.end_of_text:
                table[id_] = b"".join(letters.get(c) or c.encode() for c in piece)
        return table


def read(folder: Path) -> Vocabulary:
    """Read the vocabulary of a model folder from `tokenizer.json`, or from `vocab.json` and `merges.txt`.

    Raises: `DownloadFailed` where a file is missing or damaged, `ConfigurationError` for another tokenizer.
    """
    try:
        if (folder / "tokenizer.json").is_file():
            return _from_one_file(json.loads((folder / "tokenizer.json").read_bytes()))
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return _from_parts(folder)
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadFailed(f"The tokenizer in {folder} is damaged ({error!r}).") from error
    raise DownloadFailed(f"{folder} has no tokenizer.json, nor vocab.json with merges.txt.")


def to_json(vocabulary: Vocabulary) -> str:
    """Return a vocabulary as `tokenizer.json`, for `read` and for the `tokenizers` library."""
    added = [
        {"id": id_, "content": token, "special": True, "normalized": False}
        | {"single_word": False, "lstrip": False, "rstrip": False}
        for token, id_ in sorted(vocabulary.special.items(), key=lambda item: item[1])
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": dict(vocabulary.pieces), "merges": [list(m) for m in vocabulary.merges]}
    content = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": level,
        "decoder": level,
        "model": model,
    }
    return json.dumps(content, ensure_ascii=False)


def _from_one_file(content: dict[str, Any]) -> Vocabulary:
    model = content["model"]
    if model.get("type", "BPE") != "BPE":
        raise ConfigurationError(f"A tokenizer of type {model['type']} is not Whisper's.")
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    added = {token["content"]: int(token["id"]) for token in content.get("added_tokens", ())}
    return _vocabulary(model["vocab"], merges, added)


def _from_parts(folder: Path) -> Vocabulary:
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    added: dict[str, int] = {}
    if (folder / "tokenizer_config.json").is_file():
        config = json.loads((folder / "tokenizer_config.json").read_bytes())
        added |= {token["content"]: int(id_) for id_, token in config.get("added_tokens_decoder", {}).items()}
    if (folder / "added_tokens.json").is_file():
        added |= json.loads((folder / "added_tokens.json").read_bytes())
    return _vocabulary(json.loads((folder / "vocab.json").read_bytes()), merges, added)


def _vocabulary(vocab: dict[str, int], merges: list[tuple[str, ...]], added: dict[str, int]) -> Vocabulary:
    special = {
        token: id_ for token, id_ in vocab.items() if token.startswith("<|") and token.endswith("|>")
    } | added
    pieces = {token: id_ for token, id_ in vocab.items() if token not in special}
    return Vocabulary(pieces, [(left, right) for left, right in merges], special)


def _join_to_words(characters: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Join characters to words that begin at spaces and at punctuation."""
    words: list[tuple[str, int]] = []
    for text, n_tokens in characters:
        begins = text.startswith(" ") or text.strip() in string.punctuation
        if begins or not words:
            words.append((text, n_tokens))
        else:
            words[-1] = (words[-1][0] + text, words[-1][1] + n_tokens)
    return words


def _letters() -> dict[str, bytes]:
    """Return the byte of each letter by which GPT-2 spells bytes: printable ones are themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    spelled = {chr(byte): bytes([byte]) for byte in printable}
    return spelled | {chr(256 + i): bytes([byte]) for i, byte in enumerate(others)}
