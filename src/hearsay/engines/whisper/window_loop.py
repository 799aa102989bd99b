"""Whisper's window loop: 30 s at a time, seek by timestamps, temperature fallback, previous text as prompt.

Knows no runtime, no queue and no wire. Step by step the algorithm of openai/whisper `transcribe.py`
(20250625); the segments that it blanks, because they have no text or no length, are left out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import inf
from typing import Any

import numpy as np

from hearsay.domain import (
    DecodeSettings,
    Fallback,
    FallbackReason,
    Hypothesis,
    Segment,
    Task,
    TranscribeOptions,
    Window,
)
from hearsay.engines.jobs import Jobs
from hearsay.engines.protocols import AudioSlice
from hearsay.engines.whisper.jobs import Align, Decode, DetectLanguage, Encode, Features, WhisperModel
from hearsay.engines.whisper.word_timestamps import attach_words, last_word_end
from hearsay.transcripts import quality

PROMPT_CHARACTERS = 8192
"""Last characters of a prompt that are tokenised: far more than fit, and few enough to be fast."""

RESET_TEMPERATURE = 0.5
"""Text sampled at a temperature above this one is too unreliable to prompt the next window."""

TIMES_NATS = 3.0
"""What a window's timestamps and its end cost in log probability; in a short text they are most of it."""

MIN_TAIL = 0.5
"""Seconds after the first window of a slice that are not decoded if there are no more: the end of a word."""

MAX_LOST = 8.0
"""Seconds of speech after the last segment of a window that are decoded again; timestamps err by 1 or 2."""

SHORT_STEP = 2.5
"""Seconds by which short windows grow: few sizes, so that clips of about one length can share a call."""

SHORT_MARGIN = 2.0
"""Least seconds of padding in a short window, in which the model may find that the speech has ended."""


