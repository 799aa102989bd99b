"""A recording through a recogniser that sees 30 s at a time: seek by timestamps, fall back, carry text along.

Knows no runtime and no wire. Step by step the algorithm of openai/whisper `transcribe.py` (20250625); the
segments that it blanks, because they have no text or no length, are left out here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hearsay import quality
from hearsay.alignment import attach_words, last_word_end
from hearsay.domain import DecodeSettings, Hypothesis, Segment, Task, TranscribeOptions, Window
from hearsay.engines.protocols import Cancelled as IsCancelled
from hearsay.engines.protocols import Features, WindowRecognizer
from hearsay.errors import Cancelled

PROMPT_CHARACTERS = 8192
"""Last characters of a prompt that are looked at: far more than fit, and few enough to be read at once."""

RESET_TEMPERATURE = 0.5
"""Text sampled at a temperature above this one is too wild to prompt the next window."""


class WindowLoop:
    """The windows of one recording, decoded one after the other; iterate once for its segments."""

    def __init__(
        self,
        features: Features,
        options: TranscribeOptions,
        recognizer: WindowRecognizer,
        *,
        decode: DecodeSettings,
        cancelled: IsCancelled,
    ) -> None:
        """Prepare a recording; the first window is decoded when iteration begins."""
        self.language: str | None = options.language if recognizer.multilingual else "en"
        """Code of the language; where it has to be detected, None until iteration begins."""
        self.seek = 0
        """First frame that has not been decoded yet."""
        self.warnings: list[str] = []
        """What the caller should know, one sentence each."""
        self._features = features
        self._options = options
        self._recognizer = recognizer
        self._decode = decode
        self._cancelled = cancelled
        self._temperatures = temperatures(options.temperature, decode)
        self._spoken = 0.0
        self._previous = self._prompt(options.prompt)
        if options.words and options.task is Task.TRANSLATE:
            self.warnings.append("Word times of translations are rough: the words were never said.")

    def __iter__(self) -> Iterator[Segment]:
        """Decode window after window. Raises `Cancelled` between windows and between temperatures."""
        return (segment for segment in self.steps() if segment is not None)

    def steps(self) -> Iterator[Segment | None]:
        """Give the segments, and None for each window without any; raises as iteration does."""
        encoding = self._begin()
        while self.seek < self._features.n_frames:
            self._check()
            n_frames = min(self._recognizer.window_frames, self._features.n_frames - self.seek)
            if encoding is None:
                (encoding,) = self._recognizer.encode([self._features.window(self.seek)])
            found: Sequence[Segment | None] = self._window(encoding, n_frames)
            yield from found or (None,)
            encoding = None

    @property
    def seek_seconds(self) -> float:
        """Seconds of the recording that have been decoded."""
        return self.seek / frames_per_second(self._recognizer)

    def _begin(self) -> Any:
        """Detect the language where it is not known; give the first window's encoding if that made one."""
        if self.language is not None or self._features.n_frames == 0:
            return None
        self._check()
        heard = [self._features.window(0, pad_silence=True)]
        is_full = self._features.n_frames >= self._recognizer.window_frames
        encodings = self._recognizer.encode(heard if is_full else [*heard, self._features.window(0)])
        (probabilities,) = self._recognizer.detect_language(encodings[:1])
        self.language = max(probabilities, key=lambda code: probabilities[code])
        return encodings[-1]

    def _window(self, encoding: Any, n_frames: int) -> list[Segment]:
        """Decode the window at `seek`, and move on."""
        window = Window(
            encoding=encoding,
            duration=n_frames / frames_per_second(self._recognizer),
            language=self.language if self._recognizer.multilingual else None,
            task=self._options.task,
            previous=tuple(self._previous),
            beam_size=self._decode.beam_size,
            best_of=self._decode.best_of,
        )
        hypothesis = self._recognize(window)
        begin, end = self.seek, self.seek + n_frames
        if quality.is_silence(hypothesis, self._decode):
            self.seek = end
            return []
        cut = cut_window(hypothesis, begin, n_frames, self._recognizer)
        segments, self.seek = cut.segments, cut.seek
        if self._options.words:
            segments = self._add_words(window, cut, n_frames)
        if self.seek <= begin:
            self.seek = end
        segments = [self._with_text(segment) for segment in segments]
        kept = [segment for segment in segments if segment.start != segment.end and segment.text.strip()]
        self._remember(kept, hypothesis.temperature)
        return kept

    def _recognize(self, window: Window) -> Hypothesis:
        """Decode at rising temperatures until the result is good enough, or there is none left."""
        for temperature in self._temperatures:
            self._check()
            (hypothesis,) = self._recognizer.recognize([replace(window, temperature=temperature)])
            if not quality.needs_fallback(hypothesis, self._decode):
                break
        return hypothesis

    def _add_words(self, window: Window, cut: Cut, n_frames: int) -> list[Segment]:
        """Time the words of all segments in one call; the next window begins after the last word."""
        self._check()
        text_tokens = [self._text_tokens(segment) for segment in cut.segments]
        flat = [token for tokens in text_tokens for token in tokens]
        (words,) = self._recognizer.align([window], [flat], [n_frames])
        per_second = frames_per_second(self._recognizer)
        offset = cut.segments[0].seek / per_second
        segments = attach_words(
            cut.segments, [len(tokens) for tokens in text_tokens], words, offset=offset, spoken=self._spoken
        )
        end = last_word_end(segments)
        if end is not None:
            self._spoken = end
            if not cut.is_complete and end > offset:
                self.seek = round(end * per_second)
        return segments

    def _with_text(self, segment: Segment) -> Segment:
        return replace(segment, text=self._recognizer.decode_text(self._text_tokens(segment)))

    def _text_tokens(self, segment: Segment) -> list[int]:
        return [token for token in segment.tokens if token < self._recognizer.end_of_text]

    def _remember(self, segments: Sequence[Segment], temperature: float) -> None:
        """Keep as much text as the next window can be prompted with."""
        said = [token for segment in segments for token in segment.tokens]
        self._previous = [*self._previous, *said][-self._recognizer.previous_limit :]
        if not self._decode.condition_on_previous_text or temperature > RESET_TEMPERATURE:
            self._previous = []

    def _prompt(self, text: str | None) -> list[int]:
        if text is None or not text.strip():
            return []
        whole = " " + text.strip()
        tokens = self._recognizer.encode_text(whole[-PROMPT_CHARACTERS:])
        limit = self._recognizer.previous_limit
        if len(whole) > PROMPT_CHARACTERS:
            self.warnings.append(f"The prompt has {len(whole)} characters; only its end was used.")
        elif len(tokens) > limit:
            self.warnings.append(f"The prompt has {len(tokens)} tokens; only the last {limit} were used.")
        return list(tokens[-limit:])

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled


