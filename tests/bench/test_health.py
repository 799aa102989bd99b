"""/health stays quick while the server transcribes; opt in with `-m bench` (figures: bench/health.py)."""

from __future__ import annotations

import pytest
from bench.health import LIMIT_MS, measure

from tests.support.paths import DATA


@pytest.mark.bench
def test_99th_percentile_while_transcribing() -> None:
    idle, loaded = measure(model="fixture", weights=DATA / "fixture-whisper", seconds=10.0, n_requests=3)
    assert loaded.n >= 200
    assert loaded.finished >= 1
    assert idle.percentile(99) < LIMIT_MS
    assert loaded.percentile(99) < LIMIT_MS
