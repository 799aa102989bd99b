"""Text + voice + synthesizer → a stream of sound, and its bytes in a format that somebody can play.

Knows no request and no wire. Text comes in pieces, which an endless book may supply; while one is heard the
next is being made, and no more than these two are in memory. What is slower or faster than a model can speak
is left to time stretching.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

from hearsay.domain import BytesLike, Pcm, SynthesisOptions
from hearsay.engines.protocols import IsCancelled, SynthesisStream, Synthesizer
from hearsay.errors import Cancelled, InvalidRequest
from hearsay.media.encoding import SoundEncoder, SoundFormat


class Synthesis:
    """One text being spoken; iterate once."""

    def __init__(
        self,
        pieces: Iterable[str],
        options: SynthesisOptions,
        synthesizer: Synthesizer,
        *,
        cancelled: IsCancelled = lambda: False,
    ) -> None:
        """Prepare; text is asked for when iteration begins. Pieces must be no longer than the model takes."""
        slowest, fastest = synthesizer.speeds
        natural = min(max(options.speed, slowest), fastest)
        self.tempo = options.speed / natural
        """How much faster what comes out must still become."""
        self.seconds = 0.0
        """Length of what was given so far, before its tempo is changed."""
        self._pieces = iter(pieces)
        self._options = replace(options, speed=natural)
        self._synthesizer = synthesizer
        self._cancelled = cancelled
        self._is_awaited = True

    def __iter__(self) -> Generator[Pcm, None, None]:
        """Return `int16[n]` blocks at the synthesizer's rate, as they are made.

        Raises: `Cancelled` when the caller has gone, `InvalidRequest` when nothing in the text can be said.
        """
        current = following = None
        try:
            current = self._begin()
            following = self._begin()
            while current is not None:
                yield from self._heard(current)
                current, following = following, self._begin()
        finally:
            for speaking in (current, following):
                if speaking is not None:
                    speaking.stop()
        if not self.seconds:
            raise InvalidRequest("Nothing in the input can be spoken.", param="input", code="nothing_to_say")

    def _begin(self) -> SynthesisStream | None:
        self._check()
        piece = next(self._pieces, None)
        if piece is None:
            return None
        is_awaited, self._is_awaited = self._is_awaited, False  # the others are made while it is heard
        return self._synthesizer.synthesize(piece, self._options, is_awaited=is_awaited)

    def _heard(self, speaking: SynthesisStream) -> Iterator[Pcm]:
        for block in speaking:
            self._check()
            self.seconds += len(block) / self._synthesizer.sample_rate
            yield block

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled


def encoded(synthesis: Synthesis, synthesizer: Synthesizer, wanted: SoundFormat) -> Iterator[BytesLike]:
    """Return the bytes of a whole file or stream in the wanted format, none empty, as sound is made."""
    encoder = SoundEncoder(wanted, source_rate=synthesizer.sample_rate, tempo=synthesis.tempo)
    with closing(iter(synthesis)) as blocks:
        for block in blocks:
            if data := encoder.feed(block):
                yield data
    if data := encoder.finish():
        yield data
