"""Which files make up a model, and which names may be trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.engines import registry
from hearsay.models import repository_files
from hearsay.models.repository_files import WHISPER, Selection, is_safe

VOICE = Selection(("model.onnx", "espeak-ng-data/*"), ("model.onnx", "espeak-ng-data/*"), "voice")


def test_patterns_with_a_slash_reach_down_and_others_stay_at_the_top() -> None:
    assert VOICE.wants("model.onnx") and VOICE.wants("espeak-ng-data/lang/gmw/en")
    assert not VOICE.wants("other/model.onnx") and not VOICE.wants("README.md")
    assert WHISPER.wants("vocabulary.json") and not WHISPER.wants("vocabulary.d/x")


def test_what_is_lacking_is_named() -> None:
    assert VOICE.lacking(["model.onnx", "espeak-ng-data/phontab"]) == []
    assert VOICE.lacking(["espeak-ng-data.txt"]) == ["espeak-ng-data/*", "model.onnx"]
    assert (VOICE.landmark, replace(VOICE, required=("a*", "b?")).landmark) == ("model.onnx", None)


def test_every_model_that_can_be_pulled_says_of_which_files_it_is_made() -> None:
    for card in (*registry.recognizer_cards(), *registry.synthesizer_cards()):
        if card.repository is not None:
            wanted = repository_files.of(card)
            assert wanted.required and wanted.landmark, card.id
            assert (wanted is WHISPER) == (card.engine == "whisper")


@pytest.mark.parametrize("name", ["config.json", "a/b/c", "voices/!v/Mr serious", ".gitattributes", "a..b/c"])
def test_plain_names_are_safe(name: str) -> None:
    assert is_safe(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        ".",
        "a//b",
        "a/",
        "a\\..\\b",
        "C:x",
        "a/b:c",
        "a\0b",
        "... /x",
    ],
)
def test_names_that_leave_the_folder_are_not_safe(name: str) -> None:
    assert not is_safe(name)


def test_our_own_names_are_reserved_everywhere() -> None:
    assert not is_safe("hearsay.json", {"hearsay.json"}) and not is_safe("a/hearsay.json", {"hearsay.json"})


@given(st.text("ab./\\: \0", max_size=12))
def test_a_safe_name_is_below_its_folder_everywhere(name: str) -> None:
    if is_safe(name):
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(name)
            assert not path.is_absolute() and not path.drive and ".." not in path.parts
            assert len(path.parts) == name.count("/") + 1
