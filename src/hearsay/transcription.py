"""One transcription: a recording and wishes in, segments out as they are found, then the transcript.

Knows no HTTP and no runtime. Both kinds of recogniser are driven from here; whoever iterates owns the thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hearsay import languages
from hearsay.domain import (
    SAMPLE_RATE,
    Audio,
    DecodeSettings,
    ModelCard,
    Samples,
    Segment,
    Task,
    TranscribeOptions,
    Transcript,
)
from hearsay.engines.protocols import Cancelled as IsCancelled
from hearsay.engines.protocols import Recognizer, Stream, UtteranceRecognizer, WindowRecognizer
from hearsay.errors import Cancelled, UnsupportedOption
from hearsay.sequential import WindowLoop

FEED_SECONDS = 1
"""Audio given to a stream at once; between two such pieces a caller who has gone is noticed."""

STEP_SECONDS = 30
"""Audio given to a stream before others may have the thread, as much as a window has."""


class Transcription:
    """A transcription in progress; iterate for its segments, once."""

    def __init__(
        self,
        audio: Audio,
        options: TranscribeOptions,
        recognizer: Recognizer,
        card: ModelCard,
        *,
        decode: DecodeSettings | None = None,
        cancelled: IsCancelled = lambda: False,
    ) -> None:
        """Check the wishes against the model; work begins with iteration.

        Raises: `UnsupportedOption` for a task (`param` is `model`) or language that the model lacks.
        """
        known = check_options(options, recognizer, card)
        if len(known) == 1:
            options = replace(options, language=known[0])
        self.language: str | None = None
        """Code of the language; known once the first segment came or iteration ended."""
        self.warnings: list[str] = list(audio.warnings)
        """What the caller should know, one sentence each."""
        self._done = 0.0
        self._loop: WindowLoop | None = None
        self._audio = WatchedAudio(audio.pcm, audio.warnings, cancelled)
        self._options = options
        self._card = card
        self._cancelled = cancelled
        self._decode = decode or DecodeSettings()
        self._segments: list[Segment] = []
        self._coming = self._recognize(recognizer)

    @property
    def progress(self) -> float:
        """Seconds of the recording that are done; may be read from another thread."""
        done = self._done if self._loop is None else self._loop.seek_seconds
        return min(done, self._audio.duration)

    def __iter__(self) -> Iterator[Segment]:
        """Give the segments as they are found. Raises `Cancelled` when the caller has gone."""
        return (segment for segment in self.steps() if segment is not None)

    def steps(self) -> Iterator[Segment | None]:
        """Give the segments, and None after each bounded piece of work that found none; raises as iteration.

        Whoever shares a thread can let others have it in between, also where nobody speaks for hours.
        """
        for segment in self._coming:
            if segment is not None:
                self._segments.append(segment)
            yield segment

    def transcript(self) -> Transcript:
        """Collect what was found, recognising whatever is left; silence gives no segments and empty text."""
        for _ in self:
            pass
        return Transcript(
            text="".join(segment.text for segment in self._segments).strip(),
            segments=tuple(self._segments),
            language=self.language,
            duration=self._audio.duration,
            task=self._options.task,
            model=self._card.id,
            warnings=tuple(self.warnings),
        )

    def _recognize(self, recognizer: Recognizer) -> Iterator[Segment | None]:
        if isinstance(recognizer, WindowRecognizer):
            yield from self._windows(recognizer)
        else:
            yield from self._utterances(recognizer)

    def _windows(self, recognizer: WindowRecognizer) -> Iterator[Segment | None]:
        loop = WindowLoop(
            recognizer.features(self._audio),
            self._options,
            recognizer,
            decode=self._decode,
            cancelled=self._cancelled,
        )
        self._loop = loop
        self.warnings += loop.warnings
        for segment in loop.steps():
            self.language = loop.language
            yield segment
        self.language = loop.language

    def _utterances(self, recognizer: UtteranceRecognizer) -> Iterator[Segment | None]:
        stream = recognizer.open(self._options)
        self._ask(stream)
        step = FEED_SECONDS * SAMPLE_RATE
        for start in range(0, self._audio.n_samples, step):
            yield from stream.feed(self._audio.samples(start, start + step))
            self._done = (start + step) / SAMPLE_RATE
            if self._done % STEP_SECONDS == 0:
                yield None
        if self._cancelled():
            raise Cancelled
        yield from stream.finish()
        self._ask(stream)

    def _ask(self, stream: Stream) -> None:
        """Take over what a stream says about itself, once."""
        self.language = getattr(stream, "language", None) or self._options.language
        self.warnings += [w for w in getattr(stream, "warnings", ()) if w not in self.warnings]


@dataclass(frozen=True, slots=True, eq=False)
class WatchedAudio(Audio):
    """A recording that cannot be read once the caller has gone; hours of it may be read before any window."""

    cancelled: IsCancelled = lambda: False

    def samples(self, start: int = 0, stop: int | None = None) -> Samples:
        """Read samples as `Audio` does. Raises `Cancelled`."""
        if self.cancelled():
            raise Cancelled
        return Audio.samples(self, start, stop)


def check_options(options: TranscribeOptions, recognizer: Recognizer, card: ModelCard) -> tuple[str, ...]:
    """Refuse what a model cannot do; list the languages that it understands. Raises `UnsupportedOption`."""
    english_only = isinstance(recognizer, WindowRecognizer) and not recognizer.multilingual
    if options.task not in card.tasks or (options.task is Task.TRANSLATE and english_only):
        doing = {Task.TRANSLATE: "translate", Task.TRANSCRIBE: "transcribe"}[options.task]
        raise UnsupportedOption(f"The model `{card.id}` cannot {doing}.", param="model")
    known = tuple(code for code in recognizer.languages if not card.languages or code in card.languages)
    if options.language is not None and options.language not in known:
        spoken = languages.name(options.language).title()
        few = ", ".join(sorted(known)) if len(known) < 10 else f"{len(known)} other languages"
        raise UnsupportedOption(
            f"The model `{card.id}` does not understand {spoken} ({options.language}), only {few}.",
            param="language",
        )
    return known
