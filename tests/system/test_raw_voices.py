"""Operators' folders with voices as their projects publish them: a server lists them and speaks with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from hearsay.api.app import from_settings
from hearsay.errors import ConfigurationError
from hearsay.settings import Settings
from tests.support.paths import DATA
from tests.support.server import serving


def test_raw_folders_are_listed_and_speak(tmp_path: Path) -> None:
    settings = Settings(
        models_folder=tmp_path / "models",
        work_folder=tmp_path / "work",
        downloads=False,
        models={"anna-and-otto": DATA / "toy-piper", "hearts": DATA / "toy-kokoro-raw"},
    )
    with serving(from_settings(settings)) as url, httpx.Client(base_url=url, timeout=60) as http:
        voices = {each["model"]: each["voices"] for each in http.get("/v1/voices").json()["data"]}
        assert [voice["id"] for voice in voices["anna-and-otto"]] == ["anna", "otto"]
        assert [voice["id"] for voice in voices["hearts"]] == ["af_heart", "bm_george", "ef_dora"]
        asked = (
            ("anna-and-otto", "otto", "Hallo."),
            ("hearts", "bm_george", "Hello."),
            ("tts-1", "alloy", "Hi!"),
        )
        for model, voice, text in asked:
            body = {"model": model, "voice": voice, "input": text, "response_format": "pcm"}
            answer = http.post("/v1/audio/speech", json=body)
            assert answer.status_code == 200 and len(answer.content) > 4_000, answer.text


def test_a_folder_that_lacks_a_file_is_refused_at_the_start(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "toy-piper", tmp_path / "voice"))
    (folder / "de_DE-toy-low.onnx.json").unlink()
    with pytest.raises(ConfigurationError, match=r"de_DE-toy-low\.onnx\.json, is missing"):
        from_settings(Settings(models_folder=tmp_path / "models", models={"mine": folder}))