class WindowLoop:
    """The windows of a recording, or of a slice of one, decoded one after another: a `protocols.WindowLoop`.

    Segments of a slice have the times of the recording, though everything is computed as for a recording
    that starts there. The language of a slice is detected in the encoding that is decoded; that of a whole
    recording in one of its own that is padded with silence, as in the reference.
    """

    def __init__(
        self,
        features: Features,
        options: TranscribeOptions,
        recognizer: WhisperModel,
        *,
        decode: DecodeSettings,
        part: AudioSlice | None = None,
    ) -> None:
        """Prepare a recording or slice; nothing is computed by the model before `jobs` is driven."""
        self.language: str | None = options.language if recognizer.multilingual else "en"
        self.seek = 0
        """First frame that has not been decoded yet, counted from the slice's start."""
        self.warnings: list[str] = []
        self.segments_by_window: list[list[Segment]] = []
        self.fallbacks: list[Fallback] = []
        self._features = features
        self._options = options
        self._recognizer = recognizer
        self._decode = decode
        self._part = part
        self._begin = part.begin if part else 0.0
        self._temperatures = temperatures(options.temperature, decode)
        self._spoken = 0.0
        self._previous = self._prompt(options.prompt)
        if options.words and options.task is Task.TRANSLATE:
            self.warnings.append("Word times of translations are rough: the words were never said.")

    @property
    def seek_seconds(self) -> float:
        return self._begin + self.seek / frames_per_second(self._recognizer)

    def jobs(self) -> Jobs[None]:
        encoding = None if self._part else (yield from self._detect_apart())
        while self.seek < self._features.n_frames and not self._is_over():
            n_frames = min(self._recognizer.window_frames, self._features.n_frames - self.seek)
            if encoding is None:
                encoding = yield self._encode(n_frames)
            if self.language is None:
                self.language = argmax_language((yield DetectLanguage(encoding)))
            segments = yield from self._window(encoding, n_frames)
            if self._begin:
                segments = [segment.shifted(self._begin) for segment in segments]
            self.segments_by_window.append(segments)
            encoding = None

    def _is_over(self) -> bool:
        """Return whether there is no speech in the rest of a slice, or too little of it for a word."""
        if self._part is None:
            return False
        rest = (self._features.n_frames - self.seek) / frames_per_second(self._recognizer)
        return self.seek_seconds >= self._part.until or (self.seek > 0 and rest < MIN_TAIL)

    def _detect_apart(self) -> Jobs[Any]:
        """Detect the language if it is unknown; return the first window's encoding if that is the same."""
        if self.language is not None or self._features.n_frames == 0:
            return None
        padded = yield Encode(self._features.window(0, pad_silence=True))
        self.language = argmax_language((yield DetectLanguage(padded)))
        return padded if self._features.n_frames >= self._recognizer.window_frames else None

    def _encode(self, n_frames: int) -> Encode:
        """Return the job for the window at `seek`, a short window where `_is_short`."""
        features = self._features.window(self.seek)
        if self._is_short(n_frames):
            features = np.ascontiguousarray(features[:, : self._short_frames(n_frames)])
        return Encode(features)

    def _is_short(self, n_frames: int) -> bool:
        """Return whether a window of a slice is encoded without most of its padding."""
        is_shorter = self._short_frames(n_frames) < self._recognizer.window_frames
        return self._decode.short_windows and self._part is not None and is_shorter

    def _short_frames(self, n_frames: int) -> int:
        return short_frames(n_frames, frames_per_second(self._recognizer))

    def _window(self, encoding: Any, n_frames: int) -> Jobs[list[Segment]]:
        """Decode the window at `seek`, and advance `seek`."""
        window = Window(
            encoding=encoding,
            duration=n_frames / frames_per_second(self._recognizer),
            language=self.language if self._recognizer.multilingual else None,
            task=self._options.task,
            previous=tuple(self._previous),
            beam_size=self._decode.beam_size,
            best_of=self._decode.best_of,
        )
        window, hypothesis = yield from self._recognize(window, n_frames)
        begin, end = self.seek, self.seek + n_frames
        if quality.is_silence(hypothesis, self._decode):
            self.seek = end
            return []
        split = split_at_timestamps(hypothesis, begin, n_frames, self._recognizer)
        segments, self.seek = split.segments, split.seek
        if self._options.words:
            segments = yield from self._add_words(window, split, n_frames)
        if self.seek <= begin:
            self.seek = end
        self.seek = self._before_lost_speech(segments, begin)
        segments = [self._with_text(segment) for segment in segments]
        kept = [segment for segment in segments if segment.start != segment.end and segment.text.strip()]
        self._remember(kept, hypothesis.temperature)
        return kept

    def _before_lost_speech(self, segments: Sequence[Segment], begin: int) -> int:
        """Return where the next window begins: after the last segment if a slice's speech goes on for long.

        A single last timestamp says that no speech follows, which is not true where a slice changes language.
        """
        spoken = round(segments[-1].end * frames_per_second(self._recognizer)) if segments else begin
        if self._part is None or self._part.until == inf or not begin < spoken < self.seek:
            return self.seek
        until = (self._part.until - self._begin) * frames_per_second(self._recognizer)
        lost = (min(self.seek, until) - spoken) / frames_per_second(self._recognizer)
        return spoken if lost > MAX_LOST else self.seek

    def _recognize(self, window: Window, n_frames: int) -> Jobs[tuple[Window, Hypothesis]]:
        """Decode at rising temperatures until the result is good enough, or there is none left.

        A short window whose first result is rejected is encoded in full before anything else is tried. In a
        slice, a window of which all results are bad is decoded without the text before it, and the best of
        all is taken; in a whole recording it is the last, as in the reference.
        """
        attempts = [replace(window, temperature=temperature) for temperature in self._temperatures]
        if self._part and window.previous:
            attempts.append(replace(attempts[0], previous=()))
        if self._is_short(n_frames):
            attempts.insert(0, attempts[0])
        rejected: list[tuple[Window, Hypothesis]] = []
        if self._is_greedy_first:
            hypothesis = yield Decode(greedy := replace(attempts[0], beam_size=1))
            if self._is_certain(hypothesis):
                return greedy, hypothesis
            if self._is_short(n_frames) and self._is_bad(hypothesis):
                rejected.append((attempts.pop(0), hypothesis))
                self._reject(greedy, hypothesis)
        for n_left, planned in zip(reversed(range(len(attempts))), attempts, strict=True):
            if len(rejected) == 1 and self._is_short(n_frames):
                window = replace(window, encoding=(yield Encode(self._features.window(self.seek))))
            attempt = replace(planned, encoding=window.encoding)
            hypothesis = yield Decode(attempt)
            if not self._is_bad(hypothesis):
                return attempt, hypothesis
            rejected.append((attempt, hypothesis))
            if n_left:
                self._reject(attempt, hypothesis)
        return max(rejected, key=self._goodness) if self._part else rejected[-1]

    @property
    def _is_greedy_first(self) -> bool:
        """Return whether a greedy result may do, which takes a fraction of the time of a beam search."""
        may_do = self._part is not None and self._decode.greedy_logprob is not None
        return may_do and self._decode.beam_size > 1 and self._temperatures[0] == 0

    def _is_certain(self, hypothesis: Hypothesis) -> bool:
        """Return whether a greedy result needs no beam search, which would not end with a text of before."""
        threshold = self._decode.greedy_logprob
        of_text = hypothesis.avg_logprob + TIMES_NATS / (len(hypothesis.tokens) + 1)
        if threshold is None or of_text < threshold or self._is_bad(hypothesis):
            return False
        texts = [
            self._recognizer.decode_text(tuple(tokens))
            for is_text, tokens in groupby(hypothesis.tokens, lambda t: t < self._recognizer.end_of_text)
            if is_text
        ]
        return not quality.says_again(texts)

    def _is_bad(self, hypothesis: Hypothesis) -> bool:
        return quality.needs_fallback(hypothesis, self._decode) or self._has_loop(hypothesis)

    def _has_loop(self, hypothesis: Hypothesis) -> bool:
        """Return whether a slice's text repeats itself; the reference looks at compression alone."""
        if self._part is None or self._decode.compression_ratio_threshold is None:
            return False
        text = [token for token in hypothesis.tokens if token < self._recognizer.end_of_text]
        return any(quality.find_loops(self._recognizer.decode_text(text)))

    def _goodness(self, attempt: tuple[Window, Hypothesis]) -> tuple[bool, float]:
        """Order bad results: first text without a loop that is probable enough, then by probability."""
        hypothesis = attempt[1]
        is_loop = self._has_loop(hypothesis) or quality.is_repetitive(hypothesis, self._decode)
        return not (is_loop or quality.is_unsure(hypothesis, self._decode)), hypothesis.avg_logprob

    def _reject(self, window: Window, hypothesis: Hypothesis) -> None:
        """Record the fallback from a hypothesis that is decoded again."""
        repetitive = quality.is_repetitive(hypothesis, self._decode)
        reason = FallbackReason.REPETITION if repetitive else FallbackReason.LOW_PROBABILITY
        start = self.seek_seconds
        self.fallbacks.append(Fallback(start, start + window.duration, window.temperature, reason))

    def _add_words(self, window: Window, split: WindowSegments, n_frames: int) -> Jobs[list[Segment]]:
        """Align the words of all segments in one call; the next window begins after the last word."""
        text_tokens = [self._text_tokens(segment) for segment in split.segments]
        flat = tuple(token for tokens in text_tokens for token in tokens)
        words = yield Align(window, flat, n_frames)
        per_second = frames_per_second(self._recognizer)
        begin = split.segments[0].seek / per_second
        segments = attach_words(
            split.segments, [len(tokens) for tokens in text_tokens], words, offset=begin, spoken=self._spoken
        )
        end = last_word_end(segments)
        if end is not None:
            self._spoken = end
            if not split.is_complete and end > begin:
                self.seek = round(end * per_second)
        return [self._with_model_times(*pair) for pair in zip(segments, split.segments, strict=True)]

    def _with_model_times(self, timed: Segment, by_model: Segment) -> Segment:
        """Return `timed` with the model's own times beside it; in a slice they replace an empty duration.

        The reference blanks a segment whose words all fall on one moment, which is more frequent at the end
        of slices.
        """
        both = replace(timed, model_times=(by_model.start, by_model.end))
        if self._part is None or timed.start != timed.end:
            return both
        return replace(both, start=min(timed.start, by_model.start), end=max(timed.end, by_model.end))

    def _with_text(self, segment: Segment) -> Segment:
        return replace(segment, text=self._recognizer.decode_text(self._text_tokens(segment)))

    def _text_tokens(self, segment: Segment) -> list[int]:
        return [token for token in segment.tokens if token < self._recognizer.end_of_text]

    def _remember(self, segments: Sequence[Segment], temperature: float) -> None:
        """Keep as much text as fits the prompt of the next window."""
        tokens = [token for segment in segments for token in segment.tokens]
        self._previous = [*self._previous, *tokens][-self._recognizer.previous_limit :]
        if not self._decode.condition_on_previous_text or temperature > RESET_TEMPERATURE:
            self._previous = []

    def _prompt(self, text: str | None) -> list[int]:
        if text is None or not text.strip():
            return []
        text = " " + text.strip()
        tokens = self._recognizer.encode_text(text[-PROMPT_CHARACTERS:])
        limit = self._recognizer.previous_limit
        if len(text) > PROMPT_CHARACTERS:
            self.warnings.append(f"The prompt has {len(text)} characters; only its end was used.")
        elif len(tokens) > limit:
            self.warnings.append(f"The prompt has {len(tokens)} tokens; only the last {limit} were used.")
        return list(tokens[-limit:])


