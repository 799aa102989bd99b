"""What test doubles of Whisper have in common: the real window loop around their few calls."""

from __future__ import annotations

from collections.abc import Hashable

from hearsay.domain import (
    RECOGNITION,
    Audio,
    DecodeSettings,
    TranscribeOptions,
    Window,
)
from hearsay.engines.protocols import AudioSlice
from hearsay.engines.whisper.jobs import WhisperModel
from hearsay.engines.whisper.window_loop import WindowLoop


class WhisperDouble:
    """A `WindowRecognizer` of 30 s for all tasks; subclasses have the calls of a `WhisperModel`."""

    window_frames = 3000
    window_seconds = 30.0
    frame_seconds = 0.01
    timestamp_seconds = 0.02
    previous_limit = 223
    tasks = RECOGNITION

    def window_loop(
        self: WhisperModel,
        audio: Audio,
        options: TranscribeOptions,
        *,
        decode: DecodeSettings,
        part: AudioSlice | None = None,
    ) -> WindowLoop:
        """Return Whisper's own loop."""
        return WindowLoop(self.features(audio), options, self, decode=decode, part=part)

    def decode_kind(self, window: Window) -> Hashable:
        """Decode all windows together."""
        return None

    def close(self) -> None:
        """Do nothing."""
