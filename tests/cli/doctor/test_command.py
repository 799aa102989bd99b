"""`hearsay doctor`: which checks it runs, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hearsay import samples
from hearsay.cli import app
from hearsay.cli.doctor import checks as look
from hearsay.cli.doctor.checks import Finding, State
from hearsay.domain import Audio, Segment, TranscribeOptions
from hearsay.models.catalogue import Catalogue
from tests.models.test_checksums import make
from tests.support.local_hub import toy_model
from tests.support.whole_recording import WholeRecordingRecognizer

run = CliRunner()


class Knowing(WholeRecordingRecognizer):
    """An engine that knows what to say, whatever it hears."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.closed = False

    def hear(self, audio: Audio, options: TranscribeOptions) -> list[Segment]:
        return [Segment(0.0, 1.0, self.text)]

    def close(self) -> None:
        self.closed = True


def test_a_healthy_machine_is_well_whatever_is_missing(tmp_path: Path) -> None:
    result = run.invoke(app, ["doctor", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    found = {finding["subject"]: finding for finding in json.loads(result.stdout)}
    assert set(found) >= {
        "hearsay",
        "libraries",
        "cpu",
        "gpu",
        "settings",
        "models folder",
        "keys",
        "hub",
        "package index",
        "port",
    }
    assert "ctranslate2" in found["libraries"]["detail"]
    assert found["default model"]["detail"].startswith("whisper-")
    assert "HEARSAY_DOWNLOADS" in found["settings"]["detail"]


def test_broken_settings_end_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_PROT", "3")
    result = run.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("BROKEN\tsettings\tThere is no setting 'prot'")
    assert "Broken: settings." in result.stderr


@pytest.mark.parametrize(("heard", "status"), [(samples.hello_text(), 0), ("good morning", 1)])
def test_the_whole_examination_transcribes_with_the_default_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heard: str, status: int
) -> None:
    monkeypatch.setenv("HEARSAY_MODELS", f"mine={make(tmp_path / 'mine', toy_model(2000))}")
    engines: list[Knowing] = []

    def load(self: Catalogue, card: Any) -> Knowing:
        engines.append(Knowing(heard))
        return engines[-1]

    monkeypatch.setattr(Catalogue, "load", load)
    monkeypatch.setattr(look, "speaking_test", lambda models, card: Finding(card.id, State.FINE, "speaks"))
    result = run.invoke(app, ["doctor"])
    lines = {line.split("\t")[1]: line for line in result.stdout.splitlines()}
    assert lines["self-test of mine"].startswith("note" if status else "ok\tself-test of mine\t100%")
    assert lines["weights of mine"].startswith("ok")
    assert lines["default speech model"].endswith("espeak-ng") and lines["espeak-ng"].startswith("ok")
    assert len(engines) == 1 and engines[0].closed
