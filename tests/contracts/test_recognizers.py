"""Every engine keeps the same promises, whatever it is made of.

Engines join through the registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from hearsay.asr.transcription import Transcription
from hearsay.domain import SAMPLE_RATE, Audio, ModelCard, Segment, Task, TranscribeOptions
from hearsay.engines import protocols, registry
from hearsay.engines.protocols import WindowRecognizer
from hearsay.errors import Cancelled, UnsupportedOption
from hearsay.media import decoding
from hearsay.samples import HELLO
from tests.support.engine_cases import Case, cases
from tests.support.paths import DATA

CLIPS = sorted(
    path for path in (DATA / "clips").rglob("*") if path.suffix in (".flac", ".ogg", ".wav", ".mp3")
)
SPEECH = {"whisper": CLIPS[0]}
"""Recordings in which an engine hears words, where it hears none in `HELLO`."""

CASES = cases(Task.TRANSCRIBE)


@dataclass(frozen=True)
class Staged:
    """A loaded model with its card and a recording."""

    recognizer: WindowRecognizer
    card: ModelCard
    speech: Audio

    def transcribe(self, recording: Audio, **options: object) -> list[Segment]:
        """Recognise a recording; options are those of `TranscribeOptions`."""
        wishes = TranscribeOptions(**options)  # type: ignore[arg-type]
        return list(Transcription(recording, wishes, self.recognizer, self.card))

    @cached_property
    def segments(self) -> list[Segment]:
        """What it hears in the recording."""
        return self.transcribe(self.speech)

    @cached_property
    def segments_with_words(self) -> list[Segment]:
        """What it hears in the recording where words are asked for."""
        return self.transcribe(self.speech, words=True)


def stage(case: Case) -> Staged:
    """Load a model."""
    recognizer = protocols.as_recognizer(case.load(), case.card)
    return Staged(recognizer, case.card, decoding.load(SPEECH.get(case.card.engine, HELLO)))


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def staged(request: pytest.FixtureRequest) -> Iterator[Staged]:
    staged = stage(request.param)
    yield staged
    staged.recognizer.close()


def test_every_engine_that_transcribes_is_here() -> None:
    engines = {card.engine for card in registry.recognizer_cards()}
    assert engines <= {case.card.engine for case in CASES}


def silence(seconds: float) -> Audio:
    return Audio(np.zeros(round(seconds * SAMPLE_RATE), np.int16))


def test_is_a_recognizer(staged: Staged) -> None:
    assert isinstance(staged.recognizer, WindowRecognizer)


def test_hears_words_in_speech(staged: Staged) -> None:
    segments = staged.segments
    assert segments
    assert all(segment.text.strip() for segment in segments)


def test_times_are_monotone_and_inside_the_recording(staged: Staged) -> None:
    segments = staged.segments
    edges = [edge for segment in segments for edge in (segment.start, segment.end)]
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= staged.speech.duration + 0.03


def test_words_are_inside_their_segments_and_are_their_text(staged: Staged) -> None:
    for segment in staged.segments_with_words:
        assert segment.words
        edges = [edge for word in segment.words for edge in (word.start, word.end)]
        assert edges == sorted(edges)
        assert segment.start - 0.03 <= edges[0]
        assert edges[-1] <= segment.end + 0.03
        assert "".join(word.text for word in segment.words).strip() == segment.text.strip()
        odds = [word.probability for word in segment.words if word.probability is not None]
        assert all(0 <= probability <= 1 for probability in odds)


def test_words_are_given_only_when_asked_for(staged: Staged) -> None:
    assert all(segment.words is None for segment in staged.segments)


def test_metadata_is_in_range_or_none(staged: Staged) -> None:
    for segment in staged.segments:
        assert segment.avg_logprob is None or segment.avg_logprob <= 0
        assert segment.no_speech_prob is None or 0 <= segment.no_speech_prob <= 1
        assert segment.compression_ratio is None or segment.compression_ratio > 0
        assert segment.temperature is None or 0 <= segment.temperature <= 1
        assert segment.seek >= 0


@pytest.mark.parametrize("seconds", [0.01, 1.0, 3.0])
def test_silence_gives_nothing(seconds: float, staged: Staged) -> None:
    assert staged.transcribe(silence(seconds)) == []


def test_the_same_recording_gives_the_same_answer(staged: Staged) -> None:
    first = staged.segments_with_words
    staged.transcribe(silence(1.0))
    assert staged.transcribe(staged.speech, words=True) == first


def test_a_language_is_honoured_or_refused(staged: Staged) -> None:
    assert "en" in staged.recognizer.languages
    staged.transcribe(staged.speech, language="en")
    with pytest.raises(UnsupportedOption) as refused:
        staged.transcribe(staged.speech, language="tlh")
    assert refused.value.param == "language"


def test_translation_is_honoured_or_refused(staged: Staged) -> None:
    if Task.TRANSLATE in staged.card.tasks:
        assert staged.transcribe(staged.speech, task=Task.TRANSLATE)
        return
    with pytest.raises(UnsupportedOption) as refused:
        staged.transcribe(staged.speech, task=Task.TRANSLATE)
    assert refused.value.param == "model"


def test_a_prompt_is_honoured(staged: Staged) -> None:
    wishes = TranscribeOptions(prompt="AND SO IT BEGINS, WITH CAPITALS.")
    transcription = Transcription(staged.speech, wishes, staged.recognizer, staged.card)
    with_prompt = transcription.transcript()
    assert with_prompt.text
    if staged.card.engine == "fake":
        assert with_prompt.text.isupper()


def test_a_caller_who_has_gone_stops_the_work(staged: Staged) -> None:
    long = Audio(np.tile(staged.speech.pcm, 8))
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1

    transcription = Transcription(
        long, TranscribeOptions(), staged.recognizer, staged.card, cancelled=cancelled
    )
    with pytest.raises(Cancelled):
        transcription.transcript()
    assert staged.transcribe(silence(1.0)) == []
