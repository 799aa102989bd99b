"""Folders of its own for every test of the doctor, and no download."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hearsay.settings.default_file", lambda: tmp_path / "hearsay.toml")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HEARSAY_MODELS_FOLDER", str(tmp_path / "models"))
    monkeypatch.setenv("HEARSAY_KEYS_FILE", str(tmp_path / "keys" / "keys.json"))
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "off")
