"""Real recordings through the whole server with the embedded engine, against PocketSphinx called directly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jiwer
import pytest

from hearsay.engines.pocketsphinx import cards as pocketsphinx_cards
from tests.compat.serving import Scene
from tests.support import pocketsphinx_reference
from tests.support.paths import SHARED_AUDIO
from tests.support.server import serving

AUDIO = SHARED_AUDIO
TOLERANCE = 0.02
"""By how much the server's word error rate may exceed the direct one: two points."""

PLAIN_WORDS = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call]
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ]
)
"""The normaliser "plain words": lower case, no punctuation, single spaces; nothing is respelt."""

pytestmark = pytest.mark.skipif(not AUDIO.is_dir(), reason="the folder of real recordings is not there")


def recordings() -> list[dict[str, Any]]:
    """Return the English recordings of one speaker that have a reference."""
    if not AUDIO.is_dir():
        return []
    manifest = json.loads((AUDIO / "manifest.json").read_text("utf-8"))
    return [entry for entry in manifest if entry["language"] == "en" and "text" in entry]


def through_server(http: httpx.Client, path: Path) -> str:
    """Recognise a recording as a client of ours would."""
    with path.open("rb") as file:
        answer = http.post("/v1/audio/transcriptions", files={"file": file})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-hearsay-model"] == "pocketsphinx-en-us"
    return str(answer.json()["text"])


def error_rate(references: list[str], hypotheses: list[str]) -> float:
    """Return the word error rate over all recordings together, after `PLAIN_WORDS`."""
    rate: float = jiwer.wer(
        references, hypotheses, reference_transform=PLAIN_WORDS, hypothesis_transform=PLAIN_WORDS
    )
    return rate


@pytest.fixture
def embedded_address(tmp_path: Path) -> Iterator[str]:
    """A server with the embedded engine alone."""
    with serving(Scene(tmp_path, default=pocketsphinx_cards.POCKETSPHINX).app()) as address:
        yield address


@pytest.mark.slow
def test_word_error_rate(embedded_address: str, capsys: pytest.CaptureFixture[str]) -> None:
    entries = recordings()
    assert len(entries) >= 8
    references = [entry["text"] for entry in entries]
    with httpx.Client(base_url=embedded_address, timeout=120, trust_env=False) as http:
        served = [through_server(http, AUDIO / entry["file"]) for entry in entries]
    called = [pocketsphinx_reference.hear(AUDIO / entry["file"]) for entry in entries]
    ours, theirs = error_rate(references, served), error_rate(references, called)
    with capsys.disabled():
        print(f"\n{len(entries)} recordings: word error rate {ours:.1%} served, {theirs:.1%} called directly")
        for entry, mine, plain in zip(entries, served, called, strict=True):
            print(f"  {entry['file']}\n    served {mine}\n    direct {plain}")
    assert ours <= theirs + TOLERANCE
