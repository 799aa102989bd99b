"""One transcription: a recording and options in, segments out as they are recognised, then the transcript.

Knows no HTTP and no runtime. The recogniser is driven from here, in the thread that iterates.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from math import ceil, inf

from hearsay.asr.hallucinations import HallucinationFilter
from hearsay.asr.parallel import ParallelWindows, detect_language
from hearsay.asr.segment_times import fit_to_recording
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
from hearsay.engines.jobs import Submit, run_inline
from hearsay.engines.protocols import (
    AudioSlice,
    IsCancelled,
    SpeechDetector,
    WindowLoop,
    WindowRecognizer,
)
from hearsay.errors import Cancelled, UnsupportedOption
from hearsay.text import languages
from hearsay.vad.chunking import Chunk, stream_chunks

LANGUAGE_SECONDS = 8.0
"""Certain speech in a chunk that tells the language well enough."""

MAX_LANGUAGE_CHUNKS = 4
"""First chunks among which the one with most certain speech tells the language."""

CERTAIN_MARGIN = 0.2
"""Seconds before the end of certain speech from which on no window begins: less than a word."""

MAX_ECHO = 1.5
"""Seconds that may be speech after the last certain one and are not worth a window of their own."""

_ROUNDING = 0.02
"""Seconds by which the end of a chunk may be later than that of its last span because of rounding."""


class Transcription:
    """A transcription in progress; iterate for its segments, once."""

    def __init__(
        self,
        audio: Audio,
        options: TranscribeOptions,
        recognizer: WindowRecognizer,
        card: ModelCard,
        *,
        decode: DecodeSettings | None = None,
        submit: Submit | None = None,
        detector: SpeechDetector | None = None,
        cancelled: IsCancelled = lambda: False,
        eager: bool = False,
    ) -> None:
        """Check the options against the model; work begins with iteration.

        `submit` takes the jobs for the recogniser; without, they run in the thread that iterates.
        `eager` brings the first segments of a long recording early, and the last ones a little later.
        Raises: `UnsupportedOption` for a task (`param` is `model`) or language that the model lacks.
        """
        known = check_options(options, recognizer, card)
        if len(known) == 1:
            options = replace(options, language=known[0])
        self.language: str | None = None
        """Code of the language; known once the first segment came or iteration ended."""
        self.warnings: list[str] = list(audio.warnings)
        """What the client should know, one sentence each."""
        self._done = 0.0
        self._parallel: ParallelWindows | None = None
        self._report: TranscriptionReport | None = None
        self._audio = CancellableAudio(audio.pcm, audio.warnings, cancelled)
        self._options = options
        self._card = card
        self._cancelled = cancelled
        self._submit = submit
        self._detector = detector
        self._eager = eager
        self._decode = decode or DecodeSettings()
        self._segments: list[Segment] = []
        self._steps = self._windows(recognizer)

    @property
    def progress(self) -> float:
        """Seconds of the recording that are done; may be read from another thread."""
        done = self._done if self._parallel is None else max(self._done, self._parallel.progress)
        return min(done, self._audio.duration)

    def __iter__(self) -> Iterator[Segment]:
        """Return the segments as they are found. Raises: `Cancelled`."""
        return (segment for segment in self.steps() if segment is not None)

    def steps(self) -> Generator[Segment | None, None, None]:
        """Return the segments, and None after each bounded piece of work without any; raises as iteration.

        A shared thread can serve other requests in between, also during hours of silence.
        """
        try:
            for segment in self._steps:
                if segment is not None:
                    self._segments.append(segment)
                yield segment
        except GeneratorExit:
            if self._cancelled():
                self._steps.close()  # it refers to itself, and would stay in memory until collected
            raise

    def transcript(self) -> Transcript:
        """Return the transcript, recognising what is left; silence gives no segments and empty text."""
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

    def _windows(self, recognizer: WindowRecognizer) -> Generator[Segment | None, None, None]:
        chunking = self._choose_chunking(recognizer)
        hallucinations = HallucinationFilter(self._decode) if chunking is Chunking.VAD else None
        self._parallel = parallel = ParallelWindows(
            self._loops(recognizer, hallucinations),
            self._submit or run_inline(recognizer),
            cancelled=self._cancelled,
            eager=self._eager,
        )
        with closing(parallel.windows()) as windows:
            for window in windows:
                self._update(parallel)
                kept = window if hallucinations is None else hallucinations.filter(window)
                yield from [fit_to_recording(segment, self._audio.duration) for segment in kept] or (None,)
        self._update(parallel)
        self._done = self._audio.duration
        spans = None if hallucinations is None else hallucinations.spans
        self._report = TranscriptionReport(
            chunking=chunking,
            n_windows=parallel.n_windows,
            speech=None if spans is None else tuple(spans),
            dropped=() if hallucinations is None else tuple(hallucinations.dropped),
            fallbacks=tuple(parallel.fallbacks),
        )

    def _update(self, parallel: ParallelWindows) -> None:
        self.language = parallel.language or self._options.language
        self.warnings += [warning for warning in parallel.warnings if warning not in self.warnings]

    def _choose_chunking(self, recognizer: WindowRecognizer) -> Chunking:
        """Return the client's choice or else the operator's, where it can be honoured."""
        chunking = self._options.chunking or self._decode.chunking
        is_long = self._audio.duration > recognizer.window_seconds
        if chunking is Chunking.VAD and self._detector is None and is_long:
            self.warnings.append("No speech detector is available, so the recording was not cut at pauses.")
            return Chunking.SEQUENTIAL
        return chunking

    def _loops(
        self, recognizer: WindowRecognizer, hallucinations: HallucinationFilter | None
    ) -> Iterator[WindowLoop]:
        """Yield the window loops over the recording, one by one as they are asked for."""
        if hallucinations is None:
            yield recognizer.window_loop(self._audio, self._options, decode=self._decode)
            return
        if self._detector is not None:
            hallucinations.add_speech(())
        chunks = self._chunks(recognizer)
        first = self._first_chunks(chunks)
        options = self._options
        if len(first) > 1:
            audio, part = self._slice(max(first, key=certain_seconds), recognizer)
            loop = recognizer.window_loop(audio, options, decode=self._decode, part=part)
            language = detect_language(loop, self._submit or run_inline(recognizer), self._cancelled)
            options = replace(options, language=language)
        for chunk in chain(first, chunks):
            if self._detector is not None:
                hallucinations.add_speech(chunk.spans, begin=chunk.start)
            audio, part = self._slice(chunk, recognizer)
            yield recognizer.window_loop(audio, options, decode=self._decode, part=part)

    def _first_chunks(self, chunks: Iterator[Chunk]) -> list[Chunk]:
        """Return the first chunks, more than one where the first has too little speech to tell a language."""
        first: list[Chunk] = []
        for chunk in islice(chunks, MAX_LANGUAGE_CHUNKS):
            first.append(chunk)
            if self._options.language or certain_seconds(chunk) >= LANGUAGE_SECONDS:
                break
        return first

    def _chunks(self, recognizer: WindowRecognizer) -> Iterator[Chunk]:
        """Yield the chunks to recognise; without a detector one, for a recording that fits a window."""
        if self._detector is None:
            yield Chunk(0.0, self._audio.duration, ())
        else:
            thresholds = self._options.vad or self._decode.vad
            yield from stream_chunks(
                self._audio, self._detector, thresholds, window=recognizer.window_seconds
            )

    def _slice(self, chunk: Chunk, recognizer: WindowRecognizer) -> tuple[CancellableAudio, AudioSlice]:
        """Return the audio of a chunk, cut along the recogniser's frames, and where it lies."""
        per_second = round(1 / recognizer.frame_seconds)
        first = int(chunk.start * per_second + 1e-6)
        start, stop = first * (SAMPLE_RATE // per_second), ceil(chunk.end * SAMPLE_RATE)
        if chunk.end - chunk.start <= recognizer.window_seconds:
            stop = min(stop, start + round(recognizer.window_seconds * SAMPLE_RATE))
        audio = CancellableAudio(self._audio.pcm[start:stop], (), self._cancelled)
        return audio, AudioSlice(first / per_second, self._speech_end(chunk))

    def _speech_end(self, chunk: Chunk) -> float:
        """Return the time after which there is no speech in a chunk, infinity where that is not certain.

        Where a chunk goes on after its last span, that span ends with all of its padding. What little may be
        speech after the last certain one is its echo, which a window of its own would make words of.
        """
        last = chunk.spans[-1].end if chunk.spans else inf
        padding = (self._options.vad or self._decode.vad).padding
        end = last - padding if last + _ROUNDING < chunk.end else inf
        certain = [span.certain[1] for span in chunk.spans if span.certain]
        if not certain:
            return end
        return max(certain[-1] - CERTAIN_MARGIN, min(end, chunk.end) - MAX_ECHO)


def certain_seconds(chunk: Chunk) -> float:
    """Return the seconds of a chunk in which the detector is certain of speech."""
    return sum(span.certain[1] - span.certain[0] for span in chunk.spans if span.certain)


@dataclass(frozen=True, slots=True, eq=False)
class CancellableAudio(Audio):
    """A recording that cannot be read once cancelled; hours of it may be read before the first window."""

    cancelled: IsCancelled = lambda: False

    def samples(self, start: int = 0, stop: int | None = None) -> Samples:
        """Read samples as `Audio` does. Raises `Cancelled`."""
        if self.cancelled():
            raise Cancelled
        return Audio.samples(self, start, stop)


def check_options(
    options: TranscribeOptions, recognizer: WindowRecognizer, card: ModelCard
) -> tuple[str, ...]:
    """Return the codes of the languages that a model recognises. Raises: `UnsupportedOption`."""
    if options.task not in card.tasks or options.task not in recognizer.tasks:
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
