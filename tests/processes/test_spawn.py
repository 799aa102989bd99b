"""Processes of our own get what they need and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hearsay.processes import spawn


def test_keeps_secrets_and_working_folder_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARSAY_API_KEY", "sk-secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    environment = spawn._environment()
    assert "sk-secret" not in environment.values()
    package, other = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(package) / "hearsay").samefile(Path(spawn.__file__).parents[1])
    assert other == "/somewhere/else"


def test_runs_a_module_of_ours_in_a_group_of_its_own() -> None:
    child = spawn.start_module("hearsay.media.worker_process", stdin=subprocess.PIPE)
    try:
        assert os.getpgid(child.pid) == child.pid != os.getpgrp()
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
