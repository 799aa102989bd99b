"""espeak-ng reads clause by clause, says which stretch each is, and refuses what it cannot read.

In a process of its own, as it always is: the library's state and licence are not for this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from hearsay.engines.onnx_tts.phonemes import mark_of

SCRIPT = """
import json, sys, espeakng_loader
from hearsay.engines.onnx_tts.phonemizer import Phonemizer
from hearsay.processes.protocol import RequestFailed

reader = Phonemizer(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
answers = []
for text, language, tied in json.load(sys.stdin):
    try:
        answers.append([[c.phonemes, c.text] for c in reader.clauses(text, language, tied=tied)])
    except RequestFailed as error:
        answers.append(str(error))
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def read() -> list[Any]:
    texts = [
        ("Hello, my house; no? Yes!", "en-us", False),
        ("Hello.", "xx-nowhere", False),
        ("Hello, my house; no? Yes!", "en-us", False),
        ("House.", "en-us", True),
        ("Hand.", "de", False),
        ("one\0two\x01three", "en-us", False),
        ("", "en-us", False),
        ("\ud800", "en-us", False),
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    return list(json.loads(done.stdout))


def test_reads_clause_by_clause_and_loses_no_text(read: list[Any]) -> None:
    phonemes, texts = zip(*read[0], strict=True)
    assert phonemes == ("həlˈoʊ", "maɪ hˈaʊs", "nˈoʊ", "jˈɛs")
    assert "".join(texts) == "Hello, my house; no? Yes!"
    assert [mark_of(text) for text in texts] == [",", ";", "?", "!"]


def test_refuses_an_unknown_language_and_goes_on_as_before(read: list[Any]) -> None:
    assert read[1] == "espeak-ng does not know the language 'xx-nowhere'."
    assert read[2] == read[0]


def test_ties_what_is_one_sound(read: list[Any]) -> None:
    assert read[3][0][0] == "hˈa^ʊs"


def test_reads_each_language_in_its_own_way(read: list[Any]) -> None:
    assert read[4][0][0] == "hˈant"


def test_controls_neither_command_nor_end(read: list[Any]) -> None:
    assert " ".join(phonemes for phonemes, _ in read[5]) == "wˈʌn tˈuː θɹˈiː"


def test_nothing_is_read_as_nothing(read: list[Any]) -> None:
    assert read[6] == [["", ""]]


def test_half_a_character_is_no_reason_to_fail(read: list[Any]) -> None:
    assert isinstance(read[7], list)
