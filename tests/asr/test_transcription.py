"""A transcription: wishes checked first, progress told, cancelled in time."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hearsay.asr.transcription import Transcription
from hearsay.domain import (
    RECOGNITION,
    Audio,
    Chunking,
    DecodeSettings,
    DroppedText,
    DropReason,
    FallbackReason,
    Hypothesis,
    ModelCard,
    Samples,
    Task,
    TranscribeOptions,
    VadThresholds,
    Window,
)
from hearsay.engines.fake.recognizer import FakeFeatures, FakeWindowRecognizer, Faults
from hearsay.engines.jobs import Job
from hearsay.engines.protocols import WindowRecognizer
from hearsay.errors import Cancelled, EngineFailed, UnsupportedOption
from hearsay.vad.chunking import stream_chunks
from tests.support.counting_model import (
    Desk,
    Engine,
    PretendDetector,
    PretendFeatures,
    PretendRecognizer,
    PretendStream,
    pretend,
)
from tests.support.fake_words import expected_words

CARD = ModelCard("toy", "fake", "us", 0, RECOGNITION, ("en", "de", "es", "fr"), 448)


def noise(*spans: tuple[float, float], seconds: float = 75.0) -> Audio:
    """Make a recording that is loud in some spans (seconds) and else silent."""
    pcm = np.zeros(round(seconds * 16_000), np.int16)
    for start, end in spans:
        part = slice(round(start * 16_000), round(end * 16_000))
        pcm[part] = np.random.default_rng(1).normal(size=pcm[part].shape) * 3000
    return Audio(pcm)


SPEECH = noise((0.0, 8.0), (20.0, 33.0), (50.0, 75.0))


def transcription(
    recognizer: WindowRecognizer, audio: Audio = SPEECH, card: ModelCard = CARD, **more: Any
) -> Transcription:
    cancelled = more.pop("cancelled", lambda: False)
    return Transcription(audio, TranscribeOptions(**more), recognizer, card, cancelled=cancelled)


def test_the_transcript_holds_what_was_said() -> None:
    transcript = transcription(FakeWindowRecognizer(), words=True).transcript()
    expected = expected_words(SPEECH)
    assert transcript.text == " ".join(word.text.strip() for word in expected)
    assert [word.text for word in transcript.words] == [word.text for word in expected]
    assert (transcript.language, transcript.model, transcript.task) == ("en", "toy", Task.TRANSCRIBE)
    assert transcript.duration == 75.0


def test_what_was_iterated_is_in_the_transcript_once() -> None:
    work = transcription(FakeWindowRecognizer())
    first = next(iter(work))
    rest = list(work)
    assert work.transcript().segments == (first, *rest)
    assert list(work) == []


def test_silence_is_an_answer_without_segments() -> None:
    transcript = transcription(FakeWindowRecognizer(), noise(seconds=40.0)).transcript()
    assert (transcript.text, transcript.segments) == ("", ())
    assert transcript.language == "en"


def test_work_comes_in_steps_also_where_nobody_speaks() -> None:
    """A cancellation is noticed between two, also over hours of silence."""
    assert list(transcription(FakeWindowRecognizer(), noise(seconds=3600.0)).steps()) == [None] * 120


def test_steps_are_the_segments_and_nothing_else() -> None:
    audio = noise((0.0, 8.0), (100.0, 110.0), seconds=150.0)
    steps = list(transcription(FakeWindowRecognizer(), audio).steps())
    assert [step for step in steps if step is not None] == list(transcription(FakeWindowRecognizer(), audio))
    assert steps.count(None) >= 2


def test_progress_rises_to_the_end() -> None:
    work = transcription(FakeWindowRecognizer())
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
    work = transcription(FakeWindowRecognizer(), audio, prompt="x" * 300, chunking=Chunking.SEQUENTIAL)
    assert work.transcript().warnings == (
        "The file was cut short.",
        "The prompt has 301 tokens; only the last 223 were used.",
    )


def test_a_caller_who_has_gone_stops_the_work() -> None:
    mishaps = Faults()
    gone = False
    work = transcription(FakeWindowRecognizer(mishaps=mishaps), cancelled=lambda: gone)
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


def test_an_engine_that_fails_is_not_hidden() -> None:
    with pytest.raises(EngineFailed):
        transcription(FakeWindowRecognizer(mishaps=Faults(fail_after=1))).transcript()


def test_a_task_that_the_card_lacks_is_refused_before_any_work() -> None:
    card = ModelCard("turbo", "fake", "us", 0, frozenset({Task.TRANSCRIBE}), ("en", "de"), 448)
    with pytest.raises(UnsupportedOption, match="`turbo` cannot translate") as caught:
        transcription(FakeWindowRecognizer(), card=card, task=Task.TRANSLATE)
    assert caught.value.param == "model"


def test_english_only_models_cannot_translate_whatever_their_card_says() -> None:
    with pytest.raises(UnsupportedOption) as caught:
        transcription(FakeWindowRecognizer(multilingual=False), task=Task.TRANSLATE)
    assert caught.value.param == "model"


def test_a_language_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(UnsupportedOption, match=r"Japanese \(ja\), only de, en, es, fr") as caught:
        transcription(FakeWindowRecognizer(), language="ja")
    assert caught.value.param == "language"


def test_english_only_models_take_english() -> None:
    recognizer = FakeWindowRecognizer(multilingual=False)
    assert transcription(recognizer, language="en").transcript().language == "en"
    with pytest.raises(UnsupportedOption):
        transcription(recognizer, language="de")


def test_the_only_language_of_a_card_need_not_be_heard() -> None:
    """A multilingual vocabulary does not make a distilled English model understand Spanish."""
    card = ModelCard("distilled", "fake", "us", 0, RECOGNITION, ("en",), 448)
    transcript = transcription(FakeWindowRecognizer(hears="es"), card=card).transcript()
    assert transcript.language == "en"
    assert transcript.text.startswith("word0")


def test_a_card_without_languages_leaves_them_to_the_model() -> None:
    card = ModelCard("own", "fake", "us", 0, RECOGNITION, (), 448)
    assert transcription(FakeWindowRecognizer(), card=card, language="fr").transcript().language == "fr"


SPARSE = pretend([1.0, 4.0, 28.0, 50.0, 53.0, 90.0], 95.0)
"""Words with pauses between them that no stretch reaches over."""

PRETEND = ModelCard("pretend", "fake", "us", 0, RECOGNITION, (), 448)


def pretended(audio: Audio = SPARSE, **more: Any) -> Transcription:
    """Transcribe words that say their numbers, with a detector that hears them all."""
    given = {name: more.pop(name) for name in ("decode", "submit", "cancelled", "eager") if name in more}
    detector = more.pop("detector", PretendDetector())
    recognizer = more.pop("recognizer", PretendRecognizer())
    return Transcription(audio, TranscribeOptions(**more), recognizer, PRETEND, detector=detector, **given)


def test_a_long_recording_is_cut_at_pauses_and_the_report_says_so() -> None:
    transcript = pretended().transcript()
    assert transcript.text == "w1 w2 w3 w4 w5 w6"
    assert (transcript.language, transcript.warnings) == ("de", ())
    report = transcript.report
    assert report is not None
    assert (report.chunking, report.n_windows, report.dropped, report.fallbacks) == (Chunking.VAD, 4, (), ())
    assert report.speech is not None
    starts = [1.0, 4.0, 28.0, 50.0, 53.0, 90.0]
    assert [span.start for span in report.speech] == pytest.approx([s - 0.3 for s in starts], abs=0.05)
    assert [span.end for span in report.speech] == pytest.approx([s + 0.8 for s in starts], abs=0.05)


@pytest.mark.parametrize("setting", Chunking)
@pytest.mark.parametrize("wish", [None, *Chunking])
def test_the_callers_choice_goes_before_the_operators(wish: Chunking | None, setting: Chunking) -> None:
    transcript = pretended(chunking=wish, decode=DecodeSettings(chunking=setting)).transcript()
    assert transcript.text == "w1 w2 w3 w4 w5 w6"
    report = transcript.report
    assert report is not None
    assert report.chunking is (wish or setting)
    assert (report.speech is None) == (report.chunking is Chunking.SEQUENTIAL)


class FaintStream(PretendStream):
    """Gives a tenth of every probability."""

    def feed(self, samples: Samples) -> NDArray[np.float32]:
        return super().feed(samples) * np.float32(0.1)


class FaintDetector(PretendDetector):
    """Hears the words with little certainty."""

    def open(self) -> PretendStream:
        return FaintStream(self)


def test_the_callers_thresholds_go_before_the_operators() -> None:
    strict, lenient = VadThresholds(threshold=0.6), VadThresholds(threshold=0.05)
    easy = DecodeSettings(vad=lenient)
    faint = FaintDetector()
    assert pretended(detector=faint).transcript().text == ""
    assert pretended(detector=faint, vad=lenient).transcript().text == "w1 w2 w3 w4 w5 w6"
    assert pretended(detector=faint, decode=easy).transcript().text == "w1 w2 w3 w4 w5 w6"
    assert pretended(detector=faint, decode=easy, vad=strict).transcript().text == ""


class Unasked(PretendRecognizer):
    """Wants to be left alone."""

    def encode(self, inputs: Any) -> list[Any]:
        pytest.fail("nobody spoke")


@pytest.mark.parametrize("seconds", [20.0, 200.0])
@pytest.mark.parametrize("language", [None, "de"])
def test_where_no_speech_is_heard_nothing_is_asked_of_the_model(seconds: float, language: str | None) -> None:
    work = pretended(pretend([], seconds), language=language, recognizer=Unasked())
    assert list(work.steps()) == []
    transcript = work.transcript()
    assert (transcript.text, transcript.language, work.progress) == ("", language, seconds)
    assert transcript.report is not None
    assert (transcript.report.speech, transcript.report.n_windows) == ((), 0)


class Watched(PretendRecognizer):
    """Notes how long the windows are that it decodes."""

    def __init__(self) -> None:
        self.durations: list[float] = []

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        self.durations += [window.duration for window in windows]
        return super().recognize(windows)


@pytest.mark.parametrize(
    ("words", "durations"),
    [
        ([1.0, 5.5, 10.0, 14.5, 19.0, 23.5], [28.0]),
        ([2.5, 20.0], [4.0, 2.5]),  # to a second after the first word; from one before the second
        ([3.5, 20.0, 24.5], [2.5, 9.0]),
    ],
)
def test_a_recording_that_fits_a_window_is_cut_in_long_silence_only(
    words: list[float], durations: list[float]
) -> None:
    """As a lone clip is; the silence of less than 5 s at its end stays."""
    recognizer = Watched()
    transcript = pretended(pretend(words, 28.0), recognizer=recognizer, language="de").transcript()
    assert transcript.text == " ".join(f"w{number}" for number, _ in enumerate(words, 1))
    assert recognizer.durations == pytest.approx(durations, abs=0.05)
    assert [segment.start for segment in transcript.segments] == pytest.approx(words, abs=0.12)


def test_what_is_held_for_a_caller_who_has_gone_goes_at_once() -> None:
    """Not only when garbage is collected, which may be much later."""
    gone = threading.Event()
    desk = Desk(PretendRecognizer())

    def submit(job: Job) -> Future[Any]:
        """Finish the first of the four windows once all of them wait, and leave the others where they are."""
        future = desk.submit(job)
        if desk.encodes() == 4:
            desk.do(0)
        elif desk.done:
            desk.do(-1)
        return future

    gc.collect()
    before = len(PretendFeatures.alive)
    gc.disable()
    try:
        steps = pretended(submit=submit, cancelled=gone.is_set, language="de").steps()
        assert next(steps) is not None
        assert len(PretendFeatures.alive) > before
        gone.set()
        steps.close()
        desk.waiting.clear()
        assert len(PretendFeatures.alive) == before
    finally:
        gc.enable()


class Thankful(PretendRecognizer):
    """Fills the padding of short windows with words that nobody said."""

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        said = super().recognize(windows)
        return [
            self._thank(window, one) if window.duration < 20 else one
            for window, one in zip(windows, said, strict=True)
        ]

    def _thank(self, window: Window, said: Hypothesis) -> Hypothesis:
        start = self.timestamp_begin + round(window.duration / self.timestamp_seconds)
        tokens = (*said.tokens, start, 77, self.timestamp_begin + 1500)
        return replace(said, tokens=tokens, avg_logprob=-0.7)


@pytest.mark.parametrize("eager", [False, True])
def test_speech_of_other_stretches_proves_nothing(eager: bool) -> None:
    """Nor does it matter whether they were listened to before this one was decoded."""
    audio = pretend([1.0, 2.0, 3.0, 16.0, 17.0, 18.0, 36.0, 37.0], 60.0)
    for seed in range(3):
        with closing(Engine(Thankful(), seed)) as engine:
            work = pretended(audio, recognizer=Thankful(), submit=engine.submit, eager=eager)
            transcript = work.transcript()
        assert transcript.text == "w1 w2 w3 w4 w5 w6 w7 w8"
        assert transcript.report is not None
        assert {dropped.reason for dropped in transcript.report.dropped} == {DropReason.SILENCE}


@pytest.mark.parametrize("step", [0.9, 1.01, 1.13, 1.7])
def test_no_stretch_that_fits_a_window_needs_a_second_one(step: float) -> None:
    """Rounding could make one of 30 s a frame longer than what the model sees."""
    words = [round(0.37 + number * step, 3) for number in range(int(300 / step))]
    recording = pretend(words, 301.0)
    transcript = pretended(recording).transcript()
    assert transcript.text == " ".join(f"w{number + 1}" for number in range(len(words)))
    stretches = list(stream_chunks(recording, PretendDetector(), VadThresholds()))
    assert max(stretch.end - stretch.start for stretch in stretches) > 25
    assert transcript.report is not None
    assert transcript.report.n_windows == len(stretches)


def test_without_a_detector_a_long_recording_is_worked_through_in_sequence_and_that_is_told() -> None:
    transcript = pretended(detector=None).transcript()
    assert transcript.text == "w1 w2 w3 w4 w5 w6"
    assert transcript.warnings == (
        "No speech detector is available, so the recording was not cut at pauses.",
    )
    assert transcript.report is not None
    assert (transcript.report.chunking, transcript.report.speech) == (Chunking.SEQUENTIAL, None)


def test_without_a_detector_a_short_one_is_decoded_whole_without_a_word() -> None:
    transcript = pretended(pretend([3.0], 30.0), detector=None).transcript()
    assert (transcript.text, transcript.warnings) == ("w1", ())
    assert transcript.report is not None
    assert (transcript.report.chunking, transcript.report.speech) == (Chunking.VAD, None)


class Haunted(PretendRecognizer):
    """Hears thanks twelve seconds into every window."""

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        thanks = (self.timestamp_begin + 600, 77, self.timestamp_begin + 700)
        return [replace(heard, tokens=heard.tokens + thanks) for heard in super().recognize(windows)]


def test_text_over_silence_is_left_out_where_a_detector_listened() -> None:
    audio = pretend([1.0, 2.0, 3.0], 30.0)
    at_pauses = pretended(audio, recognizer=Haunted()).transcript()
    assert at_pauses.text == "w1 w2 w3"
    assert at_pauses.report is not None
    assert at_pauses.report.dropped == (DroppedText(12.0, 14.0, "w77", DropReason.SILENCE),)
    for less in ({"chunking": Chunking.SEQUENTIAL}, {"detector": None}):
        assert pretended(audio, recognizer=Haunted(), **less).transcript().text == "w1 w2 w3 w77"


class Unsure(PretendRecognizer):
    """Is sure of what begins with an even word only when it samples."""

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        return [
            replace(heard, avg_logprob=-2.0) if heard.tokens[1] % 2 == 0 and heard.temperature == 0 else heard
            for heard in super().recognize(windows)
        ]


def test_the_report_lists_fallbacks_in_order_of_time() -> None:
    audio = pretend([1.0, 40.0, 80.0, 120.0], 150.0)
    report = pretended(audio, recognizer=Unsure(), language="de").transcript().report
    assert report is not None
    assert [(round(f.start), f.temperature, f.reason) for f in report.fallbacks] == [
        (start, 0.0, FallbackReason.LOW_PROBABILITY)
        for start in (39, 39, 119, 119)  # the short window, then the full one
    ]
    assert report.n_windows == 4


@given(seed=st.integers(0, 2**32), words=st.booleans())
@settings(max_examples=20)
def test_a_transcript_does_not_depend_on_the_order_in_which_jobs_are_done(seed: int, words: bool) -> None:
    with closing(Engine(PretendRecognizer(), seed)) as engine:
        together = pretended(words=words, submit=engine.submit).transcript()
    assert together == pretended(words=words).transcript()


def test_progress_rises_also_where_many_windows_are_decoded_at_once() -> None:
    with closing(Engine(PretendRecognizer(), 1)) as engine:
        work = pretended(submit=engine.submit)
        seen = [(work.progress, segment.end) for segment in work]
    assert seen == sorted(seen)
    assert all(end <= progress + 1e-6 for progress, end in seen)
    assert work.progress == SPARSE.duration


def test_a_caller_who_has_gone_is_noticed_while_nobody_speaks_for_hours() -> None:
    detector = PretendDetector()
    audio = pretend([], 3600.0)
    work = pretended(audio, detector=detector, cancelled=lambda: detector.n_heard > 0)
    with pytest.raises(Cancelled):
        work.transcript()
    assert detector.n_heard < 40 * 16_000
