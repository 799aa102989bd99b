"""The window loop: equal to the reference's own, frame for frame, and well-behaved where that one is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.asr.parallel import ParallelWindows
from hearsay.domain import (
    AlignedWord,
    DecodeSettings,
    Fallback,
    FallbackReason,
    Hypothesis,
    Segment,
    Task,
    TranscribeOptions,
    Word,
)
from hearsay.engines.jobs import run_inline
from hearsay.engines.protocols import AudioSlice
from hearsay.engines.whisper.jobs import Encode
from hearsay.engines.whisper.window_loop import (
    PROMPT_CHARACTERS,
    WindowLoop,
    short_frames,
    temperatures,
)
from hearsay.errors import Cancelled
from tests.support.paths import DATA
from tests.support.scripted_recognizer import ScriptedFeatures, ScriptedRecognizer, hypothesis, segments_of

GOLDEN = json.loads((DATA / "reference-loop.json").read_text())
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
    return WindowLoop(features, wishes, recognizer, decode=decode)


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

    segments = [as_reference(segment) for segment in segments_of(loop, recognizer)]

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
    )
    return segments_of(loop, recognizer), loop


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
    loop = WindowLoop(ScriptedFeatures(100), TranscribeOptions(), recognizer, decode=DecodeSettings())
    segments_of(loop, recognizer)
    assert loop.language == "en"
    assert recognizer.windows[0].language is None


def test_the_language_is_heard_with_silence_after_a_short_recording() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " hi", BEGIN + 50)])
    loop = WindowLoop(ScriptedFeatures(100), TranscribeOptions(), recognizer, decode=DecodeSettings())
    segments_of(loop, recognizer)
    assert recognizer.encoded == [[[0.0, 1.0]], [[0.0, 0.0]]]


def test_a_full_first_window_is_encoded_once_for_language_and_text() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " hi", BEGIN + 50)])
    loop = WindowLoop(ScriptedFeatures(3000), TranscribeOptions(), recognizer, decode=DecodeSettings())
    segments_of(loop, recognizer)
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
    )
    loops = ParallelWindows(iter([loop]), run_inline(recognizer), cancelled=lambda: next(answers))
    with pytest.raises(Cancelled):
        list(loops.windows())
    assert len(recognizer.windows) == max(checks - 1, 0)


def test_the_callers_temperature_comes_first_and_only_higher_ones_follow() -> None:
    decode = DecodeSettings()
    assert temperatures(0.0, decode) == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert temperatures(0.5, decode) == (0.5, 0.6, 0.8, 1.0)
    assert temperatures(1.0, decode) == (1.0,)


def loop_over(
    recognizer: ScriptedRecognizer, n_frames: int = 3000, part: AudioSlice | None = None, **wishes: Any
) -> WindowLoop:
    decode = wishes.pop("decode", DecodeSettings())
    decode = replace(decode, short_windows=False, greedy_logprob=None)  # Scripts have no more results.
    return WindowLoop(
        ScriptedFeatures(n_frames), TranscribeOptions(**wishes), recognizer, decode=decode, part=part
    )


def test_a_slice_gives_the_times_of_the_recording() -> None:
    script = [
        hypothesis(BEGIN, " one", BEGIN + 100, BEGIN + 100, " tw"),
        hypothesis(BEGIN, " two", BEGIN + 50),
    ]
    words = [
        [AlignedWord(" one", 4, 0.1, 1.9, 0.9)],
        [AlignedWord(" two", 4, 0.2, 0.9, 0.9)],
    ]
    alone = ScriptedRecognizer(script, words)
    within = ScriptedRecognizer(script, words)
    plain = segments_of(loop_over(alone, 400, words=True, language="de"), alone)
    moved = segments_of(loop_over(within, 400, AudioSlice(61.37), words=True, language="de"), within)
    assert [(s.text, s.seek) for s in moved] == [(s.text, s.seek + 6137) for s in plain]
    for there, here in zip(moved, plain, strict=True):
        assert there.start == pytest.approx(here.start + 61.37)
        assert there.end == pytest.approx(here.end + 61.37)
        assert there.words is not None and here.words is not None
        assert [w.start for w in there.words] == pytest.approx([w.start + 61.37 for w in here.words])


def test_text_whose_words_fell_on_one_moment_stays_in_a_slice_and_goes_as_in_the_reference_elsewhere() -> (
    None
):
    script = [hypothesis(BEGIN, " one", BEGIN + 60)]
    words = [[AlignedWord(" one", 4, 0.1, 0.1, 0.9)]]
    alone, within = ScriptedRecognizer(script, words), ScriptedRecognizer(script, words)
    assert segments_of(loop_over(alone, 120, words=True, language="de"), alone) == []
    (kept,) = segments_of(loop_over(within, 120, AudioSlice(61.0), words=True, language="de"), within)
    assert (kept.start, kept.end, kept.text) == (61.0, 62.2, " one")
    assert kept.words == (Word(61.1, 61.1, " one", 0.9),)
    assert kept.model_times == (61.0, 62.2)


def test_a_slice_hears_the_language_in_what_it_decodes() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " hi", BEGIN + 50)])
    loop = loop_over(recognizer, 100, AudioSlice(0.0))
    segments_of(loop, recognizer)
    assert recognizer.encoded == [[[0.0, 0.0]]]
    assert (loop.language, recognizer.windows[0].language) == ("de", "de")


def test_a_language_that_others_learned_is_not_heard_again() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " hi", BEGIN + 50)])
    loop = loop_over(recognizer, 100, AudioSlice(0.0))
    jobs = loop.jobs()
    assert isinstance(next(jobs), Encode)
    loop.language = "es"
    job: Any = jobs.send("encoding")
    assert job.window.language == "es"


def test_no_window_begins_where_nobody_speaks_any_more() -> None:
    script = [hypothesis(BEGIN, " one", BEGIN + 100, BEGIN + 100)]
    recognizer = ScriptedRecognizer(script)
    loop = loop_over(recognizer, 1000, AudioSlice(20.0, until=21.9))
    assert [s.text for s in segments_of(loop, recognizer)] == [" one"]
    assert loop.seek_seconds == 22.0
    more = ScriptedRecognizer([*script, hypothesis(BEGIN, " two", BEGIN + 50)])
    assert [s.text for s in segments_of(loop_over(more, 1000, AudioSlice(20.0, until=22.1)), more)] == [
        " one",
        " two",
    ]


def test_hypotheses_that_were_refused_are_told_with_their_reason() -> None:
    recognizer = ScriptedRecognizer(
        [
            hypothesis(BEGIN, " hi", BEGIN + 50),
            hypothesis(BEGIN, " ha", BEGIN + 50, compression_ratio=9.0, avg_logprob=-2.0),
            hypothesis(BEGIN, " ha", BEGIN + 50, avg_logprob=-2.0),
            hypothesis(BEGIN, " ha", BEGIN + 50),
        ]
    )
    loop = loop_over(recognizer, 3400, AudioSlice(10.0), language="en")
    segments_of(loop, recognizer)
    assert loop.fallbacks == [
        Fallback(40.0, 44.0, 0.0, FallbackReason.REPETITION),
        Fallback(40.0, 44.0, 0.2, FallbackReason.LOW_PROBABILITY),
    ]


def test_what_had_to_do_at_the_last_temperature_was_not_refused() -> None:
    recognizer = ScriptedRecognizer([hypothesis(BEGIN, " ha", BEGIN + 50, avg_logprob=-2.0)] * 2)
    loop = loop_over(recognizer, 400, language="en", decode=DecodeSettings(temperatures=(0.0, 0.4)))
    segments_of(loop, recognizer)
    assert [fallback.temperature for fallback in loop.fallbacks] == [0.0]


def test_every_window_is_given_also_without_segments() -> None:
    silent = hypothesis(BEGIN, " thanks", BEGIN + 9, avg_logprob=-1.4, no_speech_prob=0.9)
    recognizer = ScriptedRecognizer([silent, hypothesis(BEGIN, " hi", BEGIN + 50), silent])
    loop = loop_over(recognizer, 9000, language="en")
    segments_of(loop, recognizer)
    assert [len(window) for window in loop.segments_by_window] == [0, 1, 0]


class WideFeatures(ScriptedFeatures):
    """Windows of the model's own width that remember in every frame where they begin."""

    def window(self, start: int, *, pad_silence: bool = False) -> NDArray[np.float32]:
        return np.full((2, 3000), start, np.float32)


