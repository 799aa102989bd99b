"""Names: ids before aliases, the operator's own before all, and those that mean a default for some tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hearsay.domain import RECOGNITION, ModelCard, Task
from hearsay.engines.fake import cards as fake_cards
from hearsay.errors import ConfigurationError, ModelNotFound
from hearsay.models import hosted_names
from hearsay.models.names import AUTO, Names

SPEECH = frozenset({Task.SYNTHESIZE})


def named(id_: str, *aliases: str) -> ModelCard:
    return replace(fake_cards.fake(), id=id_, aliases=aliases)


@pytest.mark.parametrize("name", [None, "", "auto", "AUTO"])
def test_no_name_means_a_default_for_everything(name: str | None) -> None:
    assert Names([]).tasks_of_hosted(name) == frozenset(Task)


@pytest.mark.parametrize(
    ("names", "tasks"),
    [(hosted_names.HOSTED_RECOGNIZERS, RECOGNITION), (hosted_names.HOSTED_SYNTHESIZERS, SPEECH)],
)
def test_hosted_models_mean_a_default_for_what_they_do(
    names: tuple[str, ...], tasks: frozenset[Task]
) -> None:
    known = Names([named("a")])
    assert {known.tasks_of_hosted(name) for name in names} == {tasks}
    assert known.tasks_of_hosted(names[0].upper()) == tasks
    assert known.tasks_of_hosted("a") == known.tasks_of_hosted("whatever") == frozenset()
    assert set(names) < set(known.hosted_names)


def test_an_own_model_or_alias_takes_a_hosted_name_over() -> None:
    known = Names(
        [named("TTS-1"), named("a")], aliases={"whisper-1": "a", "narrator": "tts-1-hd", "any": AUTO}
    )
    assert known.tasks_of_hosted("tts-1") == known.tasks_of_hosted("whisper-1") == frozenset()
    assert (known.card("tts-1").id, known.card("Whisper-1").id) == ("TTS-1", "a")
    assert known.tasks_of_hosted("Narrator") == SPEECH
    assert known.tasks_of_hosted("any") == frozenset(Task)


def test_ids_come_before_aliases_and_earlier_cards_before_later_ones() -> None:
    known = Names([named("a", "x", "b"), named("b", "x")])
    assert (known.card("b").id, known.card("X").id) == ("b", "a")


def test_some_names_ask_for_a_language() -> None:
    known = Names([], aliases={"mine": "playai-tts-arabic"})
    assert known.implied_language("PlayAI-TTS-Arabic") == known.implied_language("mine") == "ar"
    assert known.implied_language("playai-tts") is known.implied_language(None) is None
    taken = Names([named("a")], aliases={"playai-tts-arabic": "a"})
    assert taken.implied_language("playai-tts-arabic") is None


def test_every_language_is_asked_for_by_a_stand_in() -> None:
    assert set(hosted_names.HOSTED_LANGUAGES) <= set(hosted_names.HOSTED_SYNTHESIZERS)


def test_what_has_no_meaning_is_told_with_the_nearest() -> None:
    known = Names([named("kokoro-82m")])
    with pytest.raises(ModelNotFound, match=r"`kokoro` does not exist\. Did you mean kokoro-82m"):
        known.card("kokoro")
    with pytest.raises(ModelNotFound, match=r"Did you mean tts-1"):
        known.card("tts1")
    with pytest.raises(ConfigurationError, match=r"The default speech model leads nowhere\."):
        known.check("kokoro", "the default speech model")
    known.check("tts-1", "whatever")
    with pytest.raises(ConfigurationError, match="The alias a leads nowhere"):
        Names([], aliases={"a": "b"}).check_aliases()
