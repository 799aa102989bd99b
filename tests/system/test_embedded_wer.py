"""Word error rate of the embedded engine on real recordings, against the library called directly on each.

Needs the recordings and their references beside the checkout; `system/test_server_wer.py` tests the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jiwer
import pytest

from hearsay.asr.transcription import Transcription
from hearsay.domain import ModelCard, Task, TranscribeOptions
from hearsay.engines.pocketsphinx import recognizer as sphinx
from hearsay.media import decoding
from tests.support import pocketsphinx_reference
from tests.support.paths import SHARED_AUDIO

RECORDINGS = SHARED_AUDIO
NORMALISER = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call]
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
    ]
)
"""Lower case, no punctuation, single spaces; no spelling of numbers."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (RECORDINGS / "manifest.json").exists(), reason="no recordings beside the checkout"
    ),
]


@pytest.fixture(scope="module")
def clips() -> list[tuple[str, Path]]:
    """Every English recording that has one text, with that text."""
    manifest = json.loads((RECORDINGS / "manifest.json").read_text("utf-8"))
    chosen = [entry for entry in manifest if entry["language"] == "en" and entry.get("text")]
    assert len(chosen) >= 8
    return [(NORMALISER(entry["text"]), RECORDINGS / entry["file"]) for entry in chosen]


def heard_by_us(clips: list[tuple[str, Path]]) -> Iterator[str]:
    """Transcribe each file as the server does."""
    engine = sphinx.load()
    card = ModelCard("sphinx", "sphinx", "tests", 0, frozenset({Task.TRANSCRIBE}), ("en",), 0)
    for _, path in clips:
        clip = decoding.load(path)
        yield NORMALISER(Transcription(clip, TranscribeOptions(), engine, card).transcript().text)
    engine.close()


def test_no_worse_than_the_library_by_itself(
    clips: list[tuple[str, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    references = [reference for reference, _ in clips]
    directly = jiwer.wer(references, [pocketsphinx_reference.hear(path) for _, path in clips])
    by_us = jiwer.wer(references, list(heard_by_us(clips)))
    n_words = sum(len(reference.split()) for reference in references)
    with capsys.disabled():
        print(f"\n{len(clips)} recordings, {n_words} words: WER {by_us:.1%} here, {directly:.1%} directly")
    assert by_us <= directly + 0.02
