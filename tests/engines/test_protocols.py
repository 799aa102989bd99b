"""Protocols: what counts as which kind of engine, and that no other is taken for it."""

from __future__ import annotations

from math import inf

import pytest

from hearsay.domain import ModelCard
from hearsay.engines.fake import cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.engines.protocols import (
    AudioSlice,
    ContinuousRecognizer,
    Engine,
    Synthesizer,
    WindowRecognizer,
    as_recognizer,
    as_synthesizer,
)
from hearsay.errors import UnsupportedOption

KINDS = (WindowRecognizer, Synthesizer)


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        (FakeWindowRecognizer(), WindowRecognizer),
        (FakeSynthesizer(), Synthesizer),
    ],
)
def test_an_engine_is_of_one_kind(engine: Engine, kind: type) -> None:
    assert [isinstance(engine, other) for other in KINDS] == [other is kind for other in KINDS]
    assert not isinstance(engine, ContinuousRecognizer)


def test_a_recogniser_that_has_a_batch_to_join_is_continuous() -> None:
    class Joinable(FakeWindowRecognizer):
        def continuous_batch(self) -> None:
            """Return nothing: only the name is looked at."""

    assert isinstance(Joinable(), ContinuousRecognizer)


def test_a_recogniser_cannot_speak() -> None:
    engine = FakeWindowRecognizer()
    assert as_recognizer(engine, cards.fake()) is engine
    with pytest.raises(UnsupportedOption, match="`fake` transcribes; it cannot speak") as caught:
        as_synthesizer(engine, cards.fake())
    assert caught.value.param == "model"


def test_a_synthesizer_cannot_transcribe() -> None:
    engine, card = FakeSynthesizer(), cards.fake_voice()
    assert as_synthesizer(engine, card) is engine
    with pytest.raises(UnsupportedOption, match="`fake-voice` speaks; it cannot transcribe") as caught:
        as_recognizer(engine, card)
    assert caught.value.param == "model"


def test_a_slice_without_an_end_goes_on_for_ever() -> None:
    assert AudioSlice(3.0).until == inf


def test_cards_tell_the_kinds_apart() -> None:
    def card(engine: Engine) -> ModelCard:
        return cards.fake_voice() if isinstance(engine, Synthesizer) else cards.fake()

    assert card(FakeSynthesizer()).tasks.isdisjoint(card(FakeWindowRecognizer()).tasks)
