"""Cutting and merging: no word lost or repeated at any cut, with errors at its edges."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearsay.client.stitching import cut, cut_at_pauses, merge, quietest_time, stitch
from hearsay.domain import SAMPLE_RATE, Audio, Segment, Word

SENTENCES = (
    "The harbour was quiet when the first boat came in.",
    "Nobody had expected her before the morning, and nobody was there to take the ropes.",
    "She tied it up herself, climbed the ladder and looked along the empty street.",
    "There was a light in one window, the third from the corner.",
    "It was the window of the baker, who never slept at night.",
    "She knocked, and after a while he opened with flour up to the elbows.",
    "No, no, no, he said, we have no bread yet, come back at six.",
    "I have not come for bread, she said, I have come for the letter.",
    "He wiped his hands, and wiped them again, and said that there was no letter.",
    "There had been one, but it was gone, and the man who took it was gone too.",
    "When was that?",
    "Yesterday, or the day before; he counted the days in loaves, not in dates.",
    "She thanked him, went back to the boat, and was out at sea when the sun rose.",
)
"""Repeats common words, whole phrases and one word three times in a row, on purpose."""


def spoken(sentences: Sequence[str], seed: int = 7) -> list[Segment]:
    """Time every word of every sentence as an uneven speaker would."""
    rng = random.Random(seed)
    time, segments = 0.3, []
    for sentence in sentences:
        words = []
        for text in sentence.split():
            length = 0.08 + 0.05 * len(text) * rng.uniform(0.7, 1.3)
            words.append(Word(round(time, 2), round(time + length, 2), " " + text))
            time += length + rng.choice((0.0, 0.02, 0.1))
        segments.append(Segment(words[0].start, words[-1].end, " " + sentence, words=tuple(words)))
        time += rng.uniform(0.2, 0.8)
    return segments


TRUTH = spoken(SENTENCES)
DURATION = TRUTH[-1].end + 0.5


def heard(truth: Sequence[Segment], start: float, end: float, *, garble: bool = False) -> list[Segment]:
    """Return a good recogniser's hypothesis of `start` to `end`: words cut by an edge are wrong or lost."""
    segments = []
    for segment in truth:
        words = []
        for word in segment.words or ():
            if word.start >= start and word.end <= end:
                words.append(word)
            elif garble and word.end > start + 0.05 and word.start < end - 0.05:
                words.append(replace(word, start=max(word.start, start), end=min(word.end, end), text=" uh"))
        if words:
            text = "".join(word.text for word in words)
            segments.append(Segment(words[0].start, words[-1].end, text, words=tuple(words)))
    return segments


def said(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments).strip()


def without_words(segments: Sequence[Segment]) -> list[Segment]:
    return [replace(segment, words=None) for segment in segments]


def as_one(segments: Sequence[Segment], start: float, end: float) -> list[Segment]:
    """Return the hypothesis of a model without times for a part."""
    return [Segment(start, end, said(segments))] if segments else []


def assert_monotone(segments: Sequence[Segment]) -> None:
    assert all(segment.start <= segment.end for segment in segments)
    assert all(a.end <= b.start for a, b in pairwise(segments))
    words = [word for segment in segments for word in segment.words or ()]
    assert all(word.start <= word.end for word in words)
    assert all(a.end <= b.start for a, b in pairwise(words))
    for segment in segments:
        for word in segment.words or ():
            assert segment.start <= word.start and word.end <= segment.end


OFFSETS = [round(8 + 0.13 * step, 2) for step in range(int((DURATION - 20) / 0.13))]


@pytest.mark.parametrize("garble", [False, True])
def test_stitch_words_cut_at_every_offset(garble: bool) -> None:
    for start in OFFSETS:
        overlap = (start, start + 6.0)
        left = heard(TRUTH, 0, overlap[1], garble=garble)
        right = heard(TRUTH, overlap[0], DURATION, garble=garble)
        merged = stitch(left, right, overlap=overlap)
        assert said(merged) == said(TRUTH), overlap
        assert_monotone(merged)
        assert [w.text for s in merged for w in s.words or ()] == [
            w.text for s in TRUTH for w in s.words or ()
        ]


@pytest.mark.parametrize("garble", [False, True])
def test_stitch_segments_without_words_at_every_offset(garble: bool) -> None:
    for start in OFFSETS:
        overlap = (start, start + 8.0)
        left = without_words(heard(TRUTH, 0, overlap[1], garble=garble))
        right = without_words(heard(TRUTH, overlap[0], DURATION, garble=garble))
        merged = stitch(left, right, overlap=overlap)
        assert said(merged) == said(TRUTH), overlap
        assert_monotone(merged)


