"""A new engine is one folder and one entry in the registry: all the rest of the program then has it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scripts.reference import PAGES
from typer.testing import CliRunner

from hearsay.asr.transcription import Transcription
from hearsay.cli import app
from hearsay.domain import Task, TranscribeOptions
from hearsay.engines import registry
from hearsay.engines.hardware import GIB, Machine
from hearsay.errors import ModelNotInstalled, UnsupportedOption
from hearsay.media import decoding
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.samples import HELLO
from tests.contracts import test_recognizers
from tests.models.test_checksums import make
from tests.support.engine_cases import cases
from tests.support.local_hub import toy_model
from tests.support.toy_engine.spec import TOY

run = CliRunner()
CONTRACT = [
    check
    for name, check in vars(test_recognizers).items()
    if name.startswith("test_") and list(inspect.signature(check).parameters) == ["staged"]
]


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Enter the toy engine as the best default, and keep everything in a folder of the test."""
    monkeypatch.setattr(registry, "ENGINES", (TOY, *registry.ENGINES))
    monkeypatch.setattr("hearsay.settings.default_file", lambda: tmp_path / "hearsay.toml")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HEARSAY_MODELS_FOLDER", str(tmp_path / "models"))
    monkeypatch.setenv("HEARSAY_KEYS_FILE", str(tmp_path / "keys" / "keys.json"))
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "off")


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    hub = Hub(allowed=False, cache=tmp_path / "hub")
    return Catalogue(models_folder=tmp_path / "models", hub=hub, machine=Machine(2, 4 * GIB))


def lack_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = replace(TOY, requires=("no_such_library",), remedy="`pip install toy` installs it")
    monkeypatch.setattr(registry, "ENGINES", (lacking, *registry.ENGINES[1:]))


def test_the_catalogue_has_its_model_by_every_name_and_as_a_default(catalogue: Catalogue) -> None:
    assert catalogue.cards()[0].id == "toy-beeps"
    assert catalogue.card("Beeps").id == catalogue.card().id == catalogue.card("whisper-1").id == "toy-beeps"
    assert catalogue.installed(catalogue.card())
    assert registry.speech_detector(catalogue.card()) is None
    with pytest.raises(UnsupportedOption, match="`espeak-ng` can, and is installed"):
        catalogue.card("beeps", Task.SYNTHESIZE)


def test_its_place_in_the_table_is_its_rank(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make(tmp_path / "models" / "Systran--faster-whisper-base", toy_model(2000))
    monkeypatch.setattr(registry, "ENGINES", (*registry.ENGINES[1:], TOY))
    catalogue.refresh()
    assert catalogue.card().id == "whisper-base"


def test_the_catalogue_loads_it(catalogue: Catalogue) -> None:
    card = catalogue.card()
    text = Transcription(
        decoding.load(HELLO), TranscribeOptions(), catalogue.load_recognizer(card), card
    ).transcript()
    assert set(text.text.split()) == {"beep"}


def test_what_it_requires_keeps_it_from_being_a_default(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack_a_library(monkeypatch)
    catalogue.refresh()
    assert catalogue.card().id == "whisper-base"
    with pytest.raises(ModelNotInstalled, match="cannot run here: `pip install toy` installs it"):
        catalogue.load(catalogue.card("beeps"))


def test_the_command_line_lists_it() -> None:
    result = run.invoke(app, ["models", "list", "--installed", "--json"])
    assert result.exit_code == 0, result.output
    assert [model["id"] for model in json.loads(result.stdout) if model["default"]] == [
        "toy-beeps",
        "espeak-ng",
    ]


def test_the_doctor_has_it_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def finding() -> dict[str, str]:
        result = run.invoke(app, ["doctor", "--quick", "--json"])
        (found,) = (each for each in json.loads(result.stdout) if each["subject"] == "engine toy")
        return dict(found)

    assert (finding()["state"], finding()["detail"]) == ("ok", f"1 model, {TOY.execution}")
    lack_a_library(monkeypatch)
    assert finding()["state"] == "note"
    assert "no_such_library is missing; `pip install toy` installs it" in finding()["detail"]


def test_the_documentation_has_it() -> None:
    assert "\n| `toy-beeps` | en | no | – | – | `beeps` | hears beeps |\n" in PAGES["models.md"]()


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_it_is_held_to_the_contract_of_recognizers(check: Callable[[test_recognizers.Staged], None]) -> None:
    (toy,) = (case for case in cases(Task.TRANSCRIBE) if case.card.engine == "toy")
    check(test_recognizers.stage(toy))
