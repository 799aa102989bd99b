"""`hearsay voices`: installed voices, stand-ins for vendors' voices, voices that can be installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hearsay.cli import EXIT_NO_MODEL, EXIT_USAGE, app
from hearsay.dialects.vendor_voices import VENDOR_VOICES
from hearsay.engines import registry
from hearsay.engines.fake import cards as fake_cards
from tests.support.engine_table import replace_engine


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HEARSAY_FAKE_ENGINE", "true")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["voices", *arguments], prog_name="hearsay")


def rows(*arguments: str) -> list[list[str]]:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


def data(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_all_voices_and_then_the_parts_that_they_take() -> None:
    found = rows()
    assert {len(row) for row in found} == {5}
    names = [row[0] for row in found]
    assert {"en-us", "de", "es", "high", "low"} <= set(names)
    parts = [row for row in found if row[0] in {persona.name for persona in VENDOR_VOICES.values()}]
    assert len(parts) == len(VENDOR_VOICES)
    assert names.index("alloy") > names.index("de")
    assert all(row[4].endswith("takes this part") for row in parts)
    own = {row[0] for row in found if row not in parts}
    assert all(row[4].split()[0].split("+")[0] in own for row in parts)


def test_voices_of_one_model() -> None:
    found = data("--model", fake_cards.FAKE_VOICE)
    assert [(voice["id"], voice["gender"]) for voice in found["voices"]] == [
        ("high", "female"),
        ("low", "male"),
    ]
    assert {part["model"] for part in found["stand_ins"]} == {fake_cards.FAKE_VOICE}
    by_gender = {"female": "high", "male": "low"}
    assert all(part["voice"] == by_gender[part["gender"]] for part in found["stand_ins"])


@pytest.mark.parametrize("spelling", ["de", "German", "de-AT"])
def test_voices_of_one_language(spelling: str) -> None:
    found = data("--language", spelling)
    assert {voice["id"] for voice in found["voices"]} >= {"de", "high", "low"}
    assert all(any(tag.split("-")[0] == "de" for tag in voice["languages"]) for voice in found["voices"])
    assert "alloy" in {part["id"] for part in found["stand_ins"]}
    assert {part["language"] for part in found["stand_ins"]} <= {None, "de"}


def test_a_vendor_s_voice_of_another_language_is_left_out() -> None:
    bound = [persona for persona in VENDOR_VOICES.values() if persona.language is not None]
    assert bound
    other = next(code for code in ("en", "de") if code != bound[0].language)
    assert bound[0].name not in {part["id"] for part in data("--language", other)["stand_ins"]}


def test_what_can_be_pulled_is_said_beside_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry.synthesizer_cards()[-1]
    one, other = (
        replace(
            known,
            id=name,
            engine="onnx_tts",
            repository=f"someone/{name}",
            aliases=(),
            languages=languages,
            extra={"files": ("model.onnx",)},
        )
        for name, languages in (("golden-voice", ("en",)), ("silver-voice", ("de",)))
    )
    replace_engine(monkeypatch, "onnx_tts", cards=lambda: (one, other))
    result = run()
    assert "`hearsay models pull golden-voice` installs better voices" in result.stderr
    assert "hearsay models list" in result.stderr
    assert "golden-voice" not in result.stdout
    assert data()["pull"] == ["golden-voice", "silver-voice"]
    assert data("--language", "de")["pull"] == ["silver-voice"]


def test_own_names_for_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_VOICES", "narrator=fake-voice/low,ghost=nobody")
    result = run("--json")
    found = json.loads(result.stdout)["aliases"]
    assert found == [
        {"id": "narrator", "language": "en", "gender": "male", "model": fake_cards.FAKE_VOICE, "voice": "low"}
    ]
    assert result.stderr.startswith("ghost: There is no voice")
    assert ["narrator", "fake-voice", "en", "male", "low is meant"] in rows()


def test_mistakes() -> None:
    assert run("--model", "nobody").exit_code == EXIT_NO_MODEL
    assert run("--model", "fake").exit_code == EXIT_USAGE
    assert run("--language", "klingon").exit_code == EXIT_USAGE
