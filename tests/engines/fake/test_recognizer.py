"""The fake engine: what it hears can be predicted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.asr.transcription import Transcription
from hearsay.domain import (
    SAMPLE_RATE,
    AlignedWord,
    Audio,
    Hypothesis,
    Segment,
    Task,
    TranscribeOptions,
    Window,
    Word,
)
from hearsay.engines.fake import cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer, Faults
from hearsay.errors import EngineFailed
from tests.support.fake_words import expected_words


def half_seconds(pattern: str, tail: float = 0.0) -> Audio:
    """Make a recording of half seconds, loud where the pattern has an x, and `tail` more loud seconds."""
    noise = np.random.default_rng(0).integers(-8000, 8000, len(pattern) * SAMPLE_RATE // 2, dtype=np.int16)
    noise *= np.repeat(np.array([mark == "x" for mark in pattern], np.int16), SAMPLE_RATE // 2)
    return Audio(np.concatenate([noise, np.full(round(tail * SAMPLE_RATE), 5000, np.int16)]))


def texts(words: tuple[Word, ...]) -> str:
    return "".join(word.text for word in words).strip()


def hear(audio: Audio, options: TranscribeOptions | None = None) -> tuple[Segment, ...]:
    wishes = options or TranscribeOptions(words=True)
    return Transcription(audio, wishes, FakeWindowRecognizer(), cards.fake()).transcript().segments


def see(audio: Audio, start: int = 0, **window: object) -> tuple[Hypothesis, list[AlignedWord]]:
    engine = FakeWindowRecognizer()
    features = engine.features(audio)
    (encoding,) = engine.encode([features.window(start)])
    duration = min(features.n_frames - start, 3000) / 100
    seen = Window(encoding, duration, **({"language": "en"} | window))  # type: ignore[arg-type]
    (hypothesis,) = engine.recognize([seen])
    tokens = [token for token in hypothesis.tokens if token < engine.end_of_text]
    (words,) = engine.align([seen], [tokens], [round(duration * 100)])
    return hypothesis, words


def test_names_loud_half_seconds_after_their_place() -> None:
    audio = half_seconds("x..xx.", tail=0.3)
    assert texts(expected_words(audio)) == "word0 word3 word4 word6"
    segments = hear(audio)
    assert [segment.text for segment in segments] == [" word0", " word3 word4", " word6"]
    assert [(segment.start, segment.end) for segment in segments] == [(0.0, 0.5), (1.5, 2.5), (3.0, 3.3)]
    assert tuple(word for segment in segments for word in segment.words or ()) == expected_words(audio)


def test_splits_a_long_stretch_after_ten_words() -> None:
    segments = hear(half_seconds("x" * 23))
    assert [len(segment.words or ()) for segment in segments] == [10, 10, 3]


@given(st.text("x.", max_size=60), st.integers(0, 49))
@settings(max_examples=40, deadline=None)
def test_windows_agree_with_the_prediction(pattern: str, tail: int) -> None:
    audio = half_seconds(pattern[:59], tail / 100)
    expected = expected_words(audio)
    hypothesis, words = see(audio)
    assert hypothesis.text == texts(expected)
    assert [word.text for word in words] == [word.text for word in expected]
    assert np.allclose([(w.start, w.end) for w in words], [(w.start, w.end) for w in expected])


def test_a_window_counts_from_the_start_of_the_recording() -> None:
    audio = half_seconds("." * 62 + "x.xx")
    hypothesis, words = see(audio, start=3000)
    assert hypothesis.text == "word62 word64 word65"
    assert [(word.start, word.end) for word in words] == [(1.0, 1.5), (2.0, 2.5), (2.5, 3.0)]


def test_timestamp_tokens_enclose_each_run() -> None:
    hypothesis, _ = see(half_seconds(".x.xx"))
    begin = FakeWindowRecognizer.timestamp_begin
    ticks = [(token - begin) * 0.02 for token in hypothesis.tokens if token >= begin]
    assert ticks == [0.5, 1.0, 1.5, 2.5]


def test_silence_has_no_tokens_and_says_so() -> None:
    hypothesis, words = see(half_seconds("......"))
    assert (hypothesis.tokens, hypothesis.text, words) == ((), "", [])
    assert hypothesis.no_speech_prob > 0.6
    assert hypothesis.avg_logprob < -1.0
    assert hear(half_seconds("......")) == ()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (TranscribeOptions(), "word0 word1"),
        (TranscribeOptions(language="de"), "wort0 wort1"),
        (TranscribeOptions(language="de", task=Task.TRANSLATE), "word0 word1"),
        (TranscribeOptions(language="es", prompt="PLEASE SHOUT"), "PALABRA0 PALABRA1"),
        (TranscribeOptions(prompt="Please do not."), "word0 word1"),
    ],
)
def test_options_can_be_seen_in_the_answer(options: TranscribeOptions, text: str) -> None:
    audio = half_seconds("xx")
    assert texts(tuple(Word(s.start, s.end, s.text) for s in hear(audio, options))) == text
    previous = FakeWindowRecognizer().encode_text(options.prompt or "")
    hypothesis, _ = see(audio, language=options.language or "en", task=options.task, previous=previous)
    assert hypothesis.text == text


def test_words_only_when_asked_for() -> None:
    assert [segment.words for segment in hear(half_seconds("xx"), TranscribeOptions())] == [None]


def test_detects_the_language_that_it_was_told_to_hear() -> None:
    engine = FakeWindowRecognizer(hears="de")
    encodings = engine.encode([engine.features(half_seconds("x")).window(0)] * 2)
    scores = engine.detect_language(encodings)
    assert [max(row, key=row.__getitem__) for row in scores] == ["de", "de"]
    assert sum(scores[0].values()) == pytest.approx(1.0)
    assert set(scores[0]) == set(engine.languages)
    assert FakeWindowRecognizer(multilingual=False).detect_language(encodings)[0] == {"en": 1.0}


def test_is_unsure_below_the_temperature_it_was_given() -> None:
    engine = FakeWindowRecognizer(sure_from=0.4)
    (encoding,) = engine.encode([engine.features(half_seconds("xx")).window(0)])
    cold, warm = engine.recognize([Window(encoding, 1.0, "en", temperature=t) for t in (0.2, 0.4)])
    assert cold.avg_logprob < -1.0 < warm.avg_logprob


def test_fails_when_its_time_has_come() -> None:
    engine = FakeWindowRecognizer(mishaps=Faults(fail_after=1))
    (encoding,) = engine.encode([engine.features(half_seconds("x")).window(0)])
    window = Window(encoding, 0.5, "en")
    engine.recognize([window])
    with pytest.raises(EngineFailed):
        engine.recognize([window])


def test_pauses_before_each_piece_of_work() -> None:
    pauses: list[str] = []
    mishaps = Faults(pause=lambda: pauses.append("pause"))
    engine = FakeWindowRecognizer(mishaps=mishaps)
    (encoding,) = engine.encode([engine.features(half_seconds("x")).window(0)])
    engine.recognize([Window(encoding, 0.5, "en")] * 2)
    assert len(pauses) == 2


@given(st.text())
def test_text_survives_its_tokens(text: str) -> None:
    engine = FakeWindowRecognizer()
    assert engine.decode_text(engine.encode_text(text)) == text
