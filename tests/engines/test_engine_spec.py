"""Which files of a repository make up a model, and what every engine's record must hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hearsay.engines import registry
from hearsay.engines.engine_spec import EngineSpec, FileSelection
from hearsay.engines.whisper.spec import CONVERTED

VOICE = FileSelection(("model.onnx", "espeak-ng-data/*"), ("model.onnx", "espeak-ng-data/*"), "voice")


def test_patterns_with_a_slash_reach_down_and_others_stay_at_the_top() -> None:
    assert VOICE.wants("model.onnx") and VOICE.wants("espeak-ng-data/lang/gmw/en")
    assert not VOICE.wants("other/model.onnx") and not VOICE.wants("README.md")
    assert CONVERTED.wants("vocabulary.json") and not CONVERTED.wants("vocabulary.d/x")


def test_what_is_lacking_is_named() -> None:
    assert VOICE.lacking(["model.onnx", "espeak-ng-data/phontab"]) == []
    assert VOICE.lacking(["espeak-ng-data.txt"]) == ["espeak-ng-data/*", "model.onnx"]
    assert (VOICE.landmark, replace(VOICE, required=("a*", "b?")).landmark) == ("model.onnx", None)


def test_a_folder_of_unknown_size_is_told_from_a_file_with_an_unknown_ending() -> None:
    assert VOICE.has_open_folders
    assert not CONVERTED.has_open_folders
    assert not replace(VOICE, required=("data/model.onnx",)).has_open_folders


def test_every_model_that_can_be_pulled_says_of_which_files_it_is_made() -> None:
    for card in (*registry.recognizer_cards(), *registry.synthesizer_cards()):
        if card.repository is not None:
            wanted = registry.files(card).select(card)
            assert wanted.required and wanted.landmark, card.id
            assert (wanted is CONVERTED) == (card.engine == "whisper")


@pytest.mark.parametrize("engine", registry.ENGINES, ids=lambda engine: engine.name)
def test_every_record_is_consistent(engine: EngineSpec) -> None:
    cards = engine.cards()
    assert cards and {card.engine for card in cards} == {engine.name}
    assert (engine.files is None) == (engine.load_embedded is not None) == engine.is_embedded
    assert all((card.repository is None) == engine.is_embedded for card in cards)
    assert bool(engine.requires) == bool(engine.remedy)
    assert not engine.drawback or engine.is_embedded
