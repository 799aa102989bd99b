"""The figures of the structure, of a package made up for the purpose and of this checkout."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import structure
from tests.support.paths import ROOT

SOURCES = {
    "__init__.py": "",
    "__main__.py": "from hearsay.cli import main\n",
    "cli.py": "def main():\n    from hearsay.media import mp3\n",
    "errors.py": "if TYPE_CHECKING:\n    import hearsay.cli\n",
    "media/__init__.py": "",
    "media/mp3.py": "import hearsay.media.wav\nimport wave\n",
    "media/wav.py": "from hearsay.errors import Failure\n",
    "media/track.py": "from hearsay import errors\n",
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for name, text in SOURCES.items():
        path = tmp_path / "src" / "hearsay" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return structure.module_files(tmp_path)


def test_modules_and_packages_have_dotted_names(files: dict[str, Path]) -> None:
    assert {"hearsay", "hearsay.media", "hearsay.media.mp3"} < files.keys()
    assert structure.top_level_names(files) == {"cli", "errors", "media"}


def test_imports_count_at_any_depth_but_not_for_type_checkers(files: dict[str, Path]) -> None:
    graph = structure.import_graph(files)
    assert graph["hearsay.cli"] == {"hearsay.media.mp3"}
    assert graph["hearsay.media.mp3"] == {"hearsay.media.wav"}
    assert graph["hearsay.errors"] == set()


def test_the_longest_chain_begins_with_the_importer(files: dict[str, Path]) -> None:
    names = ["__main__", "cli", "media.mp3", "media.wav", "errors"]
    assert structure.longest_chain(structure.import_graph(files)) == [f"hearsay.{name}" for name in names]


def test_modules_with_one_importer_outside_their_package(files: dict[str, Path]) -> None:
    sole = structure.sole_importers(structure.import_graph(files), files)
    assert sole["hearsay.media.track"] is None
    assert sole["hearsay.media.wav"] == "hearsay.media.mp3"
    assert "hearsay.errors" not in sole
    assert structure.from_outside(sole) == {
        "hearsay.cli": "hearsay.__main__",
        "hearsay.media.mp3": "hearsay.cli",
    }


@pytest.mark.slow
def test_this_checkout_has_its_figures() -> None:
    command = [sys.executable, "-m", "scripts.structure", "--verbose"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    figures = re.findall(r"^\S.*?: (\d+)", done.stdout, re.MULTILINE)
    assert len(figures) == 6
    for name in ("api.app", "engines.whisper.recognizer", "domain"):
        assert f"\n    hearsay.{name}\n" in done.stdout