@pytest.mark.parametrize("garble", [False, True])
def test_stitch_text_without_any_times_at_every_offset(garble: bool) -> None:
    for start in OFFSETS:
        overlap = (start, start + 10.0)
        left = as_one(heard(TRUTH, 0, overlap[1], garble=garble), 0, overlap[1])
        right = as_one(heard(TRUTH, overlap[0], DURATION, garble=garble), overlap[0], DURATION)
        merged = stitch(left, right, overlap=overlap)
        assert said(merged) == said(TRUTH), overlap


def jittered(segments: Sequence[Segment], rng: random.Random, amount: float) -> list[Segment]:
    """Move word times about without changing their order, as alignment does from one window to the next."""
    moved = []
    for segment in segments:
        floor, words = segment.start - amount, []
        for word in segment.words or ():
            start = max(floor, word.start + rng.uniform(-amount, amount))
            end = max(start, word.end + rng.uniform(-amount, amount))
            words.append(replace(word, start=start, end=end))
            floor = end
        moved.append(replace(segment, start=words[0].start, end=words[-1].end, words=tuple(words)))
    return moved


def misheard(segments: Sequence[Segment], rng: random.Random, rate: float) -> list[Segment]:
    """Replace, drop and insert words at random."""
    noisy = []
    for segment in segments:
        words: list[Word] = []
        for word in segment.words or ():
            chance = rng.random()
            if chance > rate or not words:
                words.append(word)
            elif chance < rate / 3:
                words.append(replace(word, text=" blah"))
            elif chance < rate / 2:
                words += [replace(word, end=word.start), replace(word, text=" er")]
        text = "".join(word.text for word in words)
        noisy.append(Segment(words[0].start, words[-1].end, text, words=tuple(words)))
    return noisy


@given(
    seed=st.integers(0, 10_000),
    start=st.floats(8, DURATION - 12),
    length=st.floats(4, 10),
    rate=st.floats(0, 0.25),
)
# The bound is statistical: about one random example in a thousand is beyond it, so they are always the same.
@settings(max_examples=60, deadline=None, derandomize=True)
def test_stitch_of_noisy_hypotheses_loses_and_doubles_nothing(
    seed: int, start: float, length: float, rate: float
) -> None:
    rng = random.Random(seed)
    overlap = (start, start + length)
    left = misheard(jittered(heard(TRUTH, 0, overlap[1]), rng, 0.15), rng, rate)
    right = misheard(jittered(heard(TRUTH, start, DURATION), rng, 0.15), rng, rate)
    merged = stitch(left, right, overlap=overlap)
    n_words = len(said(merged).split())
    # outside the overlap the hypotheses are what they are; inside it the merged text is as long as either one
    before = sum(w.end <= start - 0.6 for s in left for w in s.words or ())
    after = sum(w.start >= start + length + 0.6 for s in right for w in s.words or ())
    stop = start + length
    inside = sum(start - 0.6 < w.end and w.start < stop + 0.6 for s in TRUTH for w in s.words or ())
    assert abs(n_words - before - after - inside) <= 3 + rate * inside
    assert all(a.start <= b.start for a, b in pairwise(merged))


@given(
    letters=st.lists(st.sampled_from("abcdefghijklmnopqrstuvw"), min_size=30, max_size=80),
    place=st.floats(0.3, 0.6),
    length=st.floats(3, 8),
)
@settings(max_examples=100, deadline=None)
def test_stitch_of_arbitrary_timed_words_is_exact(letters: list[str], place: float, length: float) -> None:
    # one word every 0.4 s out of a tiny vocabulary: only the times tell the repeats apart
    words = [Word(0.4 * i, 0.4 * i + 0.3, f" {letter}") for i, letter in enumerate(letters)]
    truth = [
        Segment(group[0].start, group[-1].end, "".join(w.text for w in group), words=tuple(group))
        for group in (words[i : i + 7] for i in range(0, len(words), 7))
    ]
    start = place * words[-1].end
    overlap = (start, min(start + length, words[-1].end))
    left, right = heard(truth, 0, overlap[1]), heard(truth, start, words[-1].end + 1)
    merged = stitch(left, right, overlap=overlap)
    assert said(merged) == said(truth)
    assert_monotone(merged)


def test_stitch_keeps_the_metadata_and_identity_of_untouched_segments() -> None:
    left = [
        Segment(0, 5, " One two three.", tokens=(1, 2), avg_logprob=-0.1),
        Segment(5, 9, " four five six"),
    ]
    right = [Segment(8, 12, " five six seven."), Segment(12, 15, " eight nine", tokens=(7,))]
    merged = stitch(left, right, overlap=(7.0, 9.0))
    assert said(merged) == "One two three. four five six seven. eight nine"
    assert merged[0] is left[0]
    assert merged[-1] is right[-1]


