"""Real Whisper on real speech: words, times, languages, translation, and nothing where there is no speech.

Bounds have slack, because processors decode in different number formats. The reference is openai/whisper with
the same weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import jiwer
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.quality import recordings
from hearsay.domain import SAMPLE_RATE, Audio, Segment, Task, Transcript, Word
from hearsay.media import decoding
from tests.support.paths import DATA, SHARED_AUDIO
from tests.support.real_weights import real_whisper

pytestmark = pytest.mark.skipif(
    not SHARED_AUDIO.is_dir(), reason="there are no real recordings in ../shared/audio"
)

SPELLINGS = {"1": "one", "un": "one", "2": "two", "3": "three", "mr": "mister", "tue": "two"}
SENTENCES = {
    "austen-0870.wav": "en",
    "austen-0880.wav": "en",
    "french.aiff": "fr",
    "jfk.flac": "en",
    "numbers.wav": "en",
    "spk1_snt1.wav": "en",
    "spk1_snt2.wav": "en",
    "spk1_snt3.wav": "en",
    "spk1_snt4.wav": "en",
}
"""Short recordings and their languages."""

TALKS = ("conversation-2spk.wav", "meeting-dev00.wav")
GERMAN_SECONDS = 30.0
"""Where the German half of `english-german.mp3` begins."""


@cache
def recording(name: str) -> Audio:
    return decoding.load(SHARED_AUDIO / name)


@cache
def transcript(name: str, **options: Any) -> Transcript:
    return real_whisper("base").transcribe(recording(name), **options)


@cache
def manifest() -> dict[str, dict[str, Any]]:
    return {entry["file"]: entry for entry in json.loads((SHARED_AUDIO / "manifest.json").read_text("utf-8"))}


@cache
def openai_text(name: str) -> str:
    answers = json.loads((DATA / "real-speech" / "openai-whisper.json").read_text("utf-8"))["answers"]
    return "".join(text for _, _, text in answers[name.partition(".")[0] + ".wav"]["segments"])


def words(text: str) -> str:
    """Return lower-case words without punctuation, numbers and titles in letters."""
    found = re.findall(r"[^\W_]+(?:'\w+)?", text.lower())
    return " ".join(SPELLINGS.get(word, word) for word in found)


def errors(said: str, heard: str) -> float:
    """Return the word error rate."""
    return float(jiwer.wer(words(said), words(heard)))


def audio(samples: NDArray[np.float32]) -> Audio:
    return Audio(np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16))


def after_silence(name: str, seconds: float) -> Audio:
    silence = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    return Audio(np.concatenate([silence, recording(name).pcm]))


def check_times(found: Transcript) -> None:
    """Check that segments and words are in order and within the recording."""
    both: tuple[Sequence[Segment | Word], ...] = (found.segments, found.words or ())
    for timed in both:
        assert all(0 <= each.start <= each.end <= found.duration for each in timed)
        assert all(a.start <= b.start and a.end <= b.start + 0.05 for a, b in pairwise(timed))
    for segment in found.segments:
        assert segment.words is None or "".join(word.text for word in segment.words) == segment.text


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_are_understood(name: str) -> None:
    found = transcript(name)
    assert found.language == SENTENCES[name]
    assert errors(manifest()[name]["text"], found.text) <= 0.15
    assert errors(openai_text(name), found.text) <= 0.15
    check_times(found)


@pytest.mark.parametrize("name", SENTENCES)
def test_word_times_do_not_change_the_text(name: str) -> None:
    found = transcript(name, words=True)
    assert errors(transcript(name).text, found.text) <= 0.15
    assert "".join(word.text for word in found.words).strip() == found.text
    assert all(word.end - word.start <= 2.0 for word in found.words)
    check_times(found)


@pytest.mark.parametrize("side", [0, 1])
def test_each_channel_of_a_stereo_recording_is_understood(side: int) -> None:
    name = ("left", "right")[side]
    channel = recordings.read_channels(SHARED_AUDIO / "stereo-two-talkers.wav")[side]
    found = real_whisper("base").transcribe(audio(channel))
    assert errors(manifest()["stereo-two-talkers.wav"][name], found.text) <= 0.1
    assert errors(openai_text(f"stereo-{name}.wav"), found.text) <= 0.1


@pytest.mark.parametrize(("name", "bound"), [(TALKS[0], 0.4), (TALKS[1], 0.45)])
def test_people_who_talk_to_each_other_are_understood(name: str, bound: float) -> None:
    found = transcript(name)
    assert found.language == "en"
    assert errors(recordings.TRANSCRIPTS[name], found.text) <= bound
    assert errors(openai_text(name), found.text) <= bound
    check_times(found)


@pytest.mark.parametrize("name", TALKS)
def test_nothing_is_said_again_and_again(name: str) -> None:
    assert not re.search(r"\b(\w+(?: \w+){2,})(?: \1){2}", words(transcript(name).text))


def test_the_first_ten_seconds_of_a_telephone_call_are_there() -> None:
    """They are quiet, and the model of other systems begins after them."""
    found = transcript("conversation-2spk.wav", words=True)
    first = words("".join(word.text for word in found.words if word.start < 10.5))
    assert first.count("hello") >= 2
    assert "know you were there" in first
    check_times(found)


@pytest.mark.parametrize("name", [*SENTENCES, *TALKS, "english-german.mp3"])
def test_long_speech_never_lacks_text(name: str) -> None:
    found = transcript(name)
    assert found.report is not None
    for span in found.report.speech or ():
        if span.certain and span.certain[1] - span.certain[0] >= 3.0:
            covered = sum(
                max(min(s.end, span.certain[1]) - max(s.start, span.certain[0]), 0.0) for s in found.segments
            )
            assert covered >= 0.6 * (span.certain[1] - span.certain[0])


def test_german_is_written_in_german() -> None:
    german = Audio(recording("english-german.mp3").pcm[round(GERMAN_SECONDS * SAMPLE_RATE) :])
    found = real_whisper("base").transcribe(german)
    assert found.language == "de"
    text = words(found.text)
    assert all(word in text for word in ("software", "insbesondere", "recht", "verkaufen", "bedingungen"))


def test_the_english_half_is_understood() -> None:
    english = Audio(recording("english-german.mp3").pcm[: round(29.2 * SAMPLE_RATE)])
    found = real_whisper("base").transcribe(english)
    assert found.language == "en"
    assert errors(recordings.LICENCE, found.text) <= 0.1
    check_times(found)


def test_french_is_translated() -> None:
    found = transcript("french.aiff", task=Task.TRANSLATE)
    assert found.language == "fr"
    assert {"number", "dictation"} & set(words(found.text).split())
    assert "numéro" not in found.text


@pytest.mark.parametrize("with_words", [False, True])
def test_a_cue_begins_with_the_speech(with_words: bool) -> None:
    found = real_whisper("base").transcribe(after_silence("jfk.flac", 8.0), words=with_words)
    assert errors(manifest()["jfk.flac"]["text"], found.text) <= 0.15
    assert found.segments[0].start >= (7.0 if with_words else 7.5)
    check_times(found)


@pytest.mark.parametrize("with_words", [False, True])
@pytest.mark.parametrize("seconds", [0.4, 0.7, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("start", [0.0, 3.0])
def test_clips_end_within_the_recording(start: float, seconds: float, with_words: bool) -> None:
    first = round(start * SAMPLE_RATE)
    clip = Audio(recording("jfk.flac").pcm[first : first + round(seconds * SAMPLE_RATE)])
    found = real_whisper("base").transcribe(clip, words=with_words, language="en")
    check_times(found)
    assert len(found.text.split()) <= 2 + 4 * seconds


@pytest.mark.parametrize("with_words", [False, True])
def test_a_prompt_is_not_continued(with_words: bool) -> None:
    found = transcript("spk1_snt1.wav", prompt="Specify context or spelling", words=with_words)
    assert errors(manifest()["spk1_snt1.wav"]["text"], found.text) <= 0.15
    assert len(found.segments) == 1
    check_times(found)


def test_quiet_speech_is_understood() -> None:
    found = real_whisper("base").transcribe(audio(recordings.quiet(recording("jfk.flac").samples())))
    assert errors(manifest()["jfk.flac"]["text"], found.text) <= 0.15


def test_telephone_speech_is_understood() -> None:
    narrow = recordings.telephone(recording("austen-0870.wav").samples())
    found = real_whisper("base").transcribe(audio(narrow))
    assert errors(manifest()["austen-0870.wav"]["text"], found.text) <= 0.25


@pytest.mark.parametrize(
    "name", ["zeros", "zeros-short", "white", "white-loud", "hum", "music", "music-short", "clicks"]
)
def test_nothing_is_written_where_there_is_no_speech(name: str) -> None:
    sound = recordings.without_speech()[name]
    assert real_whisper("base").transcribe(audio(sound)).text == ""


@pytest.mark.parametrize("name", ["jfk.flac", "austen-0870.wav"])
def test_an_english_model_understands_english(name: str) -> None:
    found = real_whisper("tiny.en").transcribe(recording(name), words=True)
    assert found.language == "en"
    assert errors(manifest()[name]["text"], found.text) <= 0.2
    check_times(found)
