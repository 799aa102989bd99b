"""PocketSphinx with the US English model of its wheel: the engine that needs no download.

Knows no file and no server. It is the fallback of last resort: on clear, slow speech of one person most words
are right, on the rest many are not. A recording is cut at pauses, and each utterance is recognised as a
whole; the decoder lives in a process of its own (`sphinx_process`), because the library holds the
interpreter's lock for as long as it works.
"""

from __future__ import annotations

import json
import math
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from hearsay.domain import SAMPLE_RATE, Chunking, Samples, Segment, Task, TranscribeOptions, Word
from hearsay.engines.pocketsphinx.endpointing import FRAME_SAMPLES, Endpointer, Pcm, Utterance
from hearsay.errors import EngineFailed, UnsupportedOption
from hearsay.processes.spawn import start_module
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
        self._lock = threading.Lock()
        self._closed = False
        self._process = _start()
        self._finalizer = weakref.finalize(self, _stop, self._process)

    def recognize(self, pcm: Pcm) -> list[Word]:
        """Recognise one utterance; times are seconds from its start. Raises `EngineFailed`."""
        data = pcm.astype("<i2").tobytes()
        with self._lock:
            if self._closed:
                raise EngineFailed("PocketSphinx has been closed.")
            if self._process.poll() is not None:
                self._restart()
            try:
                answer = _ask(self._process, b"%d\n%s" % (len(data), data))
            except OSError as error:
                raise EngineFailed(
                    "The process that runs PocketSphinx ended in the middle of its work."
                ) from error
        return [
            Word(start, end, f" {text}", probability) for text, start, end, probability in json.loads(answer)
        ]

    def close(self) -> None:
        """End the process; an utterance that it is at work on fails."""
        self._closed = True
        self._process.kill()
        with self._lock:
            self._finalizer()

    def _restart(self) -> None:
        self._finalizer()
        self._process = _start()
        self._finalizer = weakref.finalize(self, _stop, self._process)


def _start() -> subprocess.Popen[bytes]:
    """Start a process and wait until it has loaded the model. Raises `EngineFailed`."""
    try:
        process = start_module(
            "hearsay.engines.pocketsphinx.process", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    except OSError as error:  # too many processes, no memory
        raise EngineFailed(f"PocketSphinx could not be started: {error}.") from error
    try:
        _ask(process, b"")
    except OSError as error:
        _stop(process)
        raise EngineFailed("PocketSphinx could not be started; the log says why.") from error
    return process


def _ask(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Write a request and read the line that answers it. Raises `OSError` when the process is gone."""
    stdin, stdout = _pipes(process)
    stdin.write(request)
    stdin.flush()
    line = stdout.readline()
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the process ended")
    return line


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in _pipes(process):
        # Closing flushes what a dead process will never read.
        try:
            pipe.close()
        except BrokenPipeError:
            continue


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _join(words: list[Word]) -> str:
    return "".join(word.text for word in words)


def _mean_logprob(words: list[Word]) -> float:
    """Average the logarithms of the words' posterior probabilities (this engine has no tokens)."""
    return sum(math.log(max(word.probability or 0.0, 1e-10)) for word in words) / len(words)