def test_stitch_joins_the_sentence_that_the_seam_divides() -> None:
    sentence = heard(TRUTH[1:2], 0, 100)
    middle = (sentence[0].start + sentence[0].end) / 2
    overlap = (middle - 1, middle + 1)
    merged = stitch(heard(sentence, 0, overlap[1]), heard(sentence, overlap[0], 100), overlap=overlap)
    assert merged == sentence


def test_stitch_without_agreement_takes_one_side_or_the_other() -> None:
    left = [Segment(0, 10, " a b", words=(Word(2, 3, " a"), Word(8, 8.5, " b")))]
    right = [Segment(6, 16, " c d", words=(Word(6.5, 7, " c"), Word(12, 13, " d")))]
    merged = stitch(left, right, overlap=(6.0, 10.0))
    assert said(merged) in ("a b d", "a c d")
    assert_monotone(merged)


def test_stitch_keeps_what_only_one_side_heard() -> None:
    left = [Segment(0, 5, " early", words=(Word(1, 2, " early"),))]
    right = [Segment(6.2, 16, " only here", words=(Word(6.2, 6.8, " only"), Word(7, 7.4, " here")))]
    assert said(stitch(left, right, overlap=(6.0, 16.0))) == "early only here"
    assert said(stitch(left, [], overlap=(6.0, 16.0))) == "early"
    assert said(stitch([], right, overlap=(6.0, 16.0))) == "only here"


def test_stitch_keeps_a_tail_whose_time_is_unknown() -> None:
    # speech ended long before the part did, so the even spread puts the words too late
    left = [Segment(0, 60, "all of this was said in the first ten seconds")]
    right = [Segment(50, 110, "something else entirely follows")]
    assert said(stitch(left, right, overlap=(50.0, 60.0))).replace("secondssome", "seconds some").split() == [
        *left[0].text.split(),
        *right[0].text.split(),
    ]


def test_stitch_matches_scripts_without_spaces() -> None:
    truth = "今日は天気がとてもいいので公園まで散歩に行きました。そこで古い友だちに会いました。"
    rate = 0.2
    left = [Segment(0, 30 * rate, truth[:30])]
    right = [Segment(15 * rate, len(truth) * rate, truth[15:])]
    assert said(stitch(left, right, overlap=(15 * rate, 30 * rate))) == truth


def test_stitch_matches_across_case_and_punctuation() -> None:
    left = [Segment(0, 4, " He said, we have no Bread")]
    right = [Segment(2, 8, " We have no bread: yet; come back.")]
    assert said(stitch(left, right, overlap=(1.8, 4.0))) in (
        "He said, we have no bread: yet; come back.",
        "He said, we have no Bread yet; come back.",
        "He said, we have no bread yet; come back.",
        "He said, We have no bread: yet; come back.",
    )


def test_stitch_words_that_are_not_in_the_text() -> None:
    # vendors' word lists may be normalised ("20") where the text is not ("twenty")
    words = (Word(0, 1, "20"), Word(1, 2, "sheep"), Word(2, 3, "jumped"), Word(3, 4, "over"))
    left = [Segment(0, 4, "twenty sheep jumped over", words=words)]
    right = [Segment(2, 6, " jumped over the wall", words=(Word(2, 3, "jumped"), Word(3, 4, "over")))]
    merged = stitch(left, right, overlap=(2.0, 4.0))
    assert said(merged) == "twenty sheep jumped over the wall"


@pytest.mark.parametrize(
    ("left", "right", "merged"),
    [  # what a weak recogniser really made of both sides of three overlaps; without times
        (
            "would have been a leisure to consider how much there might be brutally in his power",
            "would have been a leisure to consider how much there might be prickly in his power to",
            "would have been a leisure to consider how much there might be * in his power to",
        ),
        (
            "almost for the small dog and mr john guess would have been leisure to consider how",
            "most heard the small dog and mr john guess would have been a leisure to consider how much",
            "almost for the small dog and mr john guess would have been * leisure to consider how much",
        ),
        (
            "three he was not adults those young man that child almost her",
            "very yeah he was not until this blows young man that child almost heard the",
            "three he was not adults those young man that child almost heard the",
        ),
    ],
)
def test_stitch_of_what_a_weak_recogniser_heard(left: str, right: str, merged: str) -> None:
    rate, n_left = 0.35, len(left.split())
    beyond = len(merged.split()) - n_left
    end = n_left * rate
    start = (n_left + beyond - len(right.split())) * rate
    parts = [Segment(0, end, left)], [Segment(start, end + beyond * rate, right)]
    words = said(stitch(*parts, overlap=(max(start, 0.0), end))).split()
    for found, wanted in zip_longest(words, merged.split()):
        assert wanted == "*" or found == wanted, words


