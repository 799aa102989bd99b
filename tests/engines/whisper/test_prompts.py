"""The tokens that stand before the first sampled one."""

from __future__ import annotations

import numpy as np
import pytest

from hearsay.domain import RECOGNITION, Task, Window
from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.prompts import prompt, start_sequence
from hearsay.errors import UnsupportedOption
from tests.support.paths import FIXTURE_WHISPER

VOCABULARY = tokenizer.read(FIXTURE_WHISPER)
ENCODING = np.zeros((2, 4), np.float32)


@pytest.mark.parametrize("task", sorted(RECOGNITION))
def test_multilingual_models_are_told_language_and_task(task: Task) -> None:
    window = Window(ENCODING, 1.0, "de", task)
    wanted = VOCABULARY.translate if task is Task.TRANSLATE else VOCABULARY.transcribe
    assert start_sequence(VOCABULARY, window, multilingual=True) == [
        VOCABULARY.start,
        VOCABULARY.languages["de"],
        wanted,
    ]


def test_others_are_told_to_begin() -> None:
    assert start_sequence(VOCABULARY, Window(ENCODING, 1.0, None), multilingual=False) == [VOCABULARY.start]


@pytest.mark.parametrize("language", [None, "xx"])
def test_a_language_that_the_model_lacks_is_refused(language: str | None) -> None:
    with pytest.raises(UnsupportedOption, match="does not know the language"):
        start_sequence(VOCABULARY, Window(ENCODING, 1.0, language), multilingual=True)


def test_the_end_of_earlier_text_stands_before_the_start() -> None:
    window = Window(ENCODING, 1.0, None, previous=(5, 6, 7))
    whole = prompt(VOCABULARY, window, multilingual=False, previous_limit=2)
    assert whole == [VOCABULARY.previous, 6, 7, VOCABULARY.start]
    window = Window(ENCODING, 1.0, None)
    assert prompt(VOCABULARY, window, multilingual=False, previous_limit=2) == [VOCABULARY.start]
