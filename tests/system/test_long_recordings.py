"""Long recordings of known sentences, cut everywhere: no word is lost, doubled or out of order.

The words are those of the fixture's held-out clips, heard by its own weights and the detector that serves.
"""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.asr import transcription
from hearsay.asr.parallel import IN_FLIGHT
from hearsay.asr.transcription import Transcription
from hearsay.domain import (
    RECOGNITION,
    Audio,
    Chunking,
    DecodeSettings,
    ModelCard,
    Samples,
    SpeechSpan,
    TranscribeOptions,
    Transcript,
)
from hearsay.engines.protocols import SpeechDetector, SpeechStream
from hearsay.engines.silero import detector as silero
from hearsay.engines.whisper import loading
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.media import decoding
from hearsay.scheduling.batcher import Batcher
from hearsay.vad.chunking import Chunk, stream_chunks
from tests.support.counting_model import Engine, PretendDetector, PretendFeatures, PretendRecognizer, pretend
from tests.support.paths import DATA

CARD = ModelCard("fixture", "whisper", "us", 0, RECOGNITION, (), 448)

GREEDY = DecodeSettings(temperatures=(0.0,), beam_size=1, condition_on_previous_text=False)
"""Repeatable. The fixture never saw text of another window, and loses its way after some."""

MARGIN = 0.15
"""Seconds of a clip kept around each sentence."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def model() -> Iterator[WhisperRecognizer]:
    recognizer = loading.load(DATA / "fixture-whisper", device="cpu", compute_type="float32")
    yield recognizer
    recognizer.close()


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    if not silero.ASSET.is_file():
        pytest.fail("the detector cannot run here, so nothing would be tested")
    return silero.load()


@dataclass(frozen=True)
class Stitched:
    """Sentences one after the other."""

    recording: Audio
    text: str
    pauses: list[tuple[float, float]]
    """Where nobody speaks between two sentences."""


@cache
def sentences(language: str) -> list[tuple[str, NDArray[np.int16]]]:
    """Cut the sentences out of the clips of a language."""
    found = []
    for clip in json.loads((DATA / "clips" / "manifest.json").read_text()):
        if clip["language"] == language:
            recording = decoding.load(DATA / "clips" / clip["file"])
            for segment in clip["segments"]:
                first = max(0, round((segment["start"] - MARGIN) * 16_000))
                found.append(
                    (segment["text"], recording.pcm[first : round((segment["end"] + MARGIN) * 16_000)])
                )
    return found


def stitch(
    language: str, *, shortest: float, longest: float, lead: float = 0.5, times: int = 1, seed: int = 0
) -> Stitched:
    """Put sentences together; the seed chooses how long the pauses are."""
    choose = np.random.default_rng(seed)
    pcm, texts, pauses = [np.zeros(round(lead * 16_000), np.int16)], [], []
    n_samples = len(pcm[0])
    for text, said in sentences(language) * times:
        silence = np.zeros(round(choose.uniform(shortest, longest) * 16_000), np.int16)
        pcm += [said, silence]
        texts.append(text)
        n_samples += len(said)
        pauses.append((n_samples / 16_000 - MARGIN, (n_samples + len(silence)) / 16_000 + MARGIN))
        n_samples += len(silence)
    return Stitched(Audio(np.concatenate(pcm)), " ".join(texts), pauses[:-1])


Transcribe = Callable[..., Transcript]


@pytest.fixture(scope="module")
def transcribe(model: WhisperRecognizer) -> Iterator[Transcribe]:
    """Transcribe a recording; its windows share calls of the model, as they do in the server."""
    with closing(Batcher(model)) as batcher:

        def transcribe(detector: SpeechDetector, recording: Audio, **wishes: Any) -> Transcript:
            submit, options = batcher.request_queue().submit, TranscribeOptions(**wishes)
            return Transcription(
                recording, options, model, CARD, decode=GREEDY, submit=submit, detector=detector
            ).transcript()

        yield transcribe


def words_of(text: str) -> list[str]:
    """Take the words; the fixture is not always sure about marks in Spanish."""
    return re.findall(r"\w+", text.casefold())


WINDOWS = [8.0, 8.5, 9.0, 10.0, 11.0, 12.5, 14.0, 16.0, 18.0, 21.0, 25.0, 30.0]
"""Seconds to which stretches are packed, up to all that the model can see."""


@pytest.mark.parametrize("language", ["en", "es", "de"])
def test_wherever_a_recording_is_cut_every_word_is_there_once(
    transcribe: Transcribe, detector: SpeechDetector, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_at: set[int] = set()
    for number, window in enumerate(WINDOWS, 1):
        # The lead moves speech against the frames of the detector (32 ms) and of the model (10 ms).
        stitched = stitch(language, shortest=0.25, longest=1.5, lead=0.5 + number * 0.0037, seed=number)
        stretches: list[Chunk] = []
        packed = partial(_listen_packed, window_seconds=window, found=stretches)
        monkeypatch.setattr(transcription, "stream_chunks", packed)
        heard = transcribe(detector, stitched.recording)
        assert words_of(heard.text) == words_of(stitched.text), f"cut to {window} s"
        assert heard.report is not None and heard.report.n_windows >= len(stretches) > 1
        for stretch in stretches[:-1]:
            cut_at |= {i for i, (a, b) in enumerate(stitched.pauses) if a - 0.3 <= stretch.end <= b + 0.3}
    assert len(cut_at) > 0.8 * len(stitched.pauses), "too few of the pauses were a seam once"


def _listen_packed(*args: Any, window_seconds: float, found: list[Chunk], **_: Any) -> Iterator[Chunk]:
    for chunk in stream_chunks(*args, window=window_seconds):
        found.append(chunk)
        yield chunk


@pytest.mark.parametrize("language", ["en", "es", "de"])
def test_both_ways_through_a_recording_give_the_same_words(
    transcribe: Transcribe, detector: SpeechDetector, language: str
) -> None:
    stitched = stitch(language, shortest=0.5, longest=1.0)
    at_pauses, by_timestamps = (
        transcribe(detector, stitched.recording, chunking=chunking) for chunking in Chunking
    )
    assert words_of(at_pauses.text) == words_of(by_timestamps.text) == words_of(stitched.text)
    assert at_pauses.language == by_timestamps.language == language


@pytest.mark.parametrize("language", ["en", "de"])
def test_words_are_in_order_and_make_up_their_segments(
    transcribe: Transcribe, detector: SpeechDetector, language: str
) -> None:
    stitched = stitch(language, shortest=0.5, longest=1.0, times=2)
    heard = transcribe(detector, stitched.recording, words=True)
    assert words_of(heard.text) == words_of(stitched.text)
    assert "".join(word.text for word in heard.words).strip() == heard.text
    assert all(left.end <= right.start for left, right in pairwise(heard.segments))
    for segment in heard.segments:
        assert segment.words is not None
        assert "".join(word.text for word in segment.words) == segment.text
    assert all(a.start <= a.end <= b.start <= b.end for a, b in pairwise(heard.words))
    assert heard.segments[-1].end <= heard.duration


class Unceasing:
    """Hears speech everywhere, as in a recording without any pause."""

    frame_samples = 512

    def open(self) -> SpeechStream:
        return self

    def feed(self, samples: Samples) -> NDArray[np.float32]:
        return np.ones(len(samples) // 512, np.float32)

    def finish(self) -> NDArray[np.float32]:
        return np.zeros(0, np.float32)


@pytest.mark.parametrize("language", ["en", "de"])
def test_speech_without_a_pause_is_cut_by_timestamps_and_loses_nothing(
    transcribe: Transcribe, language: str
) -> None:
    stitched = stitch(language, shortest=0.0, longest=0.05)
    assert stitched.recording.duration > 35
    heard = transcribe(Unceasing(), stitched.recording)
    assert words_of(heard.text) == words_of(stitched.text)
    assert heard.report is not None
    assert heard.report.speech is not None and len(heard.report.speech) == 1


@pytest.mark.parametrize("file", ["en-1-a.flac", "es-3-b.ogg", "de-4-b.ogg"])
def test_a_short_clip_gives_the_same_either_way(
    transcribe: Transcribe, detector: SpeechDetector, file: str
) -> None:
    recording = decoding.load(DATA / "clips" / file)
    at_pauses, by_timestamps = (
        transcribe(detector, recording, chunking=chunking, words=True) for chunking in Chunking
    )
    assert [segment.text for segment in at_pauses.segments] == [s.text for s in by_timestamps.segments]
    assert [word.text for word in at_pauses.words] == [word.text for word in by_timestamps.words]
    starts = [word.start for word in by_timestamps.words]
    assert [word.start for word in at_pauses.words] == pytest.approx(starts, abs=0.1)
    assert at_pauses.report is not None and at_pauses.report.n_windows == 1


def test_where_nobody_speaks_nothing_is_decoded(transcribe: Transcribe, detector: SpeechDetector) -> None:
    heard = transcribe(detector, decoding.load(DATA / "clips" / "silence.flac"))
    assert (heard.text, heard.language) == ("", None)
    assert heard.report is not None
    assert (heard.report.n_windows, heard.report.speech) == (0, ())


def test_noise_that_may_be_speech_gives_no_text(transcribe: Transcribe, detector: SpeechDetector) -> None:
    heard = transcribe(detector, decoding.load(DATA / "clips" / "noise.ogg"))
    assert heard.text == ""
    assert heard.report is not None
    assert [span.certain for span in heard.report.speech or ()] == [None] * len(heard.report.speech or ())


HOURS = 3


@pytest.mark.parametrize("n_listening", [0, 5])
def test_three_hours_in_flat_memory(n_listening: int) -> None:
    """Speech comes in bouts of some seconds, with pauses of all lengths; jobs are done in any order."""
    choose = np.random.default_rng(7)
    starts = np.cumsum(choose.choice([0.6, 0.8, 1.5, 3.0, 9.0], size=5_000))
    words = [round(float(start), 2) for start in starts if start < HOURS * 3600 - 1]
    recording = pretend(words, HOURS * 3600)
    detector = PretendDetector()
    before = len(PretendFeatures.alive)
    tracemalloc.start()
    with closing(Engine(PretendRecognizer(), seed=n_listening)) as engine:
        work = Transcription(
            recording,
            TranscribeOptions(language="de" if n_listening else None),
            PretendRecognizer(),
            CARD,
            submit=engine.submit,
            detector=detector,
        )
        segments, most_alive, n_heard = [], 0, 0
        for segment in work:
            n_heard = n_heard or detector.n_heard
            segments.append(segment)
            most_alive = max(most_alive, len(PretendFeatures.alive) - before)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "".join(segment.text for segment in segments) == "".join(f" w{n + 1}" for n in range(len(words)))
    assert all(left.end <= right.start for left, right in pairwise(segments))
    assert most_alive <= IN_FLIGHT + 1
    assert engine.most_waiting <= IN_FLIGHT
    assert n_heard < (IN_FLIGHT + 4) * 30 * 16_000, "all was listened to before the first words came"
    assert peak < 60e6, f"{peak / 1e6:.0f} MB"
    report = work.transcript().report
    assert report is not None and report.speech is not None
    assert_spans(report.speech)
    assert work.progress == HOURS * 3600


def assert_spans(spans: Sequence[SpeechSpan]) -> None:
    assert len(spans) > 100
    assert all(left.end <= right.start for left, right in pairwise(spans))
