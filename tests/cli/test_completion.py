"""Options that commands share: what the shell completes, and languages by any of their names."""

from __future__ import annotations

import pytest
import typer

from hearsay.cli import completion
from hearsay.engines import registry
from hearsay.text import languages


def test_the_shell_completes_models_of_each_kind() -> None:
    assert "whisper-tiny" in completion.complete_model("whisper-t")
    assert completion.complete_model("esp") == []
    assert "kokoro-82m" in completion.complete_synthesizer("")
    assert completion.complete_synthesizer("esp") == ["espeak-ng"]
    assert completion.complete_synthesizer("whisper") == []


def test_nothing_typed_completes_to_everything() -> None:
    assert completion.complete_model("") == [card.id for card in registry.recognizer_cards()]
    assert dict(completion.complete_language("")) == languages.NAMES


def test_the_shell_completes_languages_with_their_names() -> None:
    assert completion.complete_language("de") == [("de", "german")]
    assert completion.complete_language("xx") == []


@pytest.mark.parametrize(("text", "code"), [(None, None), ("", None), ("de", "de"), ("German", "de")])
def test_a_language_is_parsed_by_code_or_name(text: str | None, code: str | None) -> None:
    assert completion.parse_language(text) == code


def test_an_unknown_language_is_a_mistake_in_the_option() -> None:
    with pytest.raises(typer.BadParameter) as caught:
        completion.parse_language("tlhingan")
    assert caught.value.param_hint == "--language"


def test_options_complete_what_they_name() -> None:
    model, language = completion.recognizer_option("A model."), completion.language_option("A language.")
    assert model.autocompletion is completion.complete_model
    assert completion.synthesizer_option("A model.").autocompletion is completion.complete_synthesizer
    assert language.autocompletion is completion.complete_language
