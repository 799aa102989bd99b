"""Whisper base and tiny.en with their real weights, which `make test` fetches; each is loaded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from hearsay.asr.transcription import Transcription
from hearsay.domain import Audio, ModelCard, TranscribeOptions, Transcript
from hearsay.engines import registry
from hearsay.engines.protocols import WindowRecognizer
from hearsay.engines.silero import detector
from hearsay.engines.whisper import loading
from tests.support.paths import WEIGHTS


@dataclass(frozen=True, slots=True)
class RealWhisper:
    """A loaded Whisper."""

    recognizer: WindowRecognizer
    card: ModelCard

    def transcribe(self, audio: Audio, **options: Any) -> Transcript:
        """Return a transcript as the server makes it by default, without other requests in between."""
        return Transcription(
            audio, TranscribeOptions(**options), self.recognizer, self.card, detector=detector.shared()
        ).transcript()


@cache
def real_whisper(name: str) -> RealWhisper:
    """Return a Whisper by its name, `base` or `tiny.en`; skips the test where its weights are not there."""
    folder = WEIGHTS / f"Systran--faster-whisper-{name}"
    if not (folder / "model.bin").exists():
        pytest.skip(f"{folder} does not exist; `make {WEIGHTS.name}/.fetched` fetches the weights")
    return RealWhisper(loading.load(folder), registry.describe(name, folder))
