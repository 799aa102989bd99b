"""The contest as a whole, on the fixture: opt in with `-m bench`; needs the extra of that name."""

from __future__ import annotations

import subprocess
import sys

import pytest
from bench.recordings import FIXTURE, ROOT


@pytest.mark.bench
def test_every_part_runs_and_all_answers_are_right() -> None:
    command = [sys.executable, "-m", "bench.contest", "--weights", str(FIXTURE), "--clips", "3"]
    command += ["--rounds", "1", "--callers", "2", "8", "--minutes", "0.5"]
    parts = ["--only", "single", "--only", "concurrent", "--only", "long"]
    result = subprocess.run(
        [*command, *parts], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert result.returncode == 0, result.stderr
    for title in ("3 clips one at a time", "3 clips from several callers", "one recording of"):
        assert title in result.stdout
    assert result.stdout.count("equal to alone: 100.0 %") == 2
    assert result.stdout.count("word errors against float32: +0.00 points") == 3
