"""The cards of the test engines say what these engines do."""

from __future__ import annotations

from datetime import UTC, datetime

from hearsay.domain import RECOGNITION, Task
from hearsay.engines.fake import cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.fake.synthesizer import FakeSynthesizer


def test_the_recognisers_card_says_what_it_does() -> None:
    card = cards.fake()
    assert card.id == cards.FAKE
    assert card.tasks == RECOGNITION
    engine = FakeWindowRecognizer()
    assert set(card.languages) <= set(engine.languages)
    assert card.tasks <= engine.tasks


def test_the_synthesizers_card_has_its_voices() -> None:
    card = cards.fake_voice()
    assert card.id == cards.FAKE_VOICE
    assert card.tasks == {Task.SYNTHESIZE}
    assert card.voices == FakeSynthesizer().voices
    assert all(set(voice.languages) == set(card.languages) for voice in card.voices)


def test_nothing_is_downloaded_and_the_days_are_those_of_release() -> None:
    for card, day in ((cards.fake(), 20), (cards.fake_voice(), 21)):
        assert (card.repository, card.size_bytes) == (None, None)
        assert datetime.fromtimestamp(card.created, UTC) == datetime(2026, 11, day, tzinfo=UTC)
