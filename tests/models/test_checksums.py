"""Folders of weights: which kind they are, what they can do, and damage of every sort."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hearsay.domain import Task
from hearsay.errors import ConfigurationError
from hearsay.models import checksums
from hearsay.models.checksums import MANIFEST, Checks, Expected, is_intact, local_card
from tests.models.test_hub import REPOSITORY, fill_cache
from tests.support import toy_whisper
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


def test_tells_formats_apart(converted: Path, transformers: Path, tmp_path: Path) -> None:
    assert checksums.is_converted(converted) and not checksums.is_transformers(converted)
    assert checksums.is_transformers(transformers) and not checksums.is_converted(transformers)
    (transformers / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    assert not checksums.is_transformers(transformers)
    assert not checksums.is_converted(tmp_path) and not checksums.is_transformers(tmp_path)


def test_reads_languages_off_the_vocabulary(converted: Path) -> None:
    card = local_card("mine", converted)
    assert (card.id, card.engine, card.owner, card.context_window) == ("mine", "whisper", "local", 448)
    assert card.languages == ("en", "de", "haw")
    assert card.tasks == {Task.TRANSCRIBE, Task.TRANSLATE}
    assert card.size_bytes == sum(map(len, toy_model(2000).values()))


def test_callers_do_not_learn_where_own_models_lie(tmp_path: Path, converted: Path) -> None:
    assert str(tmp_path) not in repr(local_card("mine", converted))


def test_english_only_models_lack_translation(tmp_path: Path) -> None:
    card = local_card("mine", make(tmp_path / "en", toy_model(2000, multilingual=False)))
    assert card.languages == ("en",) and card.tasks == {Task.TRANSCRIBE}


def test_reads_old_vocabularies_of_lines(converted: Path) -> None:
    tokens = json.loads((converted / "vocabulary.json").read_text(encoding="utf-8"))
    (converted / "vocabulary.json").unlink()
    (converted / "vocabulary.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    assert local_card("mine", converted).languages == ("en", "de", "haw")


def test_reads_languages_off_the_tokenizer_of_transformers(tmp_path: Path) -> None:
    toy_whisper.write(tmp_path / "many", n_mels=128)
    card = local_card("many", tmp_path / "many")
    assert len(card.languages) == 100 and card.languages[-1] == "yue" and Task.TRANSLATE in card.tasks
    (tmp_path / "many" / "generation_config.json").write_text('{"is_multilingual": false}', encoding="utf-8")
    assert local_card("many", tmp_path / "many").languages == ("en",)
    toy_whisper.write(tmp_path / "one", multilingual=False)
    assert local_card("one", tmp_path / "one").languages == ("en",)
    (tmp_path / "one" / "vocab.json").unlink()
    with pytest.raises(ConfigurationError, match=r"no tokenizer\.json"):
        local_card("one", tmp_path / "one")


def test_folders_that_hold_no_whisper_are_named(tmp_path: Path, converted: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        local_card("mine", tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="holds no Whisper"):
        local_card("mine", tmp_path)
    (converted / "vocabulary.json").write_bytes(b"[")
    with pytest.raises(ConfigurationError, match="not a vocabulary"):
        local_card("mine", converted)


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
    assert checks.damaged(converted) == [] and checks.damaged(transformers) == []
    assert checks.damaged(converted, thorough=True) == []


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("model.bin", b"", "not a CTranslate2 Whisper"),
        ("model.bin", b"\x06\0\0\0\xff\xff", "not a CTranslate2 Whisper"),
        ("model.bin", b"\x06\0\0\0\x10\0TransformerSpec\0rest", "not a CTranslate2 Whisper"),
        ("config.json", b"{", "not JSON"),
    ],
)
def test_damage_shows_without_checksums(
    converted: Path, checks: Checks, name: str, data: bytes, problem: str
) -> None:
    (converted / name).write_bytes(data)
    assert problem in " ".join(checks.damaged(converted))


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
