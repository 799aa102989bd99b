"""The documentation is true: generated pages are current, links lead somewhere, examples run as printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.reference import PAGES

from hearsay import samples
from hearsay.domain import Audio, Segment, TranscribeOptions
from hearsay.media import decoding
from tests.support.paths import ROOT
from tests.support.server import Running, Stage
from tests.support.whole_recording import WholeRecordingRecognizer

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
ADDRESS = "http://127.0.0.1:8000"


def examples(language: str, needle: str) -> list[str]:
    """Find the blocks of one language that mention `needle`, in the pages that newcomers read."""
    pages = (ROOT / "README.md", ROOT / "docs" / "quickstart.md")
    blocks = [block for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    return [text for kind, text in blocks if kind == language and needle in text]


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower()))


class Knowing(WholeRecordingRecognizer):
    """Knows what the sample says."""

    def hear(self, audio: Audio, options: TranscribeOptions) -> list[Segment]:
        """Return the text of the sample if that is the recording."""
        assert audio.duration == pytest.approx(decoding.load(samples.HELLO).duration)
        return [Segment(0.0, audio.duration, samples.hello_text())]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve a recogniser that knows the sample."""
    with Stage(tmp_path_factory.mktemp("docs"), make=Knowing).open() as running:
        yield running


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_are_current(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == PAGES[page](), "run make reference"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_the_first_curl_lines_give_the_sample_s_words(server: Running) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    found = examples("sh", "audio/transcriptions")
    assert len(found) >= 2
    for text in found:
        command = text.replace(ADDRESS, server.url)
        done = subprocess.run(
            ["bash", "-ec", command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert _words(samples.hello_text()) in _words(done.stdout)


def test_the_first_lines_of_python_give_the_sample_s_words(server: Running) -> None:
    found = examples("python", "OpenAI")
    assert len(found) >= 2
    for text in found:
        code = text.replace(ADDRESS, server.url)
        environment = {**os.environ, "PYTHONPATH": ""}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert _words(samples.hello_text()) in _words(done.stdout)
