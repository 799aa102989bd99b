"""The examples of speech, in the pages that newcomers read, run as printed and make sound."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearsay.media import decoding
from tests.compat.serving import Scene
from tests.support.paths import ROOT
from tests.support.server import serving

PAGES = (ROOT / "README.md", ROOT / "docs" / "quickstart.md", ROOT / "docs" / "speech.md")
ADDRESS = "http://127.0.0.1:8000"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(language: str, needle: str) -> list[str]:
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    return [text for kind, text in blocks if kind == language and needle in text]


def run(command: list[str], folder: Path, stdin: str | None = None) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": "",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the embedded voice, as the first start on a fresh machine does."""
    pytest.importorskip("espeakng_loader")
    with serving(Scene(tmp_path_factory.mktemp("docs"), default="fake").app()) as url:
        yield url


def test_the_curl_line_makes_sound(address: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    for text in examples("sh", "audio/speech"):
        run(["bash", "-ec", text.replace(ADDRESS, address)], tmp_path)
        assert 1 < decoding.load(tmp_path / "hello.mp3").duration < 4


def test_the_lines_of_python_make_sound(address: str, tmp_path: Path) -> None:
    for text in examples("python", "audio.speech"):
        run([sys.executable, "-c", text.replace(ADDRESS, address)], tmp_path)
        assert 1 < decoding.load(tmp_path / "hello.wav").duration < 4


def test_the_command_lines_make_sound(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    (tmp_path / "book.txt").write_text("Once upon a time.\n\nThe end.\n", encoding="utf-8")
    lines = [line for text in examples("sh", "hearsay say") for line in text.splitlines()]
    for line in lines:
        command = line.removeprefix(".venv/bin/")
        if command.startswith("hearsay say") and "-o" in command:  # the others need a loudspeaker
            run(["bash", "-ec", command], tmp_path)
    written = {"book.txt", "gruss.mp3", "book.opus", "hello.mp3", "hello.wav"}
    assert {path.name for path in tmp_path.iterdir()} == written
    assert decoding.load(tmp_path / "gruss.mp3").duration < decoding.load(tmp_path / "book.opus").duration
    assert decoding.load(tmp_path / "hello.mp3").duration > 1
