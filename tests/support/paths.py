"""Where the tests find their data, the repository and the real recordings."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DATA = TESTS / "data"
FIXTURE_WHISPER = DATA / "fixture-whisper"
SHARED_AUDIO = ROOT.parent / "shared" / "audio"
"""Real recordings; tests that need them skip where the folder does not exist."""

WEIGHTS = ROOT / ".weights"
"""Real weights that the tests' set-up fetches; tests that need them skip where the folder does not exist."""
