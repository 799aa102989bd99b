"""API keys: shown once, stored hashed, picked up by a running server, never failing open."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from hearsay.errors import ConfigurationError, Unauthorized
from hearsay.storage.api_keys import PREFIX, KeyFile, Keyring


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "deep" / "keys.json", clock=lambda: 1_700_000_000.9)


def test_a_key_opens_and_only_its_hash_is_stored(file: KeyFile) -> None:
    key, record = file.add("laptop")
    assert key.startswith(PREFIX) and len(key) >= len(PREFIX) + 43
    assert (record.name, record.created) == ("laptop", 1_700_000_000)
    assert key not in file.path.read_text(encoding="utf-8")
    assert Keyring(file).check(key) == "laptop"


def test_keys_differ(file: KeyFile) -> None:
    first, second = file.add("a"), file.add("b")
    assert first[0] != second[0] and first[1].id != second[1].id


def test_file_is_readable_by_its_owner_only(file: KeyFile) -> None:
    file.add("laptop")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.path.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("wrong", [None, "", "hs-wrong", "Bearer x", "\ud800", "ключ"])
def test_refuses_missing_and_wrong_keys(file: KeyFile, wrong: str | None) -> None:
    file.add("laptop")
    with pytest.raises(Unauthorized):
        Keyring(file).check(wrong)


def test_fixed_keys_need_no_file() -> None:
    ring = Keyring(fixed=["secret", "other"])
    assert ring.required
    assert ring.check("other") == "environment"
    with pytest.raises(Unauthorized):
        ring.check("secre")


def test_without_keys_everybody_may_come_in(file: KeyFile) -> None:
    ring = Keyring(file)
    assert not ring.required
    assert ring.check(None) is None and ring.check("whatever") is None


def test_a_running_server_sees_new_and_revoked_keys(file: KeyFile) -> None:
    ring = Keyring(file)
    first, record = file.add("first")
    second, _ = file.add("second")
    assert (ring.check(first), ring.check(second)) == ("first", "second")
    assert file.revoke(record.id) == record
    assert ring.check(second) == "second"
    with pytest.raises(Unauthorized):
        ring.check(first)


def test_revoking_the_last_key_opens_no_doors(file: KeyFile) -> None:
    key, _ = file.add("only")
    ring = Keyring(file)
    file.revoke("only")
    with pytest.raises(Unauthorized):
        ring.check(key)
    file.path.unlink()
    with pytest.raises(Unauthorized):
        ring.check(None)


def test_names_are_unique_and_not_empty(file: KeyFile) -> None:
    file.add("laptop")
    with pytest.raises(ConfigurationError, match="already"):
        file.add("laptop")
    with pytest.raises(ConfigurationError, match="needs a name"):
        file.add(" ")


def test_revoking_an_unknown_key_names_those_there_are(file: KeyFile) -> None:
    file.add("laptop")
    with pytest.raises(ConfigurationError, match=r"no key 'phone'. Keys: laptop"):
        file.revoke("phone")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": [{"id": 1}]}', '{"keys": 3}'])
def test_a_damaged_file_is_an_error_not_an_open_door(file: KeyFile, text: str) -> None:
    file.add("laptop")
    file.path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        Keyring(file)


def test_the_file_can_be_read_by_people(file: KeyFile) -> None:
    _, record = file.add("laptop")
    (stored,) = json.loads(file.path.read_text(encoding="utf-8"))["keys"]
    assert stored == {
        "id": record.id,
        "name": "laptop",
        "digest": record.digest,
        "created": 1_700_000_000,
        "hint": record.hint,
    }
