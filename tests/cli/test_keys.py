"""`hearsay keys`: a key is printed once, alone, and never again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hearsay.cli import app
from hearsay.storage.api_keys import KeyFile, Keyring

run = CliRunner()


@pytest.fixture(autouse=True)
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HEARSAY_KEYS_FILE", str(tmp_path / "keys.json"))
    return tmp_path / "keys.json"


def test_prints_the_key_alone_so_that_a_shell_can_take_it(file: Path) -> None:
    result = run.invoke(app, ["keys", "add", "laptop"])
    assert result.exit_code == 0
    key = result.stdout.removesuffix("\n")
    assert Keyring(KeyFile(file)).check(key) == "laptop"
    assert "cannot be shown again" in result.stderr


def test_lists_without_giving_anything_away(file: Path) -> None:
    assert "hearsay keys add" in run.invoke(app, ["keys", "list"]).stderr
    key = run.invoke(app, ["keys", "add", "laptop"]).stdout.strip()
    plain, data = run.invoke(app, ["keys", "list"]).stdout, run.invoke(app, ["keys", "list", "--json"]).stdout
    (listed,) = json.loads(data)
    assert plain.split("\t")[:3] == [listed["id"], "laptop", listed["hint"]]
    digest = KeyFile(file).records()[0].digest
    assert key not in plain + data and digest not in plain + data


def test_a_file_that_cannot_be_written_is_an_error_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("HEARSAY_KEYS_FILE", str(tmp_path / "file" / "keys.json"))
    result = run.invoke(app, ["keys", "add", "laptop"])
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("hearsay: ") and str(tmp_path / "file") in result.stderr
    assert result.stderr.count("\n") == 1


def test_revokes_by_name_or_id(file: Path) -> None:
    for name in ("a", "b"):
        run.invoke(app, ["keys", "add", name])
    id_ = KeyFile(file).records()[1].id
    assert run.invoke(app, ["keys", "revoke", "a"]).exit_code == 0
    assert run.invoke(app, ["keys", "revoke", id_]).stdout == f"Revoked {id_} (b)\n"
    assert KeyFile(file).records() == []
    assert run.invoke(app, ["keys", "revoke", "a"]).exit_code == 2
