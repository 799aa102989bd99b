"""A transcription: both kinds of recogniser, wishes checked first, progress told, cancelled in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hearsay.domain import Audio, ModelCard, Task, TranscribeOptions
from hearsay.engines.fake import (
    FakeFeatures,
    FakeUtteranceRecognizer,
    FakeWindowRecognizer,
    Mishaps,
    expected_words,
)
from hearsay.engines.protocols import Recognizer
from hearsay.errors import Cancelled, EngineFailed, UnsupportedOption
from hearsay.transcription import Transcription

CARD = ModelCard("toy", "fake", "us", 0, frozenset(Task), ("en", "de", "es", "fr"), 448)
RECOGNIZERS = [FakeWindowRecognizer, FakeUtteranceRecognizer]


def noise(*spans: tuple[float, float], seconds: float = 75.0) -> Audio:
    """Make a recording that is loud in some spans (seconds) and else silent."""
    pcm = np.zeros(round(seconds * 16_000), np.int16)
    for start, end in spans:
        part = slice(round(start * 16_000), round(end * 16_000))
        pcm[part] = np.random.default_rng(1).normal(size=pcm[part].shape) * 3000
    return Audio(pcm)


SPEECH = noise((0.0, 8.0), (20.0, 33.0), (50.0, 75.0))


def transcription(
    recognizer: Recognizer, audio: Audio = SPEECH, card: ModelCard = CARD, **more: Any
) -> Transcription:
    cancelled = more.pop("cancelled", lambda: False)
    return Transcription(audio, TranscribeOptions(**more), recognizer, card, cancelled=cancelled)


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_the_transcript_holds_what_was_said(kind: type[Any]) -> None:
    transcript = transcription(kind(), words=True).transcript()
    expected = expected_words(SPEECH)
    assert transcript.text == " ".join(word.text.strip() for word in expected)
    assert [word.text for word in transcript.words] == [word.text for word in expected]
    assert (transcript.language, transcript.model, transcript.task) == ("en", "toy", Task.TRANSCRIBE)
    assert transcript.duration == 75.0


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_what_was_iterated_is_in_the_transcript_once(kind: type[Any]) -> None:
    work = transcription(kind())
    first = next(iter(work))
    rest = list(work)
    assert work.transcript().segments == (first, *rest)
    assert list(work) == []


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_silence_is_an_answer_without_segments(kind: type[Any]) -> None:
    transcript = transcription(kind(), noise(seconds=40.0)).transcript()
    assert (transcript.text, transcript.segments) == ("", ())
    assert transcript.language == "en"


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_work_comes_in_steps_also_where_nobody_speaks(kind: type[Any]) -> None:
    """A thread is shared step by step: one over hours of silence would bar it to everybody else."""
    assert list(transcription(kind(), noise(seconds=3600.0)).steps()) == [None] * 120


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_steps_are_the_segments_and_nothing_else(kind: type[Any]) -> None:
    audio = noise((0.0, 8.0), (100.0, 110.0), seconds=150.0)
    steps = list(transcription(kind(), audio).steps())
    assert [step for step in steps if step is not None] == list(transcription(kind(), audio))
    assert steps.count(None) >= 2


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_progress_rises_to_the_end(kind: type[Any]) -> None:
    work = transcription(kind())
    assert work.progress == 0.0
    seen = [work.progress for _ in work]
    assert seen == sorted(seen)
    assert seen[0] < 75.0
    assert work.progress == 75.0


def test_the_language_is_heard_or_given() -> None:
    work = transcription(FakeWindowRecognizer(hears="de"))
    assert work.language is None
    assert next(iter(work)).text.startswith(" wort0")
    assert work.language == "de"
    assert transcription(FakeWindowRecognizer(hears="de"), language="es").transcript().language == "es"


def test_warnings_of_the_recording_and_of_the_prompt_come_along() -> None:
    audio = Audio(SPEECH.pcm, warnings=("The file was cut short.",))
    work = transcription(FakeWindowRecognizer(), audio, prompt="x" * 300)
    assert work.transcript().warnings == (
        "The file was cut short.",
        "The prompt has 301 tokens; only the last 223 were used.",
    )


def test_warnings_of_a_stream_come_along_once() -> None:
    recognizer = FakeUtteranceRecognizer()
    opened = recognizer.open

    def warning_open(options: TranscribeOptions) -> Any:
        stream = opened(options)
        stream.warnings.append("The prompt was ignored.")
        return stream

    recognizer.open = warning_open  # type: ignore[method-assign]
    assert transcription(recognizer).transcript().warnings == ("The prompt was ignored.",)


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_a_caller_who_has_gone_stops_the_work(kind: type[Any]) -> None:
    mishaps = Mishaps()
    gone = False
    work = transcription(kind(mishaps=mishaps), cancelled=lambda: gone)
    iterator = iter(work)
    next(iterator)
    gone, before = True, mishaps.done
    with pytest.raises(Cancelled):
        list(iterator)
    assert mishaps.done <= before + 1


def test_a_caller_who_has_gone_is_noticed_while_features_of_a_long_recording_are_computed() -> None:
    """They need the whole recording before the first window can be cut."""
    asked = 0

    def gone() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    class Reading(FakeWindowRecognizer):
        def features(self, audio: Audio) -> FakeFeatures:
            for start in range(0, audio.n_samples, 16_000):
                audio.samples(start, start + 16_000)
            return super().features(audio)

    with pytest.raises(Cancelled):
        transcription(Reading(), cancelled=gone).transcript()
    assert asked == 4


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_an_engine_that_fails_is_not_hidden(kind: type[Any]) -> None:
    with pytest.raises(EngineFailed):
        transcription(kind(mishaps=Mishaps(fail_after=1))).transcript()


def test_a_task_that_the_card_lacks_is_refused_before_any_work() -> None:
    card = ModelCard("turbo", "fake", "us", 0, frozenset({Task.TRANSCRIBE}), ("en", "de"), 448)
    with pytest.raises(UnsupportedOption, match="`turbo` cannot translate") as caught:
        transcription(FakeWindowRecognizer(), card=card, task=Task.TRANSLATE)
    assert caught.value.param == "model"


def test_english_only_models_cannot_translate_whatever_their_card_says() -> None:
    with pytest.raises(UnsupportedOption) as caught:
        transcription(FakeWindowRecognizer(multilingual=False), task=Task.TRANSLATE)
    assert caught.value.param == "model"


@pytest.mark.parametrize("kind", RECOGNIZERS)
def test_a_language_that_the_model_lacks_is_refused(kind: type[Any]) -> None:
    with pytest.raises(UnsupportedOption, match=r"Japanese \(ja\), only de, en, es, fr") as caught:
        transcription(kind(), language="ja")
    assert caught.value.param == "language"


def test_english_only_models_take_english() -> None:
    recognizer = FakeWindowRecognizer(multilingual=False)
    assert transcription(recognizer, language="en").transcript().language == "en"
    with pytest.raises(UnsupportedOption):
        transcription(recognizer, language="de")


def test_the_only_language_of_a_card_need_not_be_heard() -> None:
    """A multilingual vocabulary does not make a distilled English model understand Spanish."""
    card = ModelCard("distilled", "fake", "us", 0, frozenset(Task), ("en",), 448)
    transcript = transcription(FakeWindowRecognizer(hears="es"), card=card).transcript()
    assert transcript.language == "en"
    assert transcript.text.startswith("word0")


def test_a_card_without_languages_leaves_them_to_the_model() -> None:
    card = ModelCard("own", "fake", "us", 0, frozenset(Task), (), 448)
    assert transcription(FakeWindowRecognizer(), card=card, language="fr").transcript().language == "fr"