@dataclass(frozen=True, slots=True)
class Cut:
    """A window's hypothesis, cut at its timestamps."""

    segments: list[Segment]
    """With tokens and times, still without text."""
    seek: int
    """Frame at which the next window should begin."""
    is_complete: bool
    """Whether a single last timestamp says that nothing is said after it."""


def cut_window(hypothesis: Hypothesis, seek: int, n_frames: int, recognizer: WindowRecognizer) -> Cut:
    """Cut a hypothesis into segments where two timestamps meet, and find where the next window begins.

    What follows the last pair belongs to the next window, unless a single timestamp ends the hypothesis.
    """
    begin = recognizer.timestamp_begin
    tokens = hypothesis.tokens
    is_time = [token >= begin for token in tokens]
    is_complete = is_time[-2:] == [False, True]
    edges = [i for i, pair in enumerate(pairwise(is_time), start=1) if all(pair)]
    place = _Place(hypothesis, seek, recognizer)
    if not edges:
        last = next((token - begin for token in reversed(tokens) if token >= begin), 0)
        duration = last * recognizer.timestamp_seconds if last else n_frames / frames_per_second(recognizer)
        return Cut([place.segment(tokens, 0.0, duration)], seek + n_frames, is_complete)
    if is_complete:
        edges.append(len(tokens))
    segments = [place.between(tokens[first:last]) for first, last in pairwise([0, *edges])]
    if is_complete:
        return Cut(segments, seek + n_frames, is_complete)
    frames_per_time = round(recognizer.timestamp_seconds / recognizer.frame_seconds)
    return Cut(segments, seek + (tokens[edges[-1] - 1] - begin) * frames_per_time, is_complete)


@dataclass(frozen=True, slots=True)
class _Place:
    """Makes segments of one window."""

    hypothesis: Hypothesis
    seek: int
    recognizer: WindowRecognizer

    def between(self, tokens: Sequence[int]) -> Segment:
        """Make a segment from tokens whose first and last are times."""
        first, last = (token - self.recognizer.timestamp_begin for token in (tokens[0], tokens[-1]))
        step = self.recognizer.timestamp_seconds
        return self.segment(tokens, first * step, last * step)

    def segment(self, tokens: Sequence[int], start: float, end: float) -> Segment:
        """Make a segment whose times count from the window's start."""
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


def frames_per_second(recognizer: WindowRecognizer) -> int:
    """Give the number of frames in a second, a whole number, by which times divide without error."""
    return round(1 / recognizer.frame_seconds)


def temperatures(first: float, decode: DecodeSettings) -> tuple[float, ...]:
    """List the temperatures to try: the caller's own, then the operator's higher ones."""
    return (first, *sorted(t for t in decode.temperatures if t > first))
