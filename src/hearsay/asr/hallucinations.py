"""Text that nobody said: what stands over silence, and loops that repeat what stands before them.

Knows no engine and no audio, only segments and where a detector heard speech. Whisper was trained on
subtitles and fills silence with what subtitles say there; no list of such phrases is kept here, since people
say them, too. What is left out is told as `DroppedText`.

Over silence. Whisper's times are loose: a segment may begin seconds early or reach seconds into a pause, but
some of it lies on the speech that it writes down. So a segment is doubted only where not even the time around
it, `MARGIN` on both sides, holds `LEAST_SPEECH` of speech. With the detector's own padding of 0.3 s that is
0.8 s of silence around all of it, more than the 0.5 s by which openai/whisper `timing.py` lets segments and
words disagree before it mends them. A detector may miss quiet speech: where most of a window's text would go
and the model is sure of that window, the text stays. Where only a lesser part would go the model's scores say
nothing about that part, because they are those of the whole window.

Loops. A segment that only repeats those before it, without a pause, is left out from the copy on that nobody
is expected to say: `MOST_COPIES`, fewer where the window compressed too well even at the last temperature.
Such a window's text is searched for loops within segments, too. A period of up to `LONGEST_PERIOD` segments
counts as one copy. The first copies stay, so segments can be given as they come and need not be taken back.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from hearsay.domain import DecodeSettings, DroppedText, DropReason, Segment, SpeechSpan, Word

MARGIN = 0.5
"""Seconds on either side of a segment in which speech may have been what it writes down."""

LEAST_SPEECH = 0.1
"""Seconds of speech that may be a sound's edge; a detector takes nothing shorter for speech."""

SURE_LOGPROB = -0.5
"""Mean log probability above which the model is sure of a window."""

SURE_NO_SPEECH = 0.2
"""Probability of no speech up to which the model is sure that somebody speaks in a window."""

MOST_COPIES = 8
"""Copies of a text in a row that are believed: people chant, but seldom in equal segments for longer."""

MOST_DOUBTED_COPIES = 2
"""The same in a window that compressed too well."""

LONGEST_PERIOD = 3
"""Segments that may repeat together."""

LONGEST_PAUSE = 3.0
"""Seconds between segments from which a repetition is somebody saying the same thing once more."""

LEAST_LOOP_BYTES = 30
"""UTF-8 bytes of a loop within a segment: numbers and laughter are shorter."""

_LOOP = re.compile(r"(.{2,200}?)\1{3,}", re.DOTALL)
"""Four copies or more, one right after the other, of the shortest text that repeats."""

_UNHEARD = re.compile(r"[\W_]+")


class HallucinationFilter:
    """Judges the windows of one recording in order of time."""

    def __init__(self, settings: DecodeSettings) -> None:
        """Begin a recording in which nobody has listened for speech yet."""
        self.spans: list[SpeechSpan] | None = None
        """Speech heard so far, in order; None until somebody has listened."""
        self.dropped: list[DroppedText] = []
        """What was left out so far."""
        self._stretches: deque[tuple[int, Sequence[SpeechSpan]]] = deque()
        self._limit = settings.compression_ratio_threshold
        self._said: deque[str] = deque(maxlen=LONGEST_PERIOD * MOST_COPIES)
        self._end = 0.0

    def add_speech(self, spans: Sequence[SpeechSpan], *, begin: float = 0.0) -> None:
        """Learn where speech was detected in the next stretch, which begins there (seconds)."""
        if self.spans is None:
            self.spans = []
        self.spans.extend(spans)
        self._stretches.append((round(begin * 100), spans))

    def filter(self, window: Sequence[Segment]) -> list[Segment]:
        """Return what is to be believed of the segments of one window."""
        believed = []
        silent = over_silence(window, self._heard_in(window)) if self._stretches else [False] * len(window)
        for segment, is_silent in zip(window, silent, strict=True):
            if is_silent:
                self._drop(segment, DropReason.SILENCE)
            elif self._repeats(segment):
                self._drop(segment, DropReason.REPETITION)
            else:
                believed.append(self._without_loops(segment))
        return [segment for segment in believed if segment.text.strip()]

    def _heard_in(self, window: Sequence[Segment]) -> Sequence[SpeechSpan]:
        """Return the speech of the stretch that a window lies in, since the model heard no other.

        What comes later may be known already or not; whether it is must make no difference.
        """
        while window and len(self._stretches) > 1 and self._stretches[1][0] <= window[0].seek:
            self._stretches.popleft()
        return self._stretches[0][1]

    def _drop(self, segment: Segment, reason: DropReason) -> None:
        self.dropped.append(DroppedText(segment.start, segment.end, segment.text.strip(), reason))

    def _repeats(self, segment: Segment) -> bool:
        """Return whether a segment is one copy too many, and remember it."""
        if segment.start - self._end > LONGEST_PAUSE:
            self._said.clear()
        self._end = segment.end
        text = _heard(segment.text)
        most = MOST_DOUBTED_COPIES if self._is_doubted(segment) else MOST_COPIES
        said = [*self._said, text]
        self._said.append(text)
        return bool(text) and any(copies(said, period) > most for period in range(1, LONGEST_PERIOD + 1))

    def _without_loops(self, segment: Segment) -> Segment:
        if not self._is_doubted(segment):
            return segment
        cut, dropped = cut_loops(segment)
        self.dropped += dropped
        return cut

    def _is_doubted(self, segment: Segment) -> bool:
        """Return whether its window compressed too well, also at the last temperature that there was."""
        ratio = segment.compression_ratio
        return self._limit is not None and ratio is not None and ratio > self._limit