def run_short(
    script: list[Hypothesis], n_frames: int, *, short: bool = True, greedy: float | None = None
) -> tuple[list[tuple[int, ...]], WindowLoop, ScriptedRecognizer]:
    """Run a loop with short windows; give the shapes that it had encoded."""
    recognizer = ScriptedRecognizer(script)
    loop = WindowLoop(
        WideFeatures(n_frames),
        TranscribeOptions(language="en"),
        recognizer,
        decode=DecodeSettings(short_windows=short, greedy_logprob=greedy),
        part=AudioSlice(0.0),
    )
    segments_of(loop, recognizer)
    return [np.shape(window) for call in recognizer.encoded for window in call], loop, recognizer


@pytest.mark.parametrize(
    ("n_frames", "width"),
    [(1, 250), (300, 500), (301, 750), (800, 1000), (1234, 1500), (2550, 2750), (2551, 3000), (3000, 3000)],
)
def test_a_short_window_holds_its_audio_and_a_margin(n_frames: int, width: int) -> None:
    shapes, _, _ = run_short([hypothesis(BEGIN, " hi", BEGIN + 50)], n_frames)
    assert shapes == [(2, width)]
    assert short_frames(n_frames, 100) == width or width == 3000


def test_windows_are_whole_unless_chosen_otherwise() -> None:
    shapes, _, _ = run_short([hypothesis(BEGIN, " hi", BEGIN + 50)], 300, short=False)
    assert shapes == [(2, 3000)]


