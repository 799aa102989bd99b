"""The window loop: equal to the reference's own, frame for frame, and well-behaved where that one is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hearsay.domain import AlignedWord, DecodeSettings, Hypothesis, Segment, Task, TranscribeOptions
from hearsay.errors import Cancelled
from hearsay.sequential import PROMPT_CHARACTERS, WindowLoop, temperatures
from tests.scripted import ScriptedFeatures, ScriptedRecognizer, hypothesis

GOLDEN = json.loads((Path(__file__).parent / "data" / "reference-loop.json").read_text())
TEXTS = {int(token): text for token, text in GOLDEN["texts"].items()}
BEGIN = ScriptedRecognizer.timestamp_begin


def scripted(case: dict[str, Any]) -> ScriptedRecognizer:
    noted = ("avg_logprob", "no_speech_prob", "temperature", "compression_ratio")
    hypotheses = [
        Hypothesis(tokens=tuple(d["tokens"]), text="", **{name: d[name] for name in noted})
        for d in case["decodings"]
    ]
    alignments = [[AlignedWord(*word) for word in a["words"]] for a in case["alignments"]]
    return ScriptedRecognizer(hypotheses, alignments, texts=TEXTS, prompt_tokens=case["prompt_tokens"] or [0])


def loop_of(case: dict[str, Any], recognizer: ScriptedRecognizer) -> WindowLoop:
    options = case["options"]
    wishes = TranscribeOptions(
        task=Task(options["task"]),
        language=options["language"],
        prompt=options["initial_prompt"],
        temperature=options["temperature"][0],
        words=options["word_timestamps"],
    )
    decode = DecodeSettings(
        temperatures=tuple(options["temperature"]),
        compression_ratio_threshold=options["compression_ratio_threshold"],
        logprob_threshold=options["logprob_threshold"],
        no_speech_threshold=options["no_speech_threshold"],
        condition_on_previous_text=options["condition_on_previous_text"],
    )
    features = ScriptedFeatures(case["n_samples"] // 160)
    return WindowLoop(features, wishes, recognizer, decode=decode, cancelled=lambda: False)


def as_reference(segment: Segment) -> dict[str, Any]:
    """Write a segment as the reference does, without its number."""
    written = {
        name: getattr(segment, name)
        for name in ("seek", "start", "end", "text", "temperature", "avg_logprob", "no_speech_prob")
    }
    written["tokens"] = list(segment.tokens)
    written["compression_ratio"] = segment.compression_ratio
    if segment.words is not None:
        written["words"] = [
            {"word": w.text, "start": w.start, "end": w.end, "probability": w.probability}
            for w in segment.words
        ]
    return written


@pytest.mark.parametrize("number", range(len(GOLDEN["cases"])))
def test_the_loop_does_what_the_reference_does(number: int) -> None:
    case = GOLDEN["cases"][number]
    recognizer = scripted(case)
    loop = loop_of(case, recognizer)

    segments = [as_reference(segment) for segment in loop]

    expected = [dict(segment) for segment in case["result"]["segments"] if segment["text"]]
    for segment in expected:
        del segment["id"]
    assert segments == expected
    assert loop.language == case["result"]["language"]
    asked = [
        {"prompt": list(w.previous), "language": w.language, "task": w.task, "temperature": w.temperature}
        for w in recognizer.windows
    ]
    assert asked == [{name: d[name] for name in asked[0]} for d in case["decodings"]]
    assert recognizer.aligned == [(a["tokens"], a["n_frames"]) for a in case["alignments"]]


def run(*hypotheses: Hypothesis, n_frames: int = 3000, **wishes: Any) -> tuple[list[Segment], WindowLoop]:
    recognizer = ScriptedRecognizer(hypotheses, multilingual=False)
    loop = WindowLoop(
        ScriptedFeatures(n_frames),
        TranscribeOptions(**wishes),
        recognizer,
        decode=DecodeSettings(),
        cancelled=lambda: False,
    )
    return list(loop), loop


def test_a_single_timestamp_at_the_end_finishes_the_window() -> None:
    segments, loop = run(hypothesis(BEGIN, " hi", BEGIN + 100), n_frames=2500)
    assert [(s.start, s.end, s.text) for s in segments] == [(0.0, 2.0, " hi")]
    assert loop.seek == 2500


def test_what_follows_the_last_pair_is_heard_again() -> None:
    first = hypothesis(BEGIN, " one", BEGIN + 100, BEGIN + 100, " tw")
    second = hypothesis(BEGIN, " two", BEGIN + 50)
    segments, _ = run(first, second, n_frames=400)
    assert [(s.start, s.end, s.text, s.seek) for s in segments] == [
        (0.0, 2.0, " one", 0),
        (2.0, 3.0, " two", 200),
    ]


def test_silence_gives_nothing_and_moves_on() -> None:
    silent = hypothesis(BEGIN, " thanks", BEGIN + 9, avg_logprob=-1.4, no_speech_prob=0.9)
    segments, loop = run(silent, hypothesis(BEGIN, " hi", BEGIN + 50), n_frames=3100)
    assert [(s.start, s.text) for s in segments] == [(30.0, " hi")]
    assert loop.seek == 3100


def test_a_recording_without_a_whole_frame_is_silent() -> None:
    assert run(n_frames=0)[0] == []


def test_a_model_that_breaks_the_rules_of_timestamps_cannot_hold_the_loop() -> None:
    stuck = hypothesis(BEGIN, BEGIN, " hi")
    segments, loop = run(stuck, n_frames=1000)
    assert segments == []
    assert loop.seek == 1000


def test_english_only_models_get_no_language() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " hi", BEGIN + 50)], multilingual=False)
    loop = WindowLoop(
        ScriptedFeatures(100), TranscribeOptions(), recognizer, decode=DecodeSettings(), cancelled=bool
    )
    list(loop)
    assert loop.language == "en"
    assert recognizer.windows[0].language is None


def test_the_language_is_heard_with_silence_after_a_short_recording_in_one_call() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " hi", BEGIN + 50)])
    loop = WindowLoop(
        ScriptedFeatures(100), TranscribeOptions(), recognizer, decode=DecodeSettings(), cancelled=bool
    )
    list(loop)
    assert recognizer.encoded == [[[0.0, 1.0], [0.0, 0.0]]]


def test_a_full_first_window_is_encoded_once_for_language_and_text() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " hi", BEGIN + 50)])
    loop = WindowLoop(
        ScriptedFeatures(3000), TranscribeOptions(), recognizer, decode=DecodeSettings(), cancelled=bool
    )
    list(loop)
    assert recognizer.encoded == [[[0.0, 1.0]]]


def test_a_long_prompt_is_cut_with_a_warning() -> None:
    _, loop = run(hypothesis(BEGIN, " hi", BEGIN + 50), prompt="x" * 300)
    assert loop.warnings == ["The prompt has 301 tokens; only the last 223 were used."]


class OneToken(ScriptedRecognizer):
    """Notes the texts that it is to make tokens of, and makes one of each."""

    def __init__(self, hypotheses: list[Hypothesis]) -> None:
        super().__init__(hypotheses)
        self.texts: list[str] = []

    def encode_text(self, text: str) -> tuple[int, ...]:
        self.texts.append(text)
        return (1,)


def test_only_the_end_of_a_huge_prompt_is_read() -> None:
    """A tokenizer that is given a megabyte holds up every other caller for seconds."""
    prompt = "x" * 1_000_000 + "y" * PROMPT_CHARACTERS
    recognizer = OneToken([hypothesis(BEGIN, " hi", BEGIN + 50)])
    loop = WindowLoop(
        ScriptedFeatures(3000),
        TranscribeOptions(prompt=prompt, language="en"),
        recognizer,
        decode=DecodeSettings(),
        cancelled=bool,
    )
    assert recognizer.texts == ["y" * PROMPT_CHARACTERS]
    assert loop.warnings == ["The prompt has 1008193 characters; only its end was used."]


def test_a_prompt_that_fits_is_not_worth_a_warning() -> None:
    _, loop = run(hypothesis(BEGIN, " hi", BEGIN + 50), prompt="x" * 222)
    assert loop.warnings == []


def test_word_times_of_translations_come_with_a_warning() -> None:
    _, loop = run(n_frames=0, words=True, task=Task.TRANSLATE)
    assert loop.warnings == ["Word times of translations are rough: the words were never said."]


@pytest.mark.parametrize("checks", range(3))
def test_a_caller_who_has_gone_stops_the_loop_before_the_next_step(checks: int) -> None:
    unsure = hypothesis(BEGIN, " hi", BEGIN + 50, avg_logprob=-3.0)
    recognizer = ScriptedRecognizer([unsure] * 9, multilingual=False)
    answers = iter([False] * checks + [True])
    loop = WindowLoop(
        ScriptedFeatures(9000),
        TranscribeOptions(),
        recognizer,
        decode=DecodeSettings(),
        cancelled=lambda: next(answers),
    )
    with pytest.raises(Cancelled):
        list(loop)
    assert len(recognizer.windows) == max(checks - 1, 0)


def test_the_callers_temperature_comes_first_and_only_higher_ones_follow() -> None:
    decode = DecodeSettings()
    assert temperatures(0.0, decode) == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert temperatures(0.5, decode) == (0.5, 0.6, 0.8, 1.0)
    assert temperatures(1.0, decode) == (1.0,)
