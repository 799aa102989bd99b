"""A language of tones and a recogniser that truly hears it: every word is a note, so cutting audio cuts
words.

Knows no test. A note of which only a piece was heard is misheard (`uh`) or missed, as a real recogniser does
at the edge of what it is given; all else is recognised without fault, and timed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from hearsay.domain import RECOGNITION, SAMPLE_RATE, Audio, Samples, Segment, TranscribeOptions, Word
from tests.support.whole_recording import WholeRecordingRecognizer

NOTE, GAP, PAUSE = 0.3, 0.1, 0.5
"""Seconds of sound per word, of silence between words, of silence between sentences."""

_FRAME = 320
_LOWEST, _STEP = 400.0, 40.0
_HEARD, _GUESSED = 0.26, 0.1

SENTENCES = (
    "the harbour was quiet when the first boat came in",
    "nobody had expected her and nobody was there to take the ropes",
    "she tied it up and looked along the empty street",
    "no no no he said we have no bread yet come back at six",
    "i have not come for bread she said i have come for the letter",
    "he wiped his hands and wiped them again and said there was no letter",
)
VOCABULARY = tuple(sorted(set(" ".join(SENTENCES).split())))


def speak(sentences: Sequence[str]) -> Samples:
    """Sing sentences: `float32[n_samples]`."""
    pieces = [_silence(GAP)]
    for sentence in sentences:
        for word in sentence.split():
            pieces += [_note(word), _silence(GAP)]
        pieces.append(_silence(PAUSE - GAP))
    return np.concatenate(pieces).astype(np.float32)


def normal(text: str) -> str:
    """Fold white space."""
    return re.sub(r"\s+", " ", text).strip()


class ToneRecognizer(WholeRecordingRecognizer):
    """A `WindowRecognizer` for tones."""

    tasks = RECOGNITION

    def hear(self, audio: Audio, options: TranscribeOptions) -> list[Segment]:
        """Return a segment for each sentence."""
        sentences: list[list[Word]] = []
        for word in hear(audio.samples()):
            if not sentences or word.start - sentences[-1][-1].end > (GAP + PAUSE) / 2:
                sentences.append([])
            sentences[-1].append(word)
        return [_segment(words, options) for words in sentences]


def _segment(words: list[Word], options: TranscribeOptions) -> Segment:
    text = "".join(word.text for word in words)
    return Segment(words[0].start, words[-1].end, text, tuple(words) if options.words else None)


def hear(samples: Samples) -> Iterator[Word]:
    """Recognise every note and the larger pieces of notes."""
    n_frames = len(samples) // _FRAME
    loud = np.abs(samples[: n_frames * _FRAME]).reshape(n_frames, _FRAME).max(axis=1) > 0.02
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        start, end = first * _FRAME / SAMPLE_RATE, last * _FRAME / SAMPLE_RATE
        if end - start >= _HEARD:
            yield Word(start, end, f" {_name(samples[first * _FRAME : last * _FRAME])}", 0.9)
        elif end - start >= _GUESSED:
            yield Word(start, end, " uh", 0.3)


def _name(samples: Samples) -> str:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 14))
    frequency = float(spectrum.argmax()) * SAMPLE_RATE / (1 << 14)
    return VOCABULARY[round((frequency - _LOWEST) / _STEP)]


def _note(word: str) -> Samples:
    frequency = _LOWEST + _STEP * VOCABULARY.index(word)
    times = np.arange(int(NOTE * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.4 * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)
