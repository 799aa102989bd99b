"""The verbs of the Makefile can be carried out: everything that they depend on is in the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

VERBS = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("verb", VERBS)
def test_a_fresh_clone_has_what_a_verb_needs(verb: str, tmp_path: Path) -> None:
    # With an environment that does not exist yet, make has to plan every step.
    command = ["make", "--dry-run", f"VENV={tmp_path / 'venv'}", verb]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_half_an_environment_does_not_stay(tmp_path: Path) -> None:
    python, venv = tmp_path / "python", tmp_path / "venv"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exit 0\nmkdir -p {venv}/bin && touch {venv}/bin/python\nexit 1\n'
    )
    python.chmod(0o755)
    command = ["make", f"VENV={venv}", f"PYTHON={python}", "serve"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 2
    assert not venv.exists()


def test_the_verbs_that_are_promised_are_there() -> None:
    assert {"serve", "test", "check", "fix", "bench"} <= set(VERBS)


def test_every_pin_is_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for file in (ROOT / "requirements").iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            name, version = line.partition(";")[0].split("==")
            pins.setdefault(name.lower().replace("_", "-"), set()).add(version)
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_what_has_no_wheel_everywhere_is_pinned_only_where_it_has() -> None:
    for file in (ROOT / "requirements").iterdir():
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if "openvino" in line]
        assert len(lines) == 2
        assert all("; sys_platform == 'linux' and platform_machine == 'x86_64' or" in line for line in lines)
