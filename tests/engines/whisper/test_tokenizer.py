"""Whisper's vocabulary: text survives, special tokens stay special, prompts and words begin correctly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ctranslate2.models import Whisper
from hypothesis import given
from hypothesis import strategies as st

from hearsay.domain import RECOGNITION, Task, Window
from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import ConfigurationError, DownloadFailed, UnsupportedOption
from hearsay.text import languages
from tests.support import toy_whisper
from tests.support.paths import FIXTURE_WHISPER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_whisper.write(tmp_path_factory.mktemp("tokens") / "toy").folder


@pytest.fixture(scope="module")
def vocabulary(folder: Path) -> Vocabulary:
    return tokenizer.read(folder)


@given(st.text())
def test_text_survives_the_way_to_tokens_and_back(vocabulary: Vocabulary, text: str) -> None:
    encoded = vocabulary.encode(text)
    assert vocabulary.decode(encoded) == text
    assert all(token < vocabulary.end_of_text for token in encoded)


@pytest.mark.parametrize("text", ["<|endoftext|>", "<|0.00|>", "<|startoftranscript|><|en|>"])
def test_text_that_looks_special_is_text(vocabulary: Vocabulary, text: str) -> None:
    encoded = vocabulary.encode(text)
    assert max(encoded) < vocabulary.end_of_text
    assert vocabulary.decode(encoded) == text


def test_special_tokens_vanish_from_text(vocabulary: Vocabulary) -> None:
    the = vocabulary.encode(" the")
    assert len(the) == 1
    assert vocabulary.decode([vocabulary.timestamp_begin, *the, vocabulary.end_of_text, 10**6]) == " the"


def test_broken_characters_become_the_replacement_character(vocabulary: Vocabulary) -> None:
    euro = vocabulary.encode("€")
    assert vocabulary.decode(euro[:2]) == "\ufffd"


@given(st.lists(st.integers(0, 256), max_size=30), st.sampled_from([None, "en", "ja"]))
def test_words_stand_for_all_tokens_in_order(
    vocabulary: Vocabulary, sampled: list[int], language: str | None
) -> None:
    words = vocabulary.split_words(sampled, language)
    assert sum(n for _, n in words) == len(sampled)
    begin = 0
    for text, n_tokens in words:
        assert n_tokens > 0
        if "\ufffd" not in text:
            assert text == vocabulary.decode(sampled[begin : begin + n_tokens])
        begin += n_tokens


def test_words_begin_at_spaces_and_punctuation(vocabulary: Vocabulary) -> None:
    words = vocabulary.split_words(vocabulary.encode(" the thé, -or) so."), "en")
    assert [text for text, _ in words] == [" the", " thé", ",", " -or", ")", " so", "."]


def test_every_character_may_be_a_word_where_nobody_writes_spaces(vocabulary: Vocabulary) -> None:
    words = vocabulary.split_words(vocabulary.encode("日本 go"), "ja")
    assert [text for text, _ in words] == ["日", "本", " ", "g", "o"]
    assert [n for _, n in words] == [3, 3, 1, 1, 1]


def test_languages_are_those_of_the_model_in_its_order(vocabulary: Vocabulary) -> None:
    assert tuple(vocabulary.languages) == tuple(languages.NAMES)[:99]
    assert vocabulary.languages["en"] == vocabulary.start + 1


def test_what_is_not_speech_is_never_sampled(vocabulary: Vocabulary) -> None:
    suppressed = set(vocabulary.suppressed)
    assert {vocabulary.start, vocabulary.transcribe, vocabulary.no_speech, vocabulary.previous} <= suppressed
    for sign in ("[", " -", " '", "♪", "("):
        assert vocabulary.encode(sign)[0] in suppressed
    for word in (" the", "-", "'", ".", ","):
        assert vocabulary.encode(word)[0] not in suppressed


def test_a_vocabulary_in_one_file_is_the_same(vocabulary: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json(vocabulary))
    again = tokenizer.read(tmp_path)
    assert again.special == vocabulary.special
    assert again.encode(" the über-thé") == vocabulary.encode(" the über-thé")


def test_merges_written_as_words_are_read_too(vocabulary: Vocabulary, tmp_path: Path) -> None:
    content = json.loads(tokenizer.to_json(vocabulary))
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert tokenizer.read(tmp_path).encode(" the") == vocabulary.encode(" the")


def test_added_tokens_may_be_in_the_configuration(folder: Path, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    added = json.loads((folder / "added_tokens.json").read_text())
    decoder = {str(id_): {"content": token} for token, id_ in added.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    assert tokenizer.read(tmp_path).special == tokenizer.read(folder).special


def test_the_older_name_of_silence_is_known(vocabulary: Vocabulary) -> None:
    special = {t.replace("nospeech", "nocaptions"): i for t, i in vocabulary.special.items()}
    older = Vocabulary(vocabulary.pieces, vocabulary.merges, special)
    assert older.no_speech == vocabulary.no_speech


def test_the_real_vocabulary_never_samples_what_the_reference_does_not() -> None:
    """The list in the fixture's configuration was made with openai/whisper's own tokenizer."""
    fixture = FIXTURE_WHISPER
    real = tokenizer.read(fixture)
    assert list(real.suppressed) == json.loads((fixture / "config.json").read_text())["suppress_ids"]
    assert (real.end_of_text, real.start, real.timestamp_begin) == (50257, 50258, 50364)
    assert tuple(real.languages) == tuple(languages.NAMES)[:99]
    assert real.encode(" Hello, wörld!") == (2425, 11, 261, 2311, 348, 0)


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram", "vocab": []}}))
    with pytest.raises(ConfigurationError, match="Unigram"):
        tokenizer.read(tmp_path)


def test_a_vocabulary_without_the_special_tokens_is_no_whisper(vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigurationError, match="startoftranscript"):
        _ = Vocabulary(vocabulary.pieces, vocabulary.merges, {}).start


@pytest.mark.parametrize("content", ["", "[]", '{"model": {}}', "{"])
def test_a_damaged_tokenizer_is_a_bad_download(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(DownloadFailed, match="damaged"):
        tokenizer.read(tmp_path)


def test_no_tokenizer_is_a_bad_download(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"no tokenizer\.json"):
        tokenizer.read(tmp_path)


@pytest.mark.parametrize("multilingual", [True, False])
def test_the_vocabulary_says_whether_the_model_is_multilingual(tmp_path: Path, multilingual: bool) -> None:
    """As CTranslate2 does, whose prompts must be the same."""
    convert(toy_whisper.write(tmp_path / "toy", multilingual=multilingual).folder, tmp_path / "made")
    found = tokenizer.read(tmp_path / "made")
    assert found.multilingual is multilingual
    assert Whisper(str(tmp_path / "made"), device="cpu").is_multilingual is multilingual
    assert len(found.languages) == 99  # English-only vocabularies have them, too.


@pytest.mark.parametrize("multilingual", [True, False])
def test_published_vocabularies_differ_in_one_token(multilingual: bool) -> None:
    """50256 tokens of GPT-2 spell something; in multilingual ones an empty one follows, not always named."""
    end = 50256 + multilingual
    pieces = {f"x{i}": i for i in range(50256)}
    special = {"<|endoftext|>": end, "<|startoftranscript|>": end + 1}
    for named in (pieces, pieces | ({"": 50256} if multilingual else {})):
        assert tokenizer.Vocabulary(named, [], special).multilingual is multilingual


ENCODING = np.zeros((2, 4), np.float32)
MULTILINGUAL = tokenizer.read(FIXTURE_WHISPER)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("english") / "toy"
    return tokenizer.read(toy_whisper.write(folder, multilingual=False).folder)


@pytest.mark.parametrize("task", sorted(RECOGNITION))
def test_prompts_of_multilingual_models_name_language_and_task(task: Task) -> None:
    wanted = MULTILINGUAL.translate if task is Task.TRANSLATE else MULTILINGUAL.transcribe
    assert MULTILINGUAL.start_sequence(Window(ENCODING, 1.0, "de", task)) == [
        MULTILINGUAL.start,
        MULTILINGUAL.languages["de"],
        wanted,
    ]


def test_prompts_of_english_models_only_begin(english: Vocabulary) -> None:
    assert english.start_sequence(Window(ENCODING, 1.0, None)) == [english.start]


@pytest.mark.parametrize("language", [None, "xx"])
def test_a_language_that_the_model_lacks_is_refused(language: str | None) -> None:
    with pytest.raises(UnsupportedOption, match="does not know the language"):
        MULTILINGUAL.start_sequence(Window(ENCODING, 1.0, language))


def test_the_end_of_earlier_text_stands_before_the_start(english: Vocabulary) -> None:
    window = Window(ENCODING, 1.0, None, previous=(5, 6, 7))
    assert english.prompt(window, max_previous=2) == [english.previous, 6, 7, english.start]
    assert english.prompt(Window(ENCODING, 1.0, None), max_previous=2) == [english.start]
