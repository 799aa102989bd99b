"""The same words at the same times as the reference, on the fixture's weights and held-out recordings.

The answers of the reference were made by openai/whisper's `transcribe()`, greedy, float32: fixture/parity.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from hearsay.domain import Audio, DecodeSettings, Segment, Task, TranscribeOptions
from hearsay.engines.whisper import loading
from hearsay.engines.whisper.log_mel import LogMel
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.engines.whisper.window_loop import WindowLoop
from hearsay.media import decoding
from tests.support.paths import DATA
from tests.support.side_by_side import segments_of_all

WEIGHTS = DATA / "fixture-whisper"
CLIPS = DATA / "parity"

EQUAL_CLIPS = 0.98
"""Share of clips whose text must be equal."""
EDGE_SECONDS = 0.04
WORD_SECONDS = 0.1

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GREEDY = DecodeSettings(temperatures=(0.0,), beam_size=1)


@dataclass(frozen=True)
class Pair:
    """What we and the reference made of one recording."""

    file: str
    options: dict[str, Any]
    ours: list[Segment]
    language: str | None
    theirs: dict[str, Any]

    @property
    def segments(self) -> list[dict[str, Any]]:
        """The reference's segments but the blank ones, which we leave out."""
        return [segment for segment in self.theirs["segments"] if segment["text"]]

    @property
    def same_text(self) -> bool:
        """Whether every character is the same."""
        return "".join(segment.text for segment in self.ours) == str(self.theirs["text"])


@pytest.fixture(scope="module")
def model() -> Iterator[WhisperRecognizer]:
    recognizer = loading.load(WEIGHTS, device="cpu", compute_type="float32")
    yield recognizer
    recognizer.close()


@pytest.fixture(scope="module")
def pairs(model: WhisperRecognizer) -> list[Pair]:
    answers = json.loads((CLIPS / "reference.json").read_text())["cases"]
    answers = [answer for answer in answers if "without_timestamps" not in answer["options"]]
    features = {file: model.features(read(file)) for file in {answer["file"] for answer in answers}}
    loops = [open_loop(model, answer, features[answer["file"]]) for answer in answers]
    return [
        Pair(answer["file"], answer["options"], segments, loop.language, answer["result"])
        for answer, loop, segments in zip(answers, loops, segments_of_all(loops, model), strict=True)
    ]


def open_loop(model: WhisperRecognizer, answer: dict[str, Any], features: LogMel) -> WindowLoop:
    options = dict(answer["options"])
    condition = options.pop("condition_on_previous_text", True)
    wishes = TranscribeOptions(
        task=Task(options.pop("task", "transcribe")),
        language=options.pop("language", None),
        prompt=options.pop("initial_prompt", None),
        words=options.pop("word_timestamps", False),
    )
    assert not options, f"the reference was asked for {options}, which is not compared here"
    assert read(answer["file"]).n_samples == answer["samples"]
    decode = DecodeSettings(
        temperatures=GREEDY.temperatures, beam_size=GREEDY.beam_size, condition_on_previous_text=condition
    )
    return WindowLoop(features, wishes, model, decode=decode)


@cache
def read(file: str) -> Audio:
    return decoding.load(CLIPS / file)


def test_there_is_enough_to_compare(pairs: list[Pair]) -> None:
    spoken = {pair.file for pair in pairs if pair.segments}
    silent = {pair.file for pair in pairs if not pair.segments}
    assert len(spoken) >= 60
    assert len(silent) >= 4
    assert {pair.language for pair in pairs if pair.segments} >= {"en", "es", "de"}
    assert any(segment.words for pair in pairs for segment in pair.ours)
    assert any(pair.options.get("task") == "translate" for pair in pairs)


def test_text_is_equal(pairs: list[Pair]) -> None:
    different = {pair.file for pair in pairs if not pair.same_text}
    clips = {pair.file for pair in pairs}
    assert len(different) <= (1 - EQUAL_CLIPS) * len(clips), sorted(different)


def test_languages_are_equal(pairs: list[Pair]) -> None:
    assert [pair.file for pair in pairs if pair.language != pair.theirs["language"]] == []


def test_segments_begin_and_end_together(pairs: list[Pair]) -> None:
    matching = [pair for pair in pairs if pair.same_text]
    for pair in matching:
        assert len(pair.ours) == len(pair.segments), pair.file
        for ours, theirs in zip(pair.ours, pair.segments, strict=True):
            assert ours.text == theirs["text"], pair.file
            assert ours.start == pytest.approx(theirs["start"], abs=EDGE_SECONDS), pair.file
            assert ours.end == pytest.approx(theirs["end"], abs=EDGE_SECONDS), pair.file


def test_words_begin_and_end_together(pairs: list[Pair]) -> None:
    n_words = 0
    for pair in (pair for pair in pairs if pair.same_text and pair.options.get("word_timestamps")):
        ours = [word for segment in pair.ours for word in segment.words or ()]
        theirs = [word for segment in pair.segments for word in segment["words"]]
        assert [word.text for word in ours] == [word["word"] for word in theirs], pair.file
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.start == pytest.approx(other["start"], abs=WORD_SECONDS), pair.file
            assert mine.end == pytest.approx(other["end"], abs=WORD_SECONDS), pair.file
            n_words += 1
    assert n_words > 500


def test_what_is_said_about_segments_is_equal(pairs: list[Pair]) -> None:
    """Numbers agree to what float32 can promise; where they stand for a choice, they are the same."""
    for pair in (pair for pair in pairs if pair.same_text):
        for ours, theirs in zip(pair.ours, pair.segments, strict=True):
            assert list(ours.tokens) == theirs["tokens"], pair.file
            assert ours.seek == theirs["seek"], pair.file
            assert ours.temperature == theirs["temperature"]
            assert ours.compression_ratio == pytest.approx(theirs["compression_ratio"])
            assert ours.avg_logprob == pytest.approx(theirs["avg_logprob"], abs=1e-3), pair.file
            assert ours.no_speech_prob == pytest.approx(theirs["no_speech_prob"], abs=1e-3), pair.file