@dataclass(frozen=True, slots=True)
class WindowSegments:
    """A window's hypothesis, split at its timestamps."""

    segments: list[Segment]
    """With tokens and times, still without text."""
    seek: int
    """Frame at which the next window should begin."""
    is_complete: bool
    """Whether a single last timestamp marks the end of speech in the window."""


def split_at_timestamps(
    hypothesis: Hypothesis, seek: int, n_frames: int, recognizer: WhisperModel
) -> WindowSegments:
    """Split a hypothesis into segments where two timestamps meet, and find where the next window begins.

    What follows the last pair belongs to the next window, unless a single timestamp ends the hypothesis.
    """
    begin = recognizer.timestamp_begin
    tokens = hypothesis.tokens
    is_time = [token >= begin for token in tokens]
    is_complete = is_time[-2:] == [False, True]
    edges = [i for i, pair in enumerate(pairwise(is_time), start=1) if all(pair)]
    build = _SegmentBuilder(hypothesis, seek, recognizer)
    if not edges:
        last = next((token - begin for token in reversed(tokens) if token >= begin), 0)
        duration = last * recognizer.timestamp_seconds if last else n_frames / frames_per_second(recognizer)
        return WindowSegments([build.segment(tokens, 0.0, duration)], seek + n_frames, is_complete)
    if is_complete:
        edges.append(len(tokens))
    segments = [build.between(tokens[first:last]) for first, last in pairwise([0, *edges])]
    if is_complete:
        return WindowSegments(segments, seek + n_frames, is_complete)
    frames_per_time = round(recognizer.timestamp_seconds / recognizer.frame_seconds)
    return WindowSegments(segments, seek + (tokens[edges[-1] - 1] - begin) * frames_per_time, is_complete)