def over_silence(window: Sequence[Segment], spans: Sequence[SpeechSpan]) -> list[bool]:
    """Say for each segment of one window whether it is to go because nobody speaks there.

    `spans` are in order and do not overlap.
    """
    silent = [_speech_around(segment, spans) < LEAST_SPEECH for segment in window]
    n_letters = [len(_heard(segment.text)) for segment in window]
    n_silent = sum(n for n, is_silent in zip(n_letters, silent, strict=True) if is_silent)
    if 2 * n_silent >= sum(n_letters) and all(map(is_sure, window)):
        return [False] * len(window)
    return silent


def _speech_around(segment: Segment, spans: Sequence[SpeechSpan]) -> float:
    """Return the seconds of speech around a segment, be it where the model wrote it or where its words are.

    Words are easily misplaced beside a pause, and whoever asks for their times must not lose text by that.
    """
    start, end = segment.model_times or (segment.start, segment.end)
    return speech_within(min(start, segment.start) - MARGIN, max(end, segment.end) + MARGIN, spans)


def speech_within(start: float, end: float, spans: Sequence[SpeechSpan]) -> float:
    """Return the seconds of speech between two times; `spans` are in order and do not overlap."""
    heard = 0.0
    place = bisect_right(spans, end, key=lambda span: span.start)
    while place > 0 and spans[place - 1].end > start:
        place -= 1
        heard += min(spans[place].end, end) - max(spans[place].start, start)
    return heard


def is_sure(segment: Segment) -> bool:
    """Return whether the model is sure of the text of a segment's window, and that somebody speaks there."""
    logprob, no_speech = segment.avg_logprob, segment.no_speech_prob
    return logprob is not None and logprob > SURE_LOGPROB and (no_speech or 0.0) <= SURE_NO_SPEECH


def copies(said: Sequence[str], period: int) -> int:
    """Count how many times the last `period` texts stand there in a row, in whole copies but for the last.

    The last copy counts from its first text on: in `A B A B A` there are three.
    """
    n_equal = 0
    while n_equal + period < len(said) and said[-1 - n_equal] == said[-1 - n_equal - period]:
        n_equal += 1
    return 1 + -(-n_equal // period)


def cut_loops(segment: Segment) -> tuple[Segment, list[DroppedText]]:
    """Leave one copy of each loop within a segment; what goes has the times of its words, if known."""
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


def find_loops(text: str) -> Iterator[tuple[int, int]]:
    """Find what follows the first copy of each loop: its first character, and the one after its last."""
    for loop in _LOOP.finditer(text):
        if len(loop[0].encode()) >= LEAST_LOOP_BYTES:
            yield loop.end(1), loop.end()


def _words_within(words: Sequence[Word], begin: int, end: int) -> list[Word]:
    """Take the words that begin between two characters of the text that all words make."""
    starts = accumulate((len(word.text) for word in words), initial=0)
    return [word for word, start in zip(words, starts, strict=False) if begin <= start < end]


def _times(words: Sequence[Word]) -> tuple[float, float] | None:
    return (words[0].start, words[-1].end) if words else None


def _heard(text: str) -> str:
    """Leave what can be heard of a text: letters and digits."""
    return _UNHEARD.sub("", text).casefold()
