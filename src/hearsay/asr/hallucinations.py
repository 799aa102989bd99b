"""A filter of hallucinations: text over silence, and repetition loops.

Knows no engine and no audio, only segments and the spans of speech that a detector found. Whisper was trained
on subtitles and fills silence with what subtitles say there; no list of such phrases is kept here, since they
are also said. What is left out is reported as `DroppedText`.

Over silence. Whisper's times are loose: a segment may begin seconds early or reach seconds into a pause, but
some of it lies on the speech that it transcribes. So a segment is dropped only where not even the time around
it, `MARGIN` on both sides, contains `MIN_SPEECH` of speech. With the detector's own padding of 0.3 s that is
0.8 s of silence around all of it, more than the 0.5 s by which openai/whisper `timing.py` lets segments and
words disagree before it corrects them. A detector may miss quiet speech: where most of a window's text would
be dropped and the model is confident of that window, the text stays. Where only a lesser part would be
dropped the model's scores say nothing about that part, because they are those of the whole window.

Where the detector thought speech possible but nowhere in a chunk certain, the model must be confident, too.

Loops. A segment that only repeats those before it, without a pause, is dropped after `MAX_COPIES` copies, or
fewer where the window compressed too well even at the last temperature. Such a window's text is searched for
loops within segments, too. A period of up to `MAX_PERIOD` segments counts as one copy. The first copies stay,
so segments can be returned as they come and need not be withdrawn.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from hearsay.asr.segment_times import fit_to_speech
from hearsay.domain import DecodeSettings, DroppedText, DropReason, Segment, SpeechSpan, Word
from hearsay.transcripts.quality import find_loops

MARGIN = 0.5
"""Seconds on either side of a segment in which its speech may lie."""

MIN_SPEECH = 0.1
"""Least seconds of speech: a detector takes nothing shorter for speech, and less may be a sound's edge."""

CONFIDENT_LOGPROB = -0.5
"""Mean log probability above which the model is confident of a window."""

CONFIDENT_NO_SPEECH = 0.2
"""Probability of no speech up to which the model is confident that a window has speech."""

HOPELESS_LOGPROB = -2.0
"""Mean log probability below which a text is a guess; speech in noise of its own loudness has -1.2."""

DOUBTFUL_LOGPROB = -1.0
"""Below which text must at least be possible to say in its time."""

MAX_LETTERS_PER_SECOND = 60.0
"""Of a segment: fast speech has 25, and times are loose."""

MAX_COPIES = 8
"""Most copies of a text in a row: chants are seldom longer in equal segments."""

MAX_REPETITIVE_COPIES = 2
"""The same in a window that compressed too well."""

MAX_PERIOD = 3
"""Most segments that repeat together."""

MAX_PAUSE = 3.0
"""Seconds between segments above which a repetition is taken for speech."""

_NON_ALPHANUMERIC = re.compile(r"[\W_]+")


class HallucinationFilter:
    """Filters the windows of one recording in order of time."""

    def __init__(self, settings: DecodeSettings) -> None:
        self.spans: list[SpeechSpan] | None = None
        """Speech detected so far, in order; None before any detection."""
        self.dropped: list[DroppedText] = []
        """What was dropped so far."""
        self._chunks: deque[tuple[int, Sequence[SpeechSpan]]] = deque()
        """First frame (10 ms) and speech of each chunk of audio."""
        self._limit = settings.compression_ratio_threshold
        self._recent_texts: deque[str] = deque(maxlen=MAX_PERIOD * MAX_COPIES)
        self._end = 0.0

    def add_speech(self, spans: Sequence[SpeechSpan], *, begin: float = 0.0) -> None:
        """Add the speech detected in the next chunk of audio, which begins at `begin` seconds."""
        if self.spans is None:
            self.spans = []
        self.spans.extend(spans)
        self._chunks.append((round(begin * 100), spans))

    def filter(self, window: Sequence[Segment]) -> list[Segment]:
        """Return the segments of one window without hallucinations."""
        kept = []
        spans = self._speech_in(window) if self._chunks else ()
        silent = silence_flags(window, spans) if self._chunks else [False] * len(window)
        if spans and not any(span.certain for span in spans):
            silent = [is_silent or not is_confident(s) for s, is_silent in zip(window, silent, strict=True)]
        for segment, is_silent in zip(window, silent, strict=True):
            if is_silent:
                self._drop(segment, DropReason.SILENCE)
            elif is_guess(segment):
                self._drop(segment, DropReason.LOW_PROBABILITY)
            elif self._repeats(segment):
                self._drop(segment, DropReason.REPETITION)
            else:
                kept.append(fit_to_speech(self._without_loops(segment), spans))
        return [segment for segment in kept if segment.text.strip()]

    def _speech_in(self, window: Sequence[Segment]) -> Sequence[SpeechSpan]:
        """Return the speech of a window's chunk, which is all audio that the model had.

        Later chunks may be known already or not, which must make no difference.
        """
        while window and len(self._chunks) > 1 and self._chunks[1][0] <= window[0].seek:
            self._chunks.popleft()
        return self._chunks[0][1]

    def _drop(self, segment: Segment, reason: DropReason) -> None:
        self.dropped.append(DroppedText(segment.start, segment.end, segment.text.strip(), reason))

    def _repeats(self, segment: Segment) -> bool:
        """Return whether a segment is a copy beyond the limit, and remember its text."""
        if segment.start - self._end > MAX_PAUSE:
            self._recent_texts.clear()
        self._end = segment.end
        text = _normalized(segment.text)
        limit = MAX_REPETITIVE_COPIES if self._is_repetitive(segment) else MAX_COPIES
        texts = [*self._recent_texts, text]
        self._recent_texts.append(text)
        return bool(text) and any(count_copies(texts, period) > limit for period in range(1, MAX_PERIOD + 1))

    def _without_loops(self, segment: Segment) -> Segment:
        if not self._is_repetitive(segment):
            return segment
        shortened, dropped = remove_loops(segment)
        self.dropped += dropped
        return shortened

    def _is_repetitive(self, segment: Segment) -> bool:
        """Return whether its window compressed too well, even at the last temperature."""
        ratio = segment.compression_ratio
        return self._limit is not None and ratio is not None and ratio > self._limit