@pytest.mark.parametrize("change", [{"avg_logprob": -2.0}, {"compression_ratio": 9.0}])
def test_a_short_window_that_will_not_do_is_heard_in_full(change: dict[str, float]) -> None:
    script = [
        hypothesis(BEGIN, " ha", BEGIN + 50, **change),
        hypothesis(BEGIN, " hi", BEGIN + 50, **change),
        hypothesis(BEGIN, " ho", BEGIN + 50),
    ]
    shapes, loop, recognizer = run_short(script, 300)
    assert shapes == [(2, 500), (2, 3000)]
    assert [(window.temperature, np.shape(window.encoding)) for window in recognizer.windows] == [
        (0.0, (2, 500)),
        (0.0, (2, 3000)),
        (0.2, (2, 3000)),
    ]
    assert [fallback.temperature for fallback in loop.fallbacks] == [0.0, 0.0]


@pytest.mark.parametrize(("logprob", "n_decoded"), [(-0.3, 1), (-1.05, 2)])
def test_a_greedy_result_that_is_probable_needs_no_beam_search(logprob: float, n_decoded: int) -> None:
    words: list[int | str] = [BEGIN, " the child hurt the small dog", BEGIN + 50]
    script = [hypothesis(*words, avg_logprob=logprob), hypothesis(*words)]
    _, loop, recognizer = run_short(script, 300, short=False, greedy=-0.25)
    assert [window.beam_size for window in recognizer.windows] == [1, 5][:n_decoded]
    assert loop.fallbacks == []


def test_a_greedy_result_that_repeats_a_sentence_is_searched_again() -> None:
    said = " the small dog sleeps"
    script = [
        hypothesis(BEGIN, said, BEGIN + 50, BEGIN + 50, " yes", BEGIN + 60, BEGIN + 60, said, BEGIN + 90),
        hypothesis(BEGIN, said, BEGIN + 50),
    ]
    _, _, recognizer = run_short(script, 300, short=False, greedy=-0.25)
    assert [window.beam_size for window in recognizer.windows] == [1, 5]


def test_a_bad_greedy_result_in_a_short_window_leads_to_the_full_one() -> None:
    script = [hypothesis(BEGIN, " ha", BEGIN + 50, avg_logprob=-3.0), hypothesis(BEGIN, " ho", BEGIN + 50)]
    shapes, loop, recognizer = run_short(script, 300, greedy=-0.25)
    assert shapes == [(2, 500), (2, 3000)]
    assert [window.beam_size for window in recognizer.windows] == [1, 5]
    assert [fallback.temperature for fallback in loop.fallbacks] == [0.0]


def test_a_short_window_that_was_refused_is_told_also_where_there_is_one_temperature() -> None:
    bad = hypothesis(BEGIN, " ha", BEGIN + 50, avg_logprob=-3.0)
    recognizer = ScriptedRecognizer([bad, hypothesis(BEGIN, " ho", BEGIN + 50)])
    decode = DecodeSettings(temperatures=(0.0,), greedy_logprob=None)
    wishes = TranscribeOptions(language="en")
    loop = WindowLoop(WideFeatures(300), wishes, recognizer, decode=decode, part=AudioSlice(0.0))
    segments_of(loop, recognizer)
    assert [fallback.temperature for fallback in loop.fallbacks] == [0.0]


def test_of_bad_results_for_a_slice_the_most_probable_is_taken() -> None:
    script = [hypothesis(BEGIN, f" h{n}", BEGIN + 50, avg_logprob=-2.0 + 0.1 * n) for n in (0, 5, 2, 1, 3, 4)]
    _, loop, _ = run_short(script, 300, short=False)
    assert [segment.text for window in loop.segments_by_window for segment in window] == [" h5"]


def test_a_loop_that_compression_does_not_show_is_decoded_again_in_a_slice() -> None:
    looped = hypothesis(BEGIN, " I don't hear that." * 4, BEGIN + 50, compression_ratio=1.9)
    _, _, recognizer = run_short([looped, hypothesis(BEGIN, " fine", BEGIN + 50)], 300, short=False)
    assert [window.temperature for window in recognizer.windows] == [0.0, 0.2]


def test_only_the_last_window_of_a_long_recording_can_be_short() -> None:
    script = [hypothesis(BEGIN, " hi", BEGIN + 50)] * 2
    shapes, _, _ = run_short(script, 3200)
    assert shapes == [(2, 3000), (2, 500)]
