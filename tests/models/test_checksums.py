"""Checksums of weights: damage of every sort, and the record of what was found intact."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hearsay.engines.whisper.weights.folder import damage
from hearsay.models import checksums
from hearsay.models.checksums import MANIFEST, Checks, Expected, is_intact
from tests.models.test_hub import REPOSITORY, fill_cache
from tests.support.local_hub import git_id, toy_model


def make(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    return make(tmp_path / "converted", toy_model(2000))


@pytest.fixture
def transformers(tmp_path: Path) -> Path:
    return make(
        tmp_path / "transformers",
        {"config.json": b'{"model_type": "whisper", "vocab_size": 51865}', "model.safetensors": b"x"},
    )


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path / "state" / "checked.json")


def test_intact_means_size_and_checksum(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert not is_intact(path, Expected("f", None, None))
    path.write_bytes(b"hello")
    sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert is_intact(path, Expected("f", 5, sha256))
    assert is_intact(path, Expected("f", None, git_id(b"hello"))) and is_intact(
        path, Expected("f", None, None)
    )
    assert not is_intact(path, Expected("f", 4, None))
    assert not is_intact(path, Expected("f", 5, sha256.replace("2", "3")))


def test_a_sound_folder_has_no_problems(converted: Path, transformers: Path, checks: Checks) -> None:
    assert checks.damaged(converted, damage) == [] and checks.damaged(transformers, damage) == []
    assert checks.damaged(converted, damage, thorough=True) == []


def test_what_shows_without_checksums_counts_where_there_is_no_manifest(
    converted: Path, checks: Checks
) -> None:
    assert checks.damaged(converted, lambda folder: [f"{folder.name} looks odd."]) == ["converted looks odd."]
    assert checks.damaged(with_manifest(converted), lambda folder: ["It looks odd."]) == []


def with_manifest(folder: Path) -> Path:
    files = {
        path.name: {"name": path.name, "size": path.stat().st_size, "digest": git_id(path.read_bytes())}
        for path in folder.iterdir()
    }
    (folder / MANIFEST).write_text(json.dumps({"files": files}), encoding="utf-8")
    return folder


def test_checksums_of_our_manifest_find_damage_of_any_file(converted: Path, checks: Checks) -> None:
    with_manifest(converted)
    assert checks.damaged(converted) == []
    (converted / "tokenizer.json").write_bytes(b"[]")
    assert checks.damaged(converted) == [
        "tokenizer.json has changed since it was published (its checksum is wrong)."
    ]
    (converted / "tokenizer.json").write_bytes(b"[ ]")
    assert checks.damaged(converted) == ["tokenizer.json has 3 bytes instead of 2."]
    (converted / "tokenizer.json").unlink()
    assert checks.damaged(converted) == ["tokenizer.json is missing."]
    (converted / "tokenizer.json").write_bytes(b"{}")
    assert checks.damaged(converted) == []


def test_names_of_blobs_in_the_hubs_cache_are_checksums(tmp_path: Path, checks: Checks) -> None:
    snapshot = fill_cache(tmp_path / "hub", REPOSITORY, toy_model(2000))
    assert checks.damaged(snapshot) == []
    blob = (snapshot / "model.bin").resolve()
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert checks.damaged(snapshot) == [
        "model.bin has changed since it was published (its checksum is wrong)."
    ]
    blob.unlink()
    assert "model.bin is missing." in checks.damaged(snapshot)


def test_what_was_checked_is_not_hashed_again_unless_it_changed(
    converted: Path, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_manifest(converted)
    hashed: list[str] = []
    real = checksums.digest_of

    def spy(path: Path, kind: str) -> str:
        hashed.append(path.name)
        return real(path, kind)

    monkeypatch.setattr(checksums, "digest_of", spy)
    checks.damaged(converted)
    assert len(hashed) == 5
    hashed.clear()
    checks.damaged(converted)
    assert hashed == []
    os.utime(converted / "model.bin", ns=(1, 1))
    checks.damaged(converted)
    assert hashed == ["model.bin"]
    hashed.clear()
    checks.damaged(converted, thorough=True)
    assert len(hashed) == 5


def test_a_state_that_cannot_be_kept_or_read_costs_time_only(converted: Path, tmp_path: Path) -> None:
    with_manifest(converted)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, no folder", encoding="utf-8")
    assert Checks(blocked / "checked.json").damaged(converted) == []
    broken = tmp_path / "broken.json"
    broken.write_text("[", encoding="utf-8")
    assert Checks(broken).damaged(converted) == []