@dataclass(frozen=True, slots=True)
class _SegmentBuilder:
    hypothesis: Hypothesis
    seek: int
    recognizer: WhisperModel

    def between(self, tokens: Sequence[int]) -> Segment:
        """Return a segment of tokens whose first and last are times."""
        first, last = (token - self.recognizer.timestamp_begin for token in (tokens[0], tokens[-1]))
        step = self.recognizer.timestamp_seconds
        return self.segment(tokens, first * step, last * step)

    def segment(self, tokens: Sequence[int], start: float, end: float) -> Segment:
        """Return a segment whose times count from the window's start."""
        offset = self.seek / frames_per_second(self.recognizer)
        return Segment(
            start=offset + start,
            end=offset + end,
            text="",
            tokens=tuple(tokens),
            seek=self.seek,
            temperature=self.hypothesis.temperature,
            avg_logprob=self.hypothesis.avg_logprob,
            compression_ratio=self.hypothesis.compression_ratio,
            no_speech_prob=self.hypothesis.no_speech_prob,
        )


def frames_per_second(recognizer: WhisperModel) -> int:
    """Return the frames of a second, an integer, by which times divide without error."""
    return round(1 / recognizer.frame_seconds)


def temperatures(first: float, decode: DecodeSettings) -> tuple[float, ...]:
    """Return the temperatures to try: the client's own, then the operator's higher ones."""
    return (first, *sorted(t for t in decode.temperatures if t > first))


def argmax_language(probabilities: Mapping[str, float]) -> str:
    """Return the code of the most probable language."""
    return max(probabilities, key=lambda code: probabilities[code])


def short_frames(n_frames: int, per_second: int) -> int:
    """Return the frames of a short window for `n_frames` of audio, a margin of padding included."""
    step = round(SHORT_STEP * per_second)
    return -(-(n_frames + round(SHORT_MARGIN * per_second)) // step) * step
