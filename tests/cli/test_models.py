"""`hearsay models`: listing, pulling and removing, as tables and as JSON."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hearsay.cli import app
from hearsay.engines import registry
from hearsay.engines.espeak import cards as espeak_cards
from hearsay.models import hub
from tests.models.test_checksums import make
from tests.support.local_hub import LocalHub, serving, toy_model
from tests.support.local_index import NOWHERE, point_pip_to

BASE = "Systran/faster-whisper-base"
run = CliRunner()


@pytest.fixture(autouse=True)
def models_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HEARSAY_MODELS_FOLDER", str(tmp_path / "models"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "on")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    point_pip_to(NOWHERE, monkeypatch)
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with serving(LocalHub({BASE: toy_model(50_000)})) as hub:
        monkeypatch.setenv("HEARSAY_HUB_ENDPOINT", hub.address)
        yield hub


def test_lists_what_is_known_and_how_to_get_better() -> None:
    result = run.invoke(app, ["models", "list"])
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert {len(row) for row in rows} == {6}
    assert [row[0] for row in rows] == [
        card.id for card in (*registry.recognizer_cards(), *registry.synthesizer_cards())
    ]
    missing, present = (row for row in rows if "default" in row[1])
    assert missing[0].startswith("whisper-") and missing[1] == "default, not installed"
    assert present[:2] == [espeak_cards.ESPEAK_NG, "default"]
    can = {row[0]: row[4] for row in rows}
    assert can["whisper-base"] == "transcribes, translates"
    assert can[espeak_cards.ESPEAK_NG] == "speaks"
    assert "hearsay models pull whisper-" in result.stderr


def test_own_models_are_listed_with_their_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = make(tmp_path / "weights", toy_model(2000))
    monkeypatch.setenv("HEARSAY_MODELS", f"mine={folder}")
    first = run.invoke(app, ["models", "list"]).stdout.splitlines()[0].split("\t")
    assert first[:2] == ["mine", "default"] and str(folder) in first[-1]


def test_a_default_that_is_missing_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_MODEL", "tiny")
    listed = run.invoke(app, ["models", "list"]).stdout
    assert "whisper-tiny\tdefault, not installed\t" in listed


def test_pulls_with_progress_and_becomes_the_default(models_folder: Path) -> None:
    result = run.invoke(app, ["models", "pull", "base"])
    assert result.exit_code == 0, result.stderr
    assert f"base is in {models_folder}/Systran--faster-whisper-base\n" == result.stdout
    assert "base: 0 % of" in result.stderr and "base: 100 % of" in result.stderr
    listed = json.loads(run.invoke(app, ["models", "list", "--installed", "--json"]).stdout)
    assert [model["id"] for model in listed] == ["whisper-base", espeak_cards.ESPEAK_NG]
    assert all(model["default"] for model in listed)
    assert (listed[1]["tasks"], listed[1]["ignores"]) == (["speak"], ["instructions"])
    assert (
        listed[0]["default"]
        and listed[0]["folder"].endswith("base")
        and "openai/whisper-base" in listed[0]["aliases"]
    )


def test_names_of_what_can_be_installed_are_completed() -> None:
    environment = {"COMP_WORDS": "hearsay models pull whisper-ba", "COMP_CWORD": "3"}
    result = run.invoke(
        app, [], env=environment | {"_HEARSAY_COMPLETE": "complete_bash"}, prog_name="hearsay"
    )
    assert result.stdout.split() == ["whisper-base", "whisper-base.en"]


def test_a_stopped_pull_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, models_folder: Path) -> None:
    def stop(label: str, tell: object) -> object:
        def progress(done: int, total: int) -> None:
            raise KeyboardInterrupt

        return progress

    monkeypatch.setattr(hub, "progress_lines", stop)
    result = run.invoke(app, ["models", "pull", "base"])
    assert result.exit_code == 130
    assert "`hearsay models pull base` goes on from here" in result.stderr
    assert list(models_folder.glob("*.part"))
    monkeypatch.undo()


@pytest.mark.slow
def test_ctrl_c_in_a_real_process_keeps_what_came(local: LocalHub, models_folder: Path) -> None:
    local.files[BASE] = toy_model(3_000_000)
    local.stall_after = 2_000_000
    command = [sys.executable, "-m", "hearsay", "models", "pull", "base"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while "60 %" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=30)
    assert process.returncode == 130 and "goes on from here" in rest and "Traceback" not in rest
    assert run.invoke(app, ["models", "pull", "base"]).exit_code == 0
    first, second = local.ranges()
    assert first is None and second is not None and int(second[len("bytes=") : -1]) >= 1_800_000


def test_failures_name_the_reason(local: LocalHub) -> None:
    local.status = 500
    result = run.invoke(app, ["models", "pull", "base"])
    assert result.exit_code == 1 and "answers 500" in result.stderr
    assert "index: The package index that pip is configured for does not answer" in result.stderr
    assert run.invoke(app, ["models", "pull", "whisper-bas3"]).exit_code == 3
    assert run.invoke(app, ["models", "pull", "espeak-ng"]).exit_code == 2


def test_goes_to_a_machine_without_a_network_as_a_file(
    local: LocalHub, models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.invoke(app, ["models", "pull", "base", "--from", "hub"]).exit_code == 0
    bundle = str(tmp_path / "base.tar")
    result = run.invoke(app, ["models", "export", "base", bundle])
    assert result.exit_code == 0 and "`hearsay models import base.tar`" in result.stdout
    assert "base: 100 % of" in result.stderr
    monkeypatch.setenv("HEARSAY_MODELS_FOLDER", str(tmp_path / "there"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = run.invoke(app, ["models", "import", bundle])
    folder = tmp_path / "there" / "Systran--faster-whisper-base"
    assert (result.exit_code, result.stdout) == (0, f"base.tar is in {folder}\n")
    assert run.invoke(app, ["models", "rm", "base"]).exit_code == 0
    assert run.invoke(app, ["models", "pull", "base", "--from", bundle]).exit_code == 0
    assert run.invoke(app, ["models", "pull", "tiny", "--from", bundle]).exit_code == 2
    result = run.invoke(app, ["models", "pull", "tiny"])
    assert result.exit_code == 1 and "switched off" in result.stderr and "models import" in result.stderr
    listed = json.loads(run.invoke(app, ["models", "list", "--json"]).stdout)
    assert {model["id"]: model["sources"] for model in listed}["whisper-base"] == ["hub", "index"]


def test_an_imported_model_of_ones_own_is_told_how_to_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARSAY_MODELS", f"mine={make(tmp_path / 'weights', toy_model(2000))}")
    assert run.invoke(app, ["models", "export", "mine", str(tmp_path / "mine.tar")]).exit_code == 0
    monkeypatch.delenv("HEARSAY_MODELS")
    result = run.invoke(app, ["models", "import", str(tmp_path / "mine.tar")])
    assert f"`hearsay serve --models NAME={tmp_path / 'models' / 'mine'}` serves it" in result.stdout


def test_removes(models_folder: Path) -> None:
    folder = make(models_folder / "Systran--faster-whisper-base", toy_model(2000))
    result = run.invoke(app, ["models", "rm", "whisper-base"])
    assert result.exit_code == 0 and result.stdout == f"Removed {folder}\n"
    assert not folder.exists()
    assert run.invoke(app, ["models", "rm", "whisper-base"]).exit_code == 3