def is_guess(segment: Segment) -> bool:
    """Return whether the model had no idea of a segment's window, or some and the text is too long to say."""
    logprob = segment.avg_logprob
    if logprob is None or logprob >= DOUBTFUL_LOGPROB:
        return False
    start, end = segment.model_times or (segment.start, segment.end)
    seconds = max(end, segment.end) - min(start, segment.start)
    is_too_fast = len(_normalized(segment.text)) > MAX_LETTERS_PER_SECOND * max(seconds, 0.2)
    return logprob < HOPELESS_LOGPROB or is_too_fast


def silence_flags(window: Sequence[Segment], spans: Sequence[SpeechSpan]) -> list[bool]:
    """Return for each segment of one window whether it is to be dropped as over silence.

    `spans` are in order and do not overlap.
    """
    silent = [_speech_around(segment, spans) < MIN_SPEECH for segment in window]
    n_letters = [len(_normalized(segment.text)) for segment in window]
    n_silent = sum(n for n, is_silent in zip(n_letters, silent, strict=True) if is_silent)
    if 2 * n_silent >= sum(n_letters) and all(map(is_confident, window)):
        return [False] * len(window)
    return silent


def _speech_around(segment: Segment, spans: Sequence[SpeechSpan]) -> float:
    """Return the seconds of speech around a segment, by the model's timestamps and by its words together.

    Words are easily misplaced beside a pause, and a request for word times must not lose text by that.
    """
    start, end = segment.model_times or (segment.start, segment.end)
    return speech_duration(min(start, segment.start) - MARGIN, max(end, segment.end) + MARGIN, spans)


def speech_duration(start: float, end: float, spans: Sequence[SpeechSpan]) -> float:
    """Return the seconds of speech between two times; `spans` are in order and do not overlap."""
    duration = 0.0
    i = bisect_right(spans, end, key=lambda span: span.start)
    while i > 0 and spans[i - 1].end > start:
        i -= 1
        duration += min(spans[i].end, end) - max(spans[i].start, start)
    return duration


def is_confident(segment: Segment) -> bool:
    """Return whether the model is confident of the text of a segment's window, and that it has speech."""
    logprob, no_speech = segment.avg_logprob, segment.no_speech_prob
    return logprob is not None and logprob > CONFIDENT_LOGPROB and (no_speech or 0.0) <= CONFIDENT_NO_SPEECH


def count_copies(texts: Sequence[str], period: int) -> int:
    """Return how many times the last `period` texts occur in a row, in whole copies but for the last.

    The last copy counts from its first text on: in `A B A B A` there are three.
    """
    n_equal = 0
    while n_equal + period < len(texts) and texts[-1 - n_equal] == texts[-1 - n_equal - period]:
        n_equal += 1
    return 1 + -(-n_equal // period)


def remove_loops(segment: Segment) -> tuple[Segment, list[DroppedText]]:
    """Return a segment with one copy of each loop, and the dropped copies at their words' times, if known."""
    loops = list(find_loops(segment.text))
    if not loops:
        return segment, []
    text, words = segment.text, segment.words
    edges = [0, *(edge for loop in loops for edge in loop), len(text)]
    kept = "".join(text[begin:end] for begin, end in zip(edges[::2], edges[1::2], strict=True))
    inside = [_words_within(words or (), *loop) for loop in loops]
    dropped = [
        DroppedText(
            *(_times(gone) or (segment.start, segment.end)), text[begin:end].strip(), DropReason.REPETITION
        )
        for (begin, end), gone in zip(loops, inside, strict=True)
    ]
    if words is not None:
        absent = {id(word) for gone in inside for word in gone}
        words = tuple(word for word in words if id(word) not in absent)
    return replace(segment, text=kept, words=words), dropped


def _words_within(words: Sequence[Word], begin: int, end: int) -> list[Word]:
    """Return the words that begin between two characters of the text of all words."""
    starts = accumulate((len(word.text) for word in words), initial=0)
    return [word for word, start in zip(words, starts, strict=False) if begin <= start < end]


def _times(words: Sequence[Word]) -> tuple[float, float] | None:
    return (words[0].start, words[-1].end) if words else None


def _normalized(text: str) -> str:
    return _NON_ALPHANUMERIC.sub("", text).casefold()
