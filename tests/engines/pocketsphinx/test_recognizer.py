"""The embedded engine on its sample recording: words, times, honesty, and a process that may be lost."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from hearsay.domain import (
    SAMPLE_RATE,
    Audio,
    Chunking,
    Samples,
    Segment,
    Task,
    TranscribeOptions,
    VadThresholds,
)
from hearsay.engines.pocketsphinx import recognizer as sphinx
from hearsay.engines.pocketsphinx.recognizer import SphinxRecognizer, SphinxStream
from hearsay.errors import EngineFailed, UnsupportedOption
from hearsay.media import decoding
from hearsay.processes.worker import WorkerLost
from hearsay.samples import HELLO, hello_text

HELLO_WORDS = "".join(letter for letter in hello_text().lower() if letter.isalpha() or letter == " ")
PAUSE = np.zeros(SAMPLE_RATE, np.float32)


@pytest.fixture(scope="module")
def engine() -> Iterator[SphinxRecognizer]:
    recognizer = sphinx.load()
    yield recognizer
    recognizer.close()


@pytest.fixture(scope="module")
def hello() -> Audio:
    return decoding.load(HELLO)


def hear(stream: SphinxStream, samples: Samples, piece: int = SAMPLE_RATE) -> list[Segment]:
    segments: list[Segment] = []
    for start in range(0, len(samples), piece):
        segments += stream.feed(samples[start : start + piece])
    return segments + list(stream.finish())


def test_knows_the_sample_word_for_word(engine: SphinxRecognizer, hello: Audio) -> None:
    (segment,) = hear(engine.open(TranscribeOptions(words=True)), hello.samples())
    assert segment.text.strip() == HELLO_WORDS
    assert segment.words is not None
    assert [word.text.strip() for word in segment.words] == HELLO_WORDS.split()
    edges = [edge for word in segment.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert (segment.start, segment.end) == (edges[0], edges[-1])
    assert 0 <= segment.start < 0.5
    assert hello.duration - 0.5 < segment.end <= hello.duration
    assert all(0 < word.probability <= 1 for word in segment.words if word.probability is not None)


def test_what_was_heard_before_changes_nothing(hello: Audio) -> None:
    engine = sphinx.load()
    try:
        options = TranscribeOptions(words=True)
        fresh = hear(engine.open(options), hello.samples())
        other = hear(engine.open(options), hello.samples()[: SAMPLE_RATE * 3] * 0.05)
        assert other
        assert hear(engine.open(options), hello.samples()) == fresh
    finally:
        engine.close()


def test_says_only_what_it_can_know(engine: SphinxRecognizer, hello: Audio) -> None:
    stream = engine.open(TranscribeOptions())
    (segment,) = hear(stream, hello.samples())
    assert segment.words is None
    assert (segment.tokens, segment.temperature, segment.no_speech_prob) == ((), None, None)
    assert segment.avg_logprob is not None
    assert -1 < segment.avg_logprob <= 0
    assert segment.compression_ratio == pytest.approx(1.2, abs=0.1)
    assert (stream.language, stream.warnings) == ("en", [])


def test_long_recordings_are_segmented_and_timed_from_their_start(
    engine: SphinxRecognizer, hello: Audio
) -> None:
    samples = np.concatenate([PAUSE, hello.samples(), PAUSE, hello.samples(), PAUSE])
    first, second = hear(engine.open(TranscribeOptions()), samples, piece=7_777)
    assert first.text.strip() == second.text.strip() == HELLO_WORDS
    assert first.start == pytest.approx(1.0 + 0.18, abs=0.1)
    assert second.start - first.start == pytest.approx(hello.duration + 1.0, abs=0.1)


def test_recordings_heard_at_once_do_not_mix(engine: SphinxRecognizer, hello: Audio) -> None:
    one, other = engine.open(TranscribeOptions()), engine.open(TranscribeOptions())
    assert list(one.feed(hello.samples(0, 60_000))) == []
    assert list(other.feed(hello.samples(0, 20_000))) == []
    assert one.partial().startswith("good morning this is a short")
    segments = [*one.feed(hello.samples(60_000)), *one.finish()]
    assert [segment.text.strip() for segment in segments] == [HELLO_WORDS]
    assert other.partial().startswith("good")


@pytest.mark.parametrize("level", [0.0, 0.001, 0.01, 0.1])
def test_silence_and_noise_give_nothing(level: float, engine: SphinxRecognizer) -> None:
    noise = np.random.default_rng(7).normal(0, level, 3 * SAMPLE_RATE).astype(np.float32)
    stream = engine.open(TranscribeOptions())
    assert hear(stream, noise) == []
    assert stream.partial() == ""


def test_a_hum_gives_nothing(engine: SphinxRecognizer) -> None:
    times = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    hum = 0.2 * np.sin(2 * np.pi * 50 * times) + 0.1 * np.sin(2 * np.pi * 150 * times)
    assert hear(engine.open(TranscribeOptions()), hum.astype(np.float32)) == []


def test_refuses_other_languages_and_translation(engine: SphinxRecognizer) -> None:
    with pytest.raises(UnsupportedOption) as language:
        engine.open(TranscribeOptions(language="de"))
    with pytest.raises(UnsupportedOption) as task:
        engine.open(TranscribeOptions(task=Task.TRANSLATE))
    assert (language.value.param, task.value.param) == ("language", "model")


def test_says_which_wishes_it_ignores(engine: SphinxRecognizer) -> None:
    options = TranscribeOptions(language="en", prompt="Names: Dashwood.", temperature=0.4)
    assert engine.open(options).warnings == [sphinx.NO_PROMPT, sphinx.NO_TEMPERATURE]
    for options in (TranscribeOptions(chunking=Chunking.SEQUENTIAL), TranscribeOptions(vad=VadThresholds())):
        assert engine.open(options).warnings == [sphinx.NO_CHUNKING]
    assert engine.open(TranscribeOptions(chunking=Chunking.VAD)).warnings == []


def test_a_lost_process_is_started_again(hello: Audio) -> None:
    engine = sphinx.load()
    pid = engine._decoder.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    words = engine._decoder.recognize(hello.pcm[:20_000])
    assert [word.text for word in words][:2] == [" good", " morning"]
    assert engine._decoder.worker.pid != pid
    engine.close()


def test_a_process_lost_in_the_middle_is_an_engine_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*arguments: object) -> None:
        raise WorkerLost

    engine = sphinx.load()
    monkeypatch.setattr(engine._decoder.worker, "run", lose)
    with pytest.raises(EngineFailed, match="in the middle"):
        engine._decoder.recognize(np.zeros(4800, np.int16))
    engine.close()


def test_a_closed_engine_leaves_no_process_and_refuses() -> None:
    engine = sphinx.load()
    process = engine._decoder.worker._process
    engine.close()
    engine.close()
    assert process is not None
    assert process.returncode is not None
    with pytest.raises(EngineFailed, match="closed"):
        engine._decoder.recognize(np.zeros(4800, np.int16))


def test_a_forgotten_engine_leaves_no_process() -> None:
    engine = sphinx.load()
    process = engine._decoder.worker._process
    del engine
    gc.collect()
    assert process is not None
    assert process.returncode is not None
