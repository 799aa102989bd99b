"""The command line's root: lazy imports, help, one-sentence errors, exit statuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hearsay import __version__
from hearsay.cli import SUBCOMMANDS, app

run = CliRunner()


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "off")


def test_help_names_every_subcommand_and_teaches_first_steps() -> None:
    result = run.invoke(app, ["--help"])
    assert result.exit_code == 0
    for name, known in SUBCOMMANDS.items():
        assert name in result.output and known.help in result.output
    assert "hearsay models pull" in result.output and "Exit status" in result.output


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help_with_examples_or_commands(name: str) -> None:
    result = run.invoke(app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output or "Commands" in result.output
    assert SUBCOMMANDS[name].help.rstrip(".").split(",")[0] in " ".join(result.output.split())
    assert "--install-completion" not in result.output  # that is the root's, once


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hearsay.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pydantic', 'fastapi', 'uvicorn', 'httpx', 'huggingface_hub', 'structlog'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in result.stdout


def test_version_and_module() -> None:
    assert run.invoke(app, ["--version"]).output == f"hearsay {__version__}\n"
    result = subprocess.run(
        [sys.executable, "-m", "hearsay", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"hearsay {__version__}\n"


def test_slips_get_a_suggestion() -> None:
    result = run.invoke(app, ["transcibe"])
    assert result.exit_code == 2
    assert "Did you mean 'transcribe'" in result.stderr


def test_errors_are_sentences_with_their_status(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, status in ((["models", "rm", "whisper-bse"], 3), (["keys", "revoke", "nobody"], 2)):
        result = run.invoke(app, arguments)
        assert result.exit_code == status
        assert result.stderr.startswith("hearsay: There is no") or "Did you mean" in result.stderr
        assert "Traceback" not in result.output + result.stderr
    monkeypatch.setenv("HEARSAY_PROT", "1")
    result = run.invoke(app, ["config"])
    assert result.exit_code == 2 and "HEARSAY_PORT" in result.stderr


def test_a_settings_file_can_be_named_before_the_subcommand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARSAY_CONFIG", "/nowhere")
    file = tmp_path / "x.toml"
    file.write_text("port = 1234", encoding="utf-8")
    result = run.invoke(app, ["--config", str(file), "config"])
    assert result.exit_code == 0, result.stderr
    assert f"port\t1234\tfile {file}" in result.output


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("hearsay se", "serve"),
        ("hearsay models pu", "pull"),
        ("hearsay models rm whisper-la", "whisper-large-v3-turbo"),
    ],
)
def test_the_shell_completes_commands_and_models(words: str, offered: str) -> None:
    environment = {
        "_HEARSAY_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    result = run.invoke(app, [], prog_name="hearsay", env=environment)
    assert offered in result.output.split()
