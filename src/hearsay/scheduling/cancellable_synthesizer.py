"""A request's way to a synthesizer: what it begins to say is stopped when the request has gone.

Knows no pool and no thread of its own. Whoever waits for sound waits within the engine, where no question
whether the caller is still there reaches; so the one who learns that he is not ends the speaking itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from hearsay.domain import Pcm, SynthesisOptions, Voice
from hearsay.engines.protocols import SynthesisStream, Synthesizer
from hearsay.errors import Cancelled


class CancellableSynthesizer:
    """A `Synthesizer` for one request; may be closed from any thread, which the model survives."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        """Speak with a model that others use too."""
        self.sample_rate: int = synthesizer.sample_rate
        self.voices: tuple[Voice, ...] = synthesizer.voices
        self.speeds: tuple[float, float] = synthesizer.speeds
        self.utterance_characters: int = synthesizer.utterance_characters
        self._synthesizer = synthesizer
        self._lock = threading.Lock()
        self._begun: set[SynthesisStream] = set()
        self._closed = False

    def synthesize(self, text: str, options: SynthesisOptions, *, is_awaited: bool = True) -> SynthesisStream:
        """Begin to say one piece. Raises: `Cancelled` once closed, `UnsupportedOption`, `EngineFailed`."""
        with self._lock:
            if self._closed:
                raise Cancelled
        begun = self._synthesizer.synthesize(text, options, is_awaited=is_awaited)
        speaking = _CancellableStream(begun, self)
        with self._lock:
            if not self._closed:
                self._begun.add(speaking)
                return speaking
        speaking.stop()
        raise Cancelled

    def close(self) -> None:
        """Stop what is being said; nothing more is begun. The model stays for others."""
        with self._lock:
            self._closed = True
            begun = tuple(self._begun)
        for speaking in begun:
            speaking.stop()

    def forget(self, speaking: SynthesisStream) -> None:
        """Let go of what has come to its end."""
        with self._lock:
            self._begun.discard(speaking)


class _CancellableStream:
    """A piece that its booth can stop for as long as it is being said."""

    def __init__(self, speaking: SynthesisStream, booth: CancellableSynthesizer) -> None:
        self._speaking = speaking
        self._booth = booth

    def __iter__(self) -> Iterator[Pcm]:
        try:
            yield from self._speaking
        finally:
            self._booth.forget(self)

    def stop(self) -> None:
        self._booth.forget(self)
        self._speaking.stop()
