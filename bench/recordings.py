"""Recordings to measure with: the clips of the tests, and the sample made as long as wanted.

Knows no server and no engine.
"""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path

import numpy as np

from hearsay import audio, samples
from hearsay.domain import SAMPLE_RATE

ROOT = Path(__file__).resolve().parents[1]
FIXTURE = ROOT / "tests" / "data" / "fixture-whisper"
CLIPS = ROOT / "tests" / "data" / "clips"


def long_recording(seconds: float) -> bytes:
    """Repeat the sample recording up to a length, with a short pause between; a WAV file."""
    sample = audio.load(samples.HELLO).pcm
    piece = np.concatenate([sample, np.zeros(SAMPLE_RATE // 2, np.int16)])
    pcm = np.resize(piece, round(seconds * SAMPLE_RATE))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, len(pcm), "NONE", "not compressed"))
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def clips() -> list[Path]:
    """Give the recordings of the fixture's clips in the order of their manifest."""
    manifest = json.loads((CLIPS / "manifest.json").read_text("utf-8"))
    return [CLIPS / clip["file"] for clip in manifest]
