"""The cards of Whisper are complete, and no name means two models."""

from __future__ import annotations

import pytest

from hearsay.domain import Task
from hearsay.engines import registry
from hearsay.engines.whisper import cards as whisper_cards
from hearsay.models import hosted_names


def test_no_name_means_two_models() -> None:
    names = [n.casefold() for card in registry.recognizer_cards() for n in (card.id, *card.aliases)] + list(
        hosted_names.HOSTED_RECOGNIZERS
    )
    assert len(names) == len(set(names))


def test_cards_say_what_is_known() -> None:
    for card in registry.recognizer_cards():
        assert card.created > 1_600_000_000 and card.owner and card.description
        if card.engine == "whisper":
            assert card.context_window == 448 and card.repository and (card.size_bytes or 0) > 50_000_000
            assert (Task.TRANSLATE in card.tasks) == (len(card.languages) > 1 and "turbo" not in card.id)
    known = {card.id: card for card in registry.recognizer_cards()}
    assert len(known["whisper-large-v2"].languages) == 99 and len(known["whisper-large-v3"].languages) == 100
    assert len(set(whisper_cards.WHISPER_LANGUAGES)) == 99


@pytest.mark.parametrize(
    ("id_", "repository", "also_at"),
    [
        (
            "whisper-base",
            "Systran/faster-whisper-base",
            ("guillaumekln/faster-whisper-base",),
        ),
        ("whisper-large-v3", "Systran/faster-whisper-large-v3", ()),
        (
            "whisper-large-v3-turbo",
            "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
            ("dropbox-dash/faster-whisper-large-v3-turbo", "deepdml/faster-whisper-large-v3-turbo-ct2"),
        ),
        ("distil-whisper-small.en", "Systran/faster-distil-whisper-small.en", ()),
        ("distil-whisper-large-v3-en", "Systran/faster-distil-whisper-large-v3", ()),
        ("distil-whisper-large-v3.5", "distil-whisper/distil-large-v3.5-ct2", ()),
    ],
)
def test_where_converted_weights_are(id_: str, repository: str, also_at: tuple[str, ...]) -> None:
    card = {card.id: card for card in whisper_cards.known()}[id_]
    assert (card.repository, card.extra["also_at"]) == (repository, also_at)
    assert card.owner == ("Hugging Face" if "distil" in id_ else "OpenAI")
