"""The synthesizer of one request: the utterances that it began are cancelled with the request.

Knows no pool and no thread. A thread that waits for audio waits within the engine, where it cannot ask if
its request is cancelled; so cancelling the request cancels the utterances themselves.
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
        self.sample_rate: int = synthesizer.sample_rate
        self.voices: tuple[Voice, ...] = synthesizer.voices
        self.speeds: tuple[float, float] = synthesizer.speeds
        self.utterance_characters: int = synthesizer.utterance_characters
        self._synthesizer = synthesizer
        self._lock = threading.Lock()
        self._open: set[SynthesisStream] = set()
        self._closed = False

    def synthesize(self, text: str, options: SynthesisOptions, *, is_awaited: bool = True) -> SynthesisStream:
        """Begin one utterance. Raises: `Cancelled` once closed, `UnsupportedOption`, `EngineFailed`."""
        with self._lock:
            if self._closed:
                raise Cancelled
        begun = self._synthesizer.synthesize(text, options, is_awaited=is_awaited)
        stream = _CancellableStream(begun, self)
        with self._lock:
            if not self._closed:
                self._open.add(stream)
                return stream
        stream.stop()
        raise Cancelled

    def close(self) -> None:
        """Cancel all utterances; no more are begun. The model stays for other requests."""
        with self._lock:
            self._closed = True
            streams = tuple(self._open)
        for stream in streams:
            stream.stop()

    def discard(self, stream: SynthesisStream) -> None:
        with self._lock:
            self._open.discard(stream)


class _CancellableStream:
    """One utterance, which its synthesizer can cancel until it ends."""

    def __init__(self, stream: SynthesisStream, synthesizer: CancellableSynthesizer) -> None:
        self._stream = stream
        self._synthesizer = synthesizer

    def __iter__(self) -> Iterator[Pcm]:
        try:
            yield from self._stream
        finally:
            self._synthesizer.discard(self)

    def stop(self) -> None:
        self._synthesizer.discard(self)
        self._stream.stop()
