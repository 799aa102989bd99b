"""One transcription: a recording and wishes in, segments out as they are found, then the transcript.

Knows no HTTP and no runtime. Both kinds of recogniser are driven from here; whoever iterates owns the thread.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from math import ceil, inf

from hearsay.asr.hallucinations import HallucinationFilter
from hearsay.asr.parallel import ParallelWindows
from hearsay.domain import (
    SAMPLE_RATE,
    Audio,
    Chunking,
    DecodeSettings,
    ModelCard,
    Samples,
    Segment,
    Task,
    TranscribeOptions,
    Transcript,
    TranscriptionReport,
)
from hearsay.engines.jobs import Submit, at_once
from hearsay.engines.protocols import (
    IsCancelled,
    Recognizer,
    SpeechDetector,
    Stream,
    UtteranceRecognizer,
    WindowRecognizer,
)
from hearsay.engines.whisper.window_loop import AudioSlice, WindowLoop, frames_per_second
from hearsay.errors import Cancelled, UnsupportedOption
from hearsay.text import languages
from hearsay.vad.chunking import Chunk, stream_chunks

FEED_SECONDS = 1
"""Audio given to a stream at once; between two such pieces a caller who has gone is noticed."""

STEP_SECONDS = 30
"""Audio given to a stream before others may have the thread, as much as a window has."""

_ROUNDING = 0.02
"""Seconds by which the end of a stretch may be later than that of its last span because of rounding."""


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
        submit: Submit | None = None,
        detector: SpeechDetector | None = None,
        cancelled: IsCancelled = lambda: False,
        eager: bool = False,
    ) -> None:
        """Check the wishes against the model; work begins with iteration.

        `submit` takes the jobs for a window recogniser (`recognizer` then only makes features and text);
        without, they are done in the thread that iterates. `eager` brings the first segments of a long
        recording early, and the last ones a little later.
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
        self._loops: ParallelWindows | None = None
        self._report: TranscriptionReport | None = None
        self._audio = WatchedAudio(audio.pcm, audio.warnings, cancelled)
        self._options = options
        self._card = card
        self._cancelled = cancelled
        self._submit = submit
        self._detector = detector
        self._eager = eager
        self._decode = decode or DecodeSettings()
        self._segments: list[Segment] = []
        self._coming = self._recognize(recognizer)

    @property
    def progress(self) -> float:
        """Seconds of the recording that are done; may be read from another thread."""
        done = self._done if self._loops is None else max(self._done, self._loops.progress)
        return min(done, self._audio.duration)

    def __iter__(self) -> Iterator[Segment]:
        """Return the segments as they are found. Raises `Cancelled` when the caller has gone."""
        return (segment for segment in self.steps() if segment is not None)

    def steps(self) -> Generator[Segment | None, None, None]:
        """Return the segments, and None after each bounded piece of work without any; raises as iteration.

        Whoever shares a thread can let others have it in between, also where nobody speaks for hours.
        """
        try:
            for segment in self._coming:
                if segment is not None:
                    self._segments.append(segment)
                yield segment
        except GeneratorExit:
            if self._cancelled():
                self._coming.close()  # whatever it holds refers to itself, and would stay until collected
            raise

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
            report=self._report,
        )

    def _recognize(self, recognizer: Recognizer) -> Generator[Segment | None, None, None]:
        if isinstance(recognizer, WindowRecognizer):
            yield from self._windows(recognizer)
        else:
            yield from self._utterances(recognizer)

    def _windows(self, recognizer: WindowRecognizer) -> Iterator[Segment | None]:
        chunking = self._choose_chunking(recognizer)
        guard = HallucinationFilter(self._decode) if chunking is Chunking.VAD else None
        self._loops = loops = ParallelWindows(
            self._open(recognizer, guard),
            self._submit or at_once(recognizer),
            cancelled=self._cancelled,
            eager=self._eager,
        )
        with closing(loops.windows()) as windows:
            for window in windows:
                self._learn(loops)
                yield from (window if guard is None else guard.filter(window)) or (None,)
        self._learn(loops)
        self._done = self._audio.duration
        self._report = TranscriptionReport(
            chunking=chunking,
            n_windows=loops.n_windows,
            speech=None if guard is None or guard.spans is None else tuple(guard.spans),
            dropped=() if guard is None else tuple(guard.dropped),
            fallbacks=tuple(loops.fallbacks),
        )

    def _learn(self, loops: ParallelWindows) -> None:
        """Take over what the loops found out about the whole recording."""
        self.language = loops.language or self._options.language
        self.warnings += [warning for warning in loops.warnings if warning not in self.warnings]

    def _choose_chunking(self, recognizer: WindowRecognizer) -> Chunking:
        """Take the caller's choice or else the operator's, where it can be followed."""
        chunking = self._options.chunking or self._decode.chunking
        is_long = self._audio.duration > _window_seconds(recognizer)
        if chunking is Chunking.VAD and self._detector is None and is_long:
            self.warnings.append("No speech detector is available, so the recording was not cut at pauses.")
            return Chunking.SEQUENTIAL
        return chunking

    def _open(self, recognizer: WindowRecognizer, guard: HallucinationFilter | None) -> Iterator[WindowLoop]:
        """Make the loops over the recording, each when there is room for it."""
        if guard is None:
            features = recognizer.features(self._audio)
            yield WindowLoop(features, self._options, recognizer, decode=self._decode)
            return
        if self._detector is not None:
            guard.add_speech(())
        for stretch in self._listen(recognizer):
            if self._detector is not None:
                guard.add_speech(stretch.spans, begin=stretch.start)
            audio, part = self._cut(stretch, recognizer)
            features = recognizer.features(audio)
            yield WindowLoop(features, self._options, recognizer, decode=self._decode, part=part)

    def _listen(self, recognizer: WindowRecognizer) -> Iterator[Chunk]:
        """Return the stretches to be recognised; without a detector all of a recording that fits a window."""
        if self._detector is None:
            yield Chunk(0.0, self._audio.duration, ())
        else:
            thresholds = self._options.vad or self._decode.vad
            window = _window_seconds(recognizer)
            yield from stream_chunks(self._audio, self._detector, thresholds, window=window)

    def _cut(self, stretch: Chunk, recognizer: WindowRecognizer) -> tuple[WatchedAudio, AudioSlice]:
        """Cut a stretch out of the recording, along frames."""
        per_second = frames_per_second(recognizer)
        n_samples = SAMPLE_RATE // per_second
        first = int(stretch.start * per_second + 1e-6)
        start, stop = first * n_samples, ceil(stretch.end * SAMPLE_RATE)
        if stretch.end - stretch.start <= _window_seconds(recognizer):
            stop = min(stop, start + recognizer.window_frames * n_samples)
        audio = WatchedAudio(self._audio.pcm[start:stop], (), self._cancelled)
        return audio, AudioSlice(first / per_second, self._quiet_from(stretch))

    def _quiet_from(self, stretch: Chunk) -> float:
        """Return the time after which nobody speaks in a stretch, infinity where that is not certain.

        Where a stretch goes on after its last span, that span ends with all of its padding.
        """
        last = stretch.spans[-1].end if stretch.spans else inf
        padding = (self._options.vad or self._decode.vad).padding
        return last - padding if last + _ROUNDING < stretch.end else inf

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


def _window_seconds(recognizer: WindowRecognizer) -> float:
    return recognizer.window_frames / frames_per_second(recognizer)
