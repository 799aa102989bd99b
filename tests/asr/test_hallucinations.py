"""The hallucination filter: text over silence goes, speech stays, and loops end after a few copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.asr.hallucinations import (
    MARGIN,
    MAX_COPIES,
    MAX_PAUSE,
    MAX_REPETITIVE_COPIES,
    MIN_SPEECH,
    HallucinationFilter,
    count_copies,
    remove_loops,
    silence_flags,
    speech_duration,
)
from hearsay.domain import DecodeSettings, DroppedText, DropReason, Segment, SpeechSpan, Word
from hearsay.transcripts.quality import MIN_LOOP_BYTES, find_loops

SPEECH = [SpeechSpan(1.0, 8.0), SpeechSpan(20.0, 24.0)]
TALE = " The farmer carries the green book behind the church."
UNSURE = -0.8


def segment(start: float, end: float, text: str = " Thank you.", **more: Any) -> Segment:
    values = {"avg_logprob": -0.2, "no_speech_prob": 0.01, "compression_ratio": 1.1}
    return Segment(start, end, text, **(values | more))


def guard(*spans: SpeechSpan, **settings: Any) -> HallucinationFilter:
    made = HallucinationFilter(DecodeSettings(**settings))
    made.add_speech(spans)
    return made


def test_text_over_silence_goes_and_is_told() -> None:
    watch = guard(*SPEECH)
    told, thanks, more = segment(1.2, 7.8, TALE), segment(12.0, 14.0), segment(20.0, 23.5, TALE)
    assert watch.filter([told, thanks, more]) == [told, more]
    assert watch.dropped == [DroppedText(12.0, 14.0, "Thank you.", DropReason.SILENCE)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0.0, 8.0),  # Whisper likes to begin at the window's start,
        (0.0, 2.0),
        (7.5, 20.0),  # or to reach over a pause,
        (8.3, 9.0),  # or to come late,
        (19.0, 19.7),  # or early.
        (0.0, 30.0),
        (10.0, 20.0 - MARGIN + MIN_SPEECH),
    ],
)
def test_loose_times_cost_no_text(start: float, end: float) -> None:
    short = segment(start, end, " Yes.")
    assert guard(*SPEECH).filter([segment(1.0, 7.0, TALE), short]) == [segment(1.0, 7.0, TALE), short]


@pytest.mark.parametrize(
    ("start", "end"), [(8.0 + MARGIN - MIN_SPEECH + 0.01, 12.0), (10.0, 19.5), (26.0, 30.0)]
)
def test_what_no_speech_is_near_goes(start: float, end: float) -> None:
    assert guard(*SPEECH).filter([segment(1.0, 7.0, TALE), segment(start, end)]) == [segment(1.0, 7.0, TALE)]


def test_a_window_that_the_model_is_sure_of_outweighs_a_detector_that_hears_nearly_nothing() -> None:
    """Whispering, for example: one loud breath was heard, and several sentences were understood."""
    quiet = [segment(3.0, 8.0, TALE), segment(9.0, 14.0, TALE)]
    cough = SpeechSpan(20.0, 20.4)
    assert guard(cough).filter(quiet) == quiet
    assert silence_flags(quiet, [cough]) == [False, False]


@pytest.mark.parametrize("doubt", [{"avg_logprob": UNSURE}, {"no_speech_prob": 0.5}, {"avg_logprob": None}])
def test_a_window_that_the_model_doubts_does_not(doubt: dict[str, float | None]) -> None:
    quiet = [segment(3.0, 8.0, TALE, **doubt), segment(9.0, 14.0, TALE, **doubt)]
    watch = guard(SpeechSpan(20.0, 20.4))
    assert watch.filter(quiet) == []
    assert len(watch.dropped) == 2


def test_scores_of_a_window_say_nothing_about_a_lesser_part_of_it() -> None:
    window = [segment(1.0, 7.0, TALE), segment(14.0, 16.0, " Thanks for watching!")]
    assert silence_flags(window, SPEECH) == [False, True]


@pytest.mark.parametrize("written", [(19.0, 23.5), (9.0, 23.5), (5.0, 7.0)])
def test_words_that_fell_into_silence_cost_no_text(written: tuple[float, float]) -> None:
    misplaced = segment(12.0, 14.0, avg_logprob=UNSURE)
    assert silence_flags([misplaced], SPEECH) == [True]
    assert silence_flags([replace(misplaced, model_times=written)], SPEECH) == [False]
    assert silence_flags([replace(misplaced, model_times=(11.0, 15.0))], SPEECH) == [True]


def test_without_a_detector_nothing_counts_as_silence() -> None:
    watch = HallucinationFilter(DecodeSettings())
    assert watch.filter([segment(12.0, 14.0, avg_logprob=UNSURE)]) != []


def test_spans_are_learned_piece_by_piece() -> None:
    watch = guard(SPEECH[0])
    assert watch.filter([segment(1.0, 8.0, TALE)]) != []
    watch.add_speech(SPEECH[1:])
    assert watch.filter([segment(20.0, 24.0, TALE)]) != []
    assert watch.spans == SPEECH


spans_in_order = st.lists(st.floats(0.01, 30), max_size=20).map(
    lambda steps: [SpeechSpan(sum(steps[: i + 1]), sum(steps[: i + 2])) for i in range(0, len(steps) - 1, 2)]
)


@given(spans_in_order, st.floats(0, 200), st.floats(0, 60))
def test_speech_is_measured(spans: list[SpeechSpan], start: float, length: float) -> None:
    end = start + length
    expected = sum(max(0.0, min(end, span.end) - max(start, span.start)) for span in spans)
    assert speech_duration(start, end, spans) == pytest.approx(expected, abs=1e-9)


@given(spans_in_order, st.data())
def test_whatever_touches_speech_is_kept(spans: list[SpeechSpan], data: st.DataObject) -> None:
    long = [span for span in spans if span.end - span.start >= MIN_SPEECH]
    if long:
        heard = data.draw(st.sampled_from(long))
        start = data.draw(st.floats(max(0.0, heard.start - 20), heard.end - MIN_SPEECH))
        end = data.draw(st.floats(start + MIN_SPEECH, start + 40))
        window = [segment(start, max(end, heard.start + MIN_SPEECH), avg_logprob=UNSURE)]
        assert silence_flags(window, spans) == [False]


def repeated(text: str, n: int, *, gap: float = 0.0, **more: Any) -> list[Segment]:
    return [segment(i * (2.0 + gap), i * (2.0 + gap) + 2.0, text, **more) for i in range(n)]


EVERYWHERE = SpeechSpan(0.0, 3600.0)


def test_a_text_over_and_over_is_cut_after_some_copies() -> None:
    watch = guard(EVERYWHERE)
    loop = repeated(" I see.", 20)
    # In windows of three, as they come.
    given_back = [s for i in range(0, 20, 3) for s in watch.filter(loop[i : i + 3])]
    assert given_back == loop[:MAX_COPIES]
    assert [dropped.start for dropped in watch.dropped] == [s.start for s in loop[MAX_COPIES:]]
    assert {dropped.reason for dropped in watch.dropped} == {DropReason.REPETITION}
    assert watch.filter([segment(40.0, 42.0, TALE)]) != []


def test_marks_and_capitals_make_no_difference() -> None:
    watch = guard(EVERYWHERE)
    loop = [segment(i, i + 1, " I see." if i % 2 else " i see") for i in range(20)]
    assert len(watch.filter(loop)) == MAX_COPIES


def test_so_many_copies_are_believed() -> None:
    said = repeated(" No.", MAX_COPIES)
    assert guard(EVERYWHERE).filter(said) == said


def test_a_pause_makes_a_repetition_somebodys_own() -> None:
    said = repeated(" Next slide, please.", 30, gap=MAX_PAUSE + 0.1)
    assert guard(EVERYWHERE).filter(said) == said


def test_an_answer_given_again_and_again_is_no_loop() -> None:
    said = [segment(i, i + 1, " Yes." if i % 2 else f" Number {i}?") for i in range(60)]
    assert guard(EVERYWHERE).filter(said) == said


def test_a_loop_of_two_or_three_segments_is_a_loop() -> None:
    for period in (2, 3):
        loop = [segment(i, i + 1, " ABC"[: 2 + i % period]) for i in range(60)]
        assert guard(EVERYWHERE).filter(loop) == loop[: MAX_COPIES * period]


def test_segments_of_marks_alone_are_not_compared() -> None:
    said = repeated(" ♪", 20)
    assert guard(EVERYWHERE).filter(said) == said


def test_in_a_window_that_compressed_too_well_fewer_are_believed() -> None:
    loop = repeated(" I see.", 9, compression_ratio=3.0)
    assert guard(EVERYWHERE).filter(loop) == loop[:MAX_REPETITIVE_COPIES]
    assert guard(EVERYWHERE, compression_ratio_threshold=None).filter(loop) == loop[:MAX_COPIES]


def test_a_loop_within_a_segment_is_cut_where_its_window_compressed_too_well() -> None:
    text = " So thank you." + " Thank you." * 20 + " Bye."
    watch = guard(EVERYWHERE)
    (kept,) = watch.filter([segment(0.0, 30.0, text, compression_ratio=8.0)])
    assert kept.text == " So thank you. Thank you. Bye."
    assert [(d.start, d.end, d.reason) for d in watch.dropped] == [(0.0, 30.0, DropReason.REPETITION)]
    assert watch.dropped[0].text.count("hank you") == 19
    (untouched,) = guard(EVERYWHERE).filter([segment(0.0, 30.0, text, compression_ratio=2.4)])
    assert untouched.text == text


def test_words_go_with_their_text_and_give_the_times() -> None:
    texts = [" Well,", *[" thank", " you."] * 9, " Bye."]
    words = tuple(Word(float(i), i + 0.9, text) for i, text in enumerate(texts))
    looped = segment(0.0, 20.0, "".join(texts), compression_ratio=8.0, words=words)
    kept, (dropped,) = remove_loops(looped)
    assert kept.text == " Well, thank you. Bye."
    assert kept.words is not None
    assert "".join(word.text for word in kept.words) == kept.text
    assert (dropped.start, dropped.end) == (3.0, 18.9)
    assert dropped.text == " ".join(["thank you."] * 8)


@pytest.mark.parametrize(
    "text",
    [
        " No, no, no, no.",
        " Ha ha ha ha ha ha!",
        " It costs 1000000000 euros.",
        " The farmer sees the dog, the dog sees the cat, the cat sees the bird.",
        " We shall fight on the beaches, we shall fight on the landing grounds, we shall fight in fields.",
        " Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily.",
        "",
    ],
)
def test_what_people_say_is_no_loop(text: str) -> None:
    assert list(find_loops(text)) == []
    assert remove_loops(segment(0.0, 9.0, text)) == (segment(0.0, 9.0, text), [])


def test_scripts_without_spaces_have_loops_too() -> None:
    kept, dropped = remove_loops(segment(0.0, 30.0, "はい、" + "ありがとうございました。" * 9 + "では"))
    assert kept.text == "はい、ありがとうございました。では"
    assert len(dropped) == 1


unit = st.text(st.sampled_from("abc é語 "), min_size=2, max_size=30)


@given(prefix=st.text(max_size=20), unit=unit, n=st.integers(4, 12), suffix=st.text(max_size=20))
def test_a_loop_is_cut_to_one_copy_and_no_other_text_changes(
    prefix: str, unit: str, n: int, suffix: str
) -> None:
    text = prefix + unit * n + suffix
    kept, dropped = remove_loops(segment(0.0, 30.0, text))
    gone = list(find_loops(text))
    assert len(dropped) == len(gone)
    assert len(kept.text) == len(text) - sum(end - begin for begin, end in gone)
    if len((unit * n).encode()) >= MIN_LOOP_BYTES:
        assert gone
    for begin, end in gone:  # What goes repeats what stands right before it.
        copy = text[begin:end]
        assert text[:begin].endswith(copy[: len(copy) // max(1, _n_copies(copy))])


def _n_copies(text: str) -> int:
    return max(
        n for n in range(1, len(text) + 1) if len(text) % n == 0 and text == text[: len(text) // n] * n
    )


@given(st.lists(st.sampled_from([" one", " two", " three"]), min_size=1, max_size=60))
def test_words_always_make_up_the_text(texts: list[str]) -> None:
    words = tuple(Word(float(i), i + 1.0, text) for i, text in enumerate(texts))
    kept, dropped = remove_loops(segment(0.0, 60.0, "".join(texts), words=words))
    assert kept.words is not None
    assert "".join(word.text for word in kept.words) == kept.text
    assert sum(len(d.text.split()) for d in dropped) >= len(words) - len(kept.words)


@pytest.mark.parametrize(
    ("said", "period", "expected"),
    [
        ("a", 1, 1),
        ("aaa", 1, 3),
        ("ba", 1, 1),
        ("baaa", 1, 3),
        ("abab", 2, 2),
        ("ababa", 2, 3),
        ("xabcabc", 3, 2),
    ],
)
def test_copies_are_counted(said: str, period: int, expected: int) -> None:
    assert count_copies(list(said), period) == expected


@given(st.lists(st.sampled_from("ab"), max_size=40), st.floats(1.0, 5.0))
def test_nothing_is_lost_without_being_told(texts: list[str], ratio: float) -> None:
    window = [segment(float(i), i + 1.0, f" {t}", compression_ratio=ratio) for i, t in enumerate(texts)]
    watch = guard(EVERYWHERE)
    kept = watch.filter(window)
    assert len(kept) + len(watch.dropped) == len(window)
    assert [s for s in window if s in kept] == kept
