"""Weights on this machine: where they are looked for, what is downloaded, what is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hearsay.domain import ModelCard
from hearsay.engines import engine_spec, registry
from hearsay.engines.fake import cards as fake_cards
from hearsay.errors import ConfigurationError, DownloadFailed, ModelNotInstalled
from hearsay.models.hub import Hub
from hearsay.models.partial_folder import partial_folder
from hearsay.models.store import Store
from tests.models.test_checksums import make
from tests.models.test_hub import fill_cache
from tests.support.local_hub import LocalHub, serving, toy_model

BASE = "Systran/faster-whisper-base"
CARD: ModelCard = next(card for card in registry.recognizer_cards() if card.repository == BASE)
VOICE = registry.synthesizer_cards()[0]


@pytest.fixture
def offline(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", {}, Hub(allowed=False, cache=tmp_path / "hub"), registry.spec)


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with serving(LocalHub({BASE: toy_model(2000)})) as local:
        yield Store(tmp_path / "models", {}, Hub(local.address, cache=tmp_path / "hub"), registry.spec)


def test_folders_of_downloads_have_the_name_of_a_whispers_repository_or_of_a_voice(offline: Store) -> None:
    assert offline.own(CARD).name == "Systran--faster-whisper-base"
    assert offline.own(VOICE).name == VOICE.id


def test_the_operators_folder_comes_before_ours_and_ours_before_the_cache(tmp_path: Path) -> None:
    hub = Hub(allowed=False, cache=tmp_path / "hub")
    store = Store(tmp_path / "models", {}, hub, registry.spec)
    assert store.find(CARD) is None and not store.is_ready(CARD)
    snapshot = fill_cache(tmp_path / "hub", BASE, toy_model(2000))
    assert store.find(CARD) == snapshot and store.is_ready(CARD)
    ours = make(store.own(CARD), toy_model(2000))
    assert store.find(CARD) == ours
    own = make(tmp_path / "own", toy_model(2000))
    assert Store(tmp_path / "models", {CARD.id: own}, hub, registry.spec).find(CARD) == own


def test_embedded_models_are_ready_and_have_no_folder(offline: Store) -> None:
    card = fake_cards.fake()
    assert offline.is_ready(card) and offline.find(card) is None and offline.damage(card) == []
    with pytest.raises(ConfigurationError, match="nothing to download"):
        offline.fetch(card)
    with pytest.raises(ConfigurationError, match="part of Hearsay"):
        offline.delete(card)


def test_what_is_not_installed_or_cannot_run_is_not_sound(
    offline: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelNotInstalled, match="`hearsay models pull whisper-base`"):
        offline.sound(CARD)
    make(offline.own(CARD), toy_model(2000))
    assert offline.sound(CARD) == offline.own(CARD)
    monkeypatch.setattr(engine_spec, "is_installed", lambda package: False)
    assert not offline.is_ready(CARD)
    with pytest.raises(ModelNotInstalled, match="cannot run here: the package `ctranslate2`"):
        offline.sound(CARD)


def test_damage_is_mended_where_the_hub_may_be_asked(online: Store, offline: Store) -> None:
    folder = online.fetch(CARD)
    assert online.damage(CARD, thorough=True) == []
    (folder / "config.json").unlink()
    assert online.damage(CARD) == ["config.json is missing."]
    with pytest.raises(DownloadFailed, match="`hearsay models pull whisper-base` mends it"):
        offline.sound(CARD)
    assert online.sound(CARD) == folder and online.damage(CARD) == []


def test_only_what_was_downloaded_is_deleted(online: Store, tmp_path: Path) -> None:
    folder = online.fetch(CARD)
    partial_folder(folder).mkdir()
    assert online.delete(CARD) == folder
    assert not folder.exists() and not partial_folder(folder).exists()
    with pytest.raises(ModelNotInstalled):
        online.delete(CARD)
    snapshot = fill_cache(tmp_path / "hub", BASE, toy_model(2000))
    with pytest.raises(ConfigurationError, match="will not delete"):
        online.delete(CARD)
    assert snapshot.is_dir()
