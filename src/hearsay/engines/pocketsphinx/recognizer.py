"""PocketSphinx with the US English model of its wheel: the engine that needs no download.

Knows no file and no server. It is the fallback of last resort: on clear, slow speech of one person most words
are right, on the rest many are not. A recording is cut at pauses, and each utterance is recognised as a
whole; the decoder lives in a process of its own (`pocketsphinx.process`), because the library holds the
interpreter's lock for as long as it works.
"""

from __future__ import annotations

import json
import math
import threading
import weakref
from collections.abc import Callable, Iterator

import numpy as np

from hearsay.domain import SAMPLE_RATE, Chunking, Samples, Segment, Task, TranscribeOptions, Word
from hearsay.engines.pocketsphinx.endpointing import FRAME_SAMPLES, Endpointer, Pcm, Utterance
from hearsay.errors import EngineFailed, UnsupportedOption
from hearsay.processes.worker import WorkerLost, WorkerProcess, WorkerRequest
from hearsay.transcripts.quality import compression_ratio

NO_PROMPT = "The prompt was not used: PocketSphinx cannot be prompted."
NO_TEMPERATURE = "The temperature was not used: PocketSphinx does not sample."
NO_CHUNKING = "How to cut the recording was not heeded: PocketSphinx hears utterances, found in its own way."

_AGGRESSIVENESS = 2
"""Of the voice activity detector, 0 to 3: 2 finds the pauses in noisy speech and still loses no words."""


def load() -> SphinxRecognizer:
    """Load the recogniser. Raises `EngineFailed`."""
    from pocketsphinx import Vad

    def detector() -> Callable[[bytes], bool]:
        frame_seconds = FRAME_SAMPLES / SAMPLE_RATE
        vad = Vad(mode=_AGGRESSIVENESS, sample_rate=SAMPLE_RATE, frame_length=frame_seconds)
        judge: Callable[[bytes], bool] = vad.is_speech
        return judge

    return SphinxRecognizer(detector)


class SphinxRecognizer:
    """An `UtteranceRecognizer` for English; streams may be fed in turns, from any thread."""

    languages: tuple[str, ...] = ("en",)
    tasks = frozenset({Task.TRANSCRIBE})

    def __init__(self, detector: Callable[[], Callable[[bytes], bool]]) -> None:
        """Start the decoder; `detector` makes a voice activity detector for each recording."""
        self._detector = detector
        self._decoder = _Decoder()

    def open(self, options: TranscribeOptions) -> SphinxStream:
        """Begin a recording. Raises `UnsupportedOption` for any language but English, and for translation."""
        if options.language not in (None, "en"):
            raise UnsupportedOption(
                f"PocketSphinx understands English only, not {options.language!r}.", param="language"
            )
        if options.task not in self.tasks:
            raise UnsupportedOption("PocketSphinx cannot translate.", param="model")
        return SphinxStream(options, Endpointer(self._detector()), self._decoder.recognize)

    def close(self) -> None:
        """End the decoder's process."""
        self._decoder.close()


class SphinxStream:
    """One recording being recognised; a segment is an utterance, timed by its words."""

    language = "en"

    def __init__(
        self, options: TranscribeOptions, cutter: Endpointer, recognize: Callable[[Pcm], list[Word]]
    ) -> None:
        self.warnings: list[str] = []
        if options.prompt:
            self.warnings.append(NO_PROMPT)
        if options.temperature > 0:
            self.warnings.append(NO_TEMPERATURE)
        if options.chunking is Chunking.SEQUENTIAL or options.vad is not None:
            self.warnings.append(NO_CHUNKING)
        self._options = options
        self._cutter = cutter
        self._recognize = recognize

    def feed(self, samples: Samples) -> Iterator[Segment]:
        """Take `float32[n_samples]` and give the segments of the utterances that they ended."""
        pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
        for utterance in self._cutter.feed(pcm):
            yield from self._segments(utterance)

    def partial(self) -> str:
        """Recognise the utterance still open, as far as it has been heard."""
        utterance = self._cutter.open_utterance()
        return "" if utterance is None else _join(self._words(utterance)).strip()

    def finish(self) -> Iterator[Segment]:
        """Return the segment of the last utterance."""
        for utterance in self._cutter.finish():
            yield from self._segments(utterance)

    def _words(self, utterance: Utterance) -> list[Word]:
        begin = utterance.start / SAMPLE_RATE
        return [
            Word(begin + word.start, begin + word.end, word.text, word.probability)
            for word in self._recognize(utterance.pcm)
        ]

    def _segments(self, utterance: Utterance) -> Iterator[Segment]:
        words = self._words(utterance)
        if not words:
            return
        text = _join(words)
        yield Segment(
            start=words[0].start,
            end=words[-1].end,
            text=text,
            words=tuple(words) if self._options.words else None,
            seek=round(100 * utterance.start / SAMPLE_RATE),
            avg_logprob=_mean_logprob(words),
            compression_ratio=compression_ratio(text),
        )


class _Decoder:
    """The process with the model, started again should it be lost."""

    def __init__(self) -> None:
        """Start it. Raises `EngineFailed`."""
        self._lock = threading.Lock()
        self.worker = WorkerProcess("hearsay.engines.pocketsphinx.process", name="PocketSphinx")
        self.close = weakref.finalize(self, self.worker.close)
        self.worker.start()

    def recognize(self, pcm: Pcm) -> list[Word]:
        """Recognise one utterance; times are seconds from its start. Raises `EngineFailed`."""
        with self._lock:
            try:
                answer = self.worker.run(WorkerRequest(pcm.astype("<i2").tobytes()))
            except WorkerLost as error:
                raise EngineFailed(
                    "The process that runs PocketSphinx ended in the middle of its work."
                ) from error
        return [
            Word(start, end, f" {text}", probability) for text, start, end, probability in json.loads(answer)
        ]


def _join(words: list[Word]) -> str:
    return "".join(word.text for word in words)


def _mean_logprob(words: list[Word]) -> float:
    """Average the logarithms of the words' posterior probabilities (this engine has no tokens)."""
    return sum(math.log(max(word.probability or 0.0, 1e-10)) for word in words) / len(words)
