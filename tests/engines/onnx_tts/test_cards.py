"""The table of models that speak is consistent, and each card says what it takes to get and to hear it."""

from __future__ import annotations

import re
from pathlib import Path

import espeakng_loader
import pytest

from hearsay.domain import ModelCard, Task
from hearsay.engines import registry
from hearsay.engines.espeak import cards as espeak_cards
from hearsay.engines.espeak import synthesizer as espeak
from hearsay.engines.onnx_tts.synthesizer import reader

CARDS = registry.synthesizer_cards()
NEURAL = [card for card in CARDS if card.engine == "onnx_tts"]


def test_no_name_means_two_models() -> None:
    names = [name.casefold() for card in CARDS for name in (card.id, *card.aliases)]
    assert len(names) == len(set(names))


def test_the_embedded_voice_comes_last() -> None:
    assert CARDS[-1].id == espeak_cards.ESPEAK_NG
    assert {card.engine for card in CARDS} == {"onnx_tts", "espeak"}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_a_card_is_complete(card: ModelCard) -> None:
    assert card.tasks == {Task.SYNTHESIZE}
    assert card.languages
    assert all(re.fullmatch(r"[a-z]{2}", code) for code in card.languages)
    assert len(card.languages) == len(set(card.languages))
    assert card.created > 0
    assert card.description
    assert card.ignores == {"instructions"}


@pytest.mark.parametrize("card", NEURAL, ids=lambda card: card.id)
def test_a_neural_card_says_what_to_fetch_and_who_speaks(card: ModelCard) -> None:
    assert card.repository
    assert card.size_bytes
    ids = [voice.id for voice in card.voices]
    assert ids
    assert len(ids) == len(set(ids))
    chosen = registry.spec(card).model_files.select(card)
    assert chosen.wants("tokens.txt") != card.id.startswith("piper")
    assert any(name.endswith(".onnx") for name in chosen.patterns)
    assert not chosen.wants("espeak-ng-data/phontab")


@pytest.mark.parametrize("card", NEURAL, ids=lambda card: card.id)
def test_every_neural_voice_has_somebody_who_reads_for_it(card: ModelCard) -> None:
    data = Path(espeakng_loader.get_data_path())
    for voice in card.voices:
        assert reader(voice.languages[0], data) is not None
        assert voice.languages[0].partition("-")[0] in card.languages


def test_reads_british_and_american_apart() -> None:
    data = Path(espeakng_loader.get_data_path())
    assert (reader("en-us", data), reader("en-gb", data)) == ("en-us", "en")


def test_the_embedded_voice_names_every_language_that_it_speaks() -> None:
    codes = {tag.partition("-")[0] for voice in espeak.voices() for tag in voice.languages}
    assert set(CARDS[-1].languages) == {code for code in codes if len(code) == 2} - {"nb"}
