"""A pretend recording, and a detector and a recogniser for it: every marked half second is one word.

The samples of a word are its number, so whoever sees a piece of the recording knows what is said in it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, AlignedWord, Audio, Hypothesis, Samples, Window
from hearsay.engines.jobs import Job, run_jobs
from hearsay.engines.protocols import WindowRecognizer
from hearsay.engines.whisper.jobs import Encode
from tests.support.whisper_double import WhisperDouble

WORD_SECONDS = 0.5


def pretend(words: Sequence[float], seconds: float) -> Audio:
    """Make a recording whose words begin at these times; untouched silence takes no memory."""
    pcm = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    for number, start in enumerate(words, 1):
        first = round(start * SAMPLE_RATE)
        pcm[first : first + round(WORD_SECONDS * SAMPLE_RATE)] = number
    return Audio(pcm)


class PretendFeatures:
    """The number of the word in every frame, 0 for silence."""

    alive: ClassVar[WeakSet[PretendFeatures]] = WeakSet()

    def __init__(self, audio: Audio) -> None:
        self.n_frames = audio.n_samples // 160
        self._audio = audio
        self.alive.add(self)

    def window(self, start: int, *, pad_silence: bool = False) -> NDArray[np.float32]:
        """Cut `float32[1, 3000]`; padding is 0, or -1 where silence was asked for."""
        samples = self._audio.samples(start * 160, (start + 3000) * 160)[::160][: self.n_frames - start]
        cut = np.full((1, 3000), -1.0 if pad_silence else 0.0, np.float32)
        cut[0, : len(samples)] = np.round(samples * 32768)
        return cut


class PretendRecognizer(WhisperDouble):
    """Writes ` w7` for the seventh word, each in a segment of its own; hears German."""

    timestamp_begin = 100_000
    end_of_text = 99_000
    multilingual = True
    languages: tuple[str, ...] = ("en", "de")

    def features(self, audio: Audio) -> PretendFeatures:
        """Number the frames when they are asked for."""
        return PretendFeatures(audio)

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[Any]:
        """Return windows back as they are."""
        return list(inputs)

    def detect_language(self, encodings: Sequence[Any]) -> list[Mapping[str, float]]:
        """Hear German."""
        return [{"en": 0.1, "de": 0.9} for _ in encodings]

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Write down the words that begin in each window."""
        return [self._recognize(window) for window in windows]

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        """Find each word where it is."""
        return [
            [AlignedWord(self.decode_text([t]), 1, *_times(window.encoding[0], t), 1.0) for t in row]
            for window, row in zip(windows, tokens, strict=True)
        ]

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Refuse: prompts are not what this one is for."""
        raise NotImplementedError

    def decode_text(self, tokens: Sequence[int]) -> str:
        """Name the words."""
        return "".join(f" w{token}" for token in tokens if token < self.end_of_text)

    def _recognize(self, window: Window) -> Hypothesis:
        frames = window.encoding[0]
        tokens: list[int] = []
        for word in [int(number) for number in dict.fromkeys(frames.tolist()) if number > 0]:
            start, end = (
                self.timestamp_begin + round(t / self.timestamp_seconds) for t in _times(frames, word)
            )
            tokens += [start, word, end]
        no_speech = 0.01 if tokens else 0.99
        return Hypothesis(tuple(tokens), "", -0.1 if tokens else -2.0, no_speech, window.temperature, 1.0)


def _times(frames: NDArray[np.float32], word: int) -> tuple[float, float]:
    places = np.flatnonzero(frames == word)
    return float(places[0]) / 100, float(places[-1] + 1) / 100


class PretendDetector:
    """Hears speech in every frame that is not silent."""

    frame_samples = 512

    def __init__(self) -> None:
        self.n_heard = 0
        """Samples listened to so far."""

    def open(self) -> PretendStream:
        """Begin a recording."""
        return PretendStream(self)


class PretendStream:
    """One recording being listened to."""

    def __init__(self, detector: PretendDetector) -> None:
        self._detector = detector
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> NDArray[np.float32]:
        """Return which frames are loud."""
        self._detector.n_heard += len(samples)
        samples = np.concatenate([self._rest, samples])
        n_frames = len(samples) // 512
        self._rest = samples[n_frames * 512 :]
        loud = samples[: n_frames * 512].reshape(n_frames, 512).max(axis=1, initial=0.0) > 0
        return np.where(loud, np.float32(0.95), np.float32(0.005))

    def finish(self) -> NDArray[np.float32]:
        """Return whether the rest is loud."""
        loud = self._rest.max(initial=0.0) > 0
        return np.array([0.95 if loud else 0.005] if len(self._rest) else [], np.float32)


class Engine:
    """Does jobs in a thread of its own, in an order that is anything but theirs."""

    def __init__(self, recognizer: WindowRecognizer, seed: int) -> None:
        self.log: list[Job] = []
        """Jobs in the order in which they were done."""
        self.most_waiting = 0
        self._recognizer = recognizer
        self._random = random.Random(seed)
        self._waiting: list[tuple[Job, Future[Any]]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def submit(self, job: Job) -> Future[Any]:
        """Let a job wait for its turn."""
        future: Future[Any] = Future()
        with self._changed:
            self._waiting.append((job, future))
            self.most_waiting = max(self.most_waiting, len(self._waiting))
            self._changed.notify()
        return future

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job, future = self._waiting.pop(self._random.randrange(len(self._waiting)))
            if future.set_running_or_notify_cancel():
                self.log.append(job)
                future.set_result(run_jobs(self._recognizer, [job])[0])


class Desk:
    """Keeps jobs until told to do them, in whatever order."""

    def __init__(self, recognizer: WindowRecognizer) -> None:
        self.waiting: list[tuple[Job, Future[Any]]] = []
        self.done: list[Job] = []
        self._recognizer = recognizer

    def submit(self, job: Job) -> Future[Any]:
        """Keep a job."""
        future: Future[Any] = Future()
        self.waiting.append((job, future))
        return future

    def do(self, place: int) -> None:
        """Do one of the jobs that wait."""
        job, future = self.waiting.pop(place)
        self.done.append(job)
        future.set_result(run_jobs(self._recognizer, [job])[0])

    def encodes(self) -> int:
        """Count the windows that wait to be encoded."""
        return sum(isinstance(job, Encode) for job, _ in self.waiting)
