"""Utterances + voice + synthesizer → a stream of audio, and its bytes in an audio format.

Knows no request and no protocol. Text arrives as utterances, possibly without end; while one is played the
next is synthesized, and only these two are in memory. Speeds beyond a model's range use time stretching.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

from hearsay.domain import BytesLike, Pcm, SynthesisOptions
from hearsay.engines.protocols import IsCancelled, SynthesisStream, Synthesizer
from hearsay.errors import Cancelled, InvalidRequest
from hearsay.media.encoding import AudioEncoder, AudioFormat


class Synthesis:
    """The synthesis of one text; iterate once."""

    def __init__(
        self,
        utterances: Iterable[str],
        options: SynthesisOptions,
        synthesizer: Synthesizer,
        *,
        cancelled: IsCancelled = lambda: False,
    ) -> None:
        """Store the input; text is read when iteration begins.

        Utterances must not exceed the synthesizer's `utterance_characters`.
        """
        slowest, fastest = synthesizer.speeds
        native_speed = min(max(options.speed, slowest), fastest)
        self.tempo = options.speed / native_speed
        """Factor of the time stretching that remains to be applied."""
        self.seconds = 0.0
        """Duration of the audio yielded so far, before time stretching."""
        self._utterances = iter(utterances)
        self._options = replace(options, speed=native_speed)
        self._synthesizer = synthesizer
        self._cancelled = cancelled
        self._is_awaited = True

    def __iter__(self) -> Generator[Pcm, None, None]:
        """Yield `int16[n_samples]` blocks at the synthesizer's rate, as they are made.

        Raises: `Cancelled` on cancellation, `InvalidRequest` when nothing in the text can be spoken.
        """
        current = following = None
        try:
            current = self._start_next()
            following = self._start_next()
            while current is not None:
                yield from self._stream_blocks(current)
                current, following = following, self._start_next()
        finally:
            for stream in (current, following):
                if stream is not None:
                    stream.stop()
        if not self.seconds:
            raise InvalidRequest("Nothing in the input can be spoken.", param="input", code="nothing_to_say")

    def _start_next(self) -> SynthesisStream | None:
        self._check()
        utterance = next(self._utterances, None)
        if utterance is None:
            return None
        # The utterances after the first are synthesized while it is played.
        is_awaited, self._is_awaited = self._is_awaited, False
        return self._synthesizer.synthesize(utterance, self._options, is_awaited=is_awaited)

    def _stream_blocks(self, stream: SynthesisStream) -> Iterator[Pcm]:
        for block in stream:
            self._check()
            self.seconds += len(block) / self._synthesizer.sample_rate
            yield block

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled


def encoded(synthesis: Synthesis, synthesizer: Synthesizer, audio_format: AudioFormat) -> Iterator[BytesLike]:
    """Yield the non-empty blocks of bytes of a file or stream in an audio format, as audio is made."""
    encoder = AudioEncoder(audio_format, source_rate=synthesizer.sample_rate, tempo=synthesis.tempo)
    with closing(iter(synthesis)) as blocks:
        for block in blocks:
            if data := encoder.feed(block):
                yield data
    if data := encoder.finish():
        yield data