def test_stitch_of_two_hypotheses_that_hardly_agree_needs_times() -> None:
    left = ["was", "young", "and", "three", "he", "was", "not", "adults", "those", "young", "men"]
    right = [
        "young",
        "i",
        "forgot",
        "i",
        "had",
        "that",
        "he",
        "was",
        "not",
        "until",
        "this",
        "blows",
        "young",
        "man",
        "that",
        "child",
    ]
    starts = [10.4, 10.9, 11.2, 11.4, 12.0, 12.2, 12.5, 12.8, 13.2, 13.5, 13.8]
    others = [10.9, 11.1, 11.2, 11.4, 11.5, 11.8, 12.0, 12.2, 12.5, 12.7, 13.0, 13.2, 13.5, 13.8, 14.2, 14.6]
    parts = []
    for texts, times in ((left, starts), (right, others)):
        words = tuple(Word(t, t + 0.2, f" {text}") for text, t in zip(texts, times, strict=True))
        parts.append([Segment(words[0].start, words[-1].end, "".join(w.text for w in words), words=words)])
    merged = stitch(parts[0], parts[1], overlap=(10.9, 14.0))
    assert said(merged) == "was young and three he was not until this blows young man that child"


def test_merge_folds_many_parts() -> None:
    parts = []
    for start, end in cut(DURATION, part=12, overlap=5):
        parts.append(((start, end), heard(TRUTH, start, end, garble=True)))
    merged = merge(parts)
    assert said(merged) == said(TRUTH)
    assert_monotone(merged)
    assert merge([]) == []


def test_offset_moves_words_and_seek() -> None:
    segment = Segment(1.0, 2.0, " a", words=(Word(1.25, 1.5, " a"),), seek=100)
    moved = segment.shifted(10.0)
    assert (moved.start, moved.end, moved.seek) == (11.0, 12.0, 1100)
    assert moved.words == (Word(11.25, 11.5, " a"),)
    assert moved.model_times is None
    assert replace(segment, words=None).shifted(1.0).words is None
    assert replace(segment, model_times=(0.75, 2.5)).shifted(10.0).model_times == (10.75, 12.5)


@given(duration=st.floats(0.01, 4_000), part=st.floats(5, 2_000), share=st.floats(0, 0.9))
def test_cut_covers_everything_in_equal_overlapping_parts(duration: float, part: float, share: float) -> None:
    overlap = part * share
    spans = cut(duration, part=part, overlap=overlap)
    assert spans[0][0] == 0 and spans[-1][1] == duration
    assert all(end - start <= part + 1e-6 for start, end in spans)
    for (_, before), (after, _) in pairwise(spans):
        assert before - after == pytest.approx(overlap, abs=1e-6)


def test_cut_refuses_an_overlap_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        cut(100, part=10, overlap=10)
    with pytest.raises(ValueError, match="does not fit"):
        cut(100, part=10, overlap=-1)


def bursts(duration: float, pauses: Sequence[tuple[float, float]]) -> Audio:
    rng = np.random.default_rng(3)
    pcm = rng.integers(-8000, 8000, int(duration * SAMPLE_RATE), dtype=np.int16)
    for start, end in pauses:
        pcm[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] = 0
    return Audio(pcm)


def test_quietest_finds_the_pause() -> None:
    audio = bursts(10, [(4.3, 4.6)])
    assert quietest_time(audio, 3.0, 6.0) == pytest.approx(4.45, abs=0.06)
    assert quietest_time(audio, 5.0, 5.1) == pytest.approx(5.05)
    assert quietest_time(bursts(10, [(0, 10)]), 2.0, 4.0) == pytest.approx(3.0, abs=0.03)


def test_cut_quietly_moves_edges_into_pauses_and_never_outwards() -> None:
    audio = bursts(60, [(start + 0.2, start + 0.5) for start in range(60)])
    plain = cut(60, part=25, overlap=5)
    spans = cut_at_pauses(audio, part=25, overlap=5)
    assert len(spans) == len(plain) == 3
    for (a, b), (start, end) in zip(plain, spans, strict=True):
        assert a <= start and end <= b
    inner = [spans[0][1], spans[1][0], spans[1][1], spans[2][0]]
    assert all(0.2 < edge % 1 < 0.5 for edge in inner)
    assert all(before - after >= 3 for (_, before), (after, _) in pairwise(spans))
