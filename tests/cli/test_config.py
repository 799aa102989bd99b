"""`hearsay config`: every value with its origin, secrets hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hearsay.cli import app
from hearsay.settings import Settings

run = CliRunner()


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hearsay.settings.default_file", lambda: tmp_path / "hearsay.toml")
    monkeypatch.setenv("HEARSAY_PORT", "9000")
    monkeypatch.setenv("HEARSAY_API_KEY", "topsecret")
    monkeypatch.setenv("HEARSAY_ALIASES", "a=base,b=tiny")


def test_shows_every_setting_with_its_origin() -> None:
    result = run.invoke(app, ["config"])
    assert result.exit_code == 0
    rows = {name: rest for name, *rest in (line.split("\t") for line in result.stdout.splitlines())}
    assert list(rows) == list(Settings.model_fields)
    assert rows["port"] == ["9000", "environment HEARSAY_PORT"]
    assert rows["host"] == ["127.0.0.1", "default"]
    assert (
        rows["aliases"][0] == "a=base,b=tiny"
        and rows["offline"][0] == "off"
        and rows["work_folder"][0] == "-"
    )
    assert rows["api_key"][0] == "(hidden)"
    assert "topsecret" not in result.output and "would be read" in result.stderr


def test_explains_and_speaks_json() -> None:
    explained = run.invoke(app, ["config", "--explain"]).stdout
    about = Settings.model_fields["beam_size"].description
    assert about and about in explained
    data = json.loads(run.invoke(app, ["config", "--json"]).stdout)
    assert data["port"] == {
        "value": 9000,
        "origin": "environment HEARSAY_PORT",
        "about": Settings.model_fields["port"].description,
    }
    assert "topsecret" not in json.dumps(data)
