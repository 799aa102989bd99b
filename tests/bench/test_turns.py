"""Contestants take turns, and callers at once are really at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from bench.recordings import Recording
from bench.scores import Score
from bench.turns import alone, at_once, in_turns

CLIPS = [Recording(Path(f"{name}.wav"), 3.0, "de", name) for name in "abcd"]


class Listed:
    """Writes down who was asked for what."""

    def __init__(self, name: str, asked: list[tuple[str, str, str | None]]) -> None:
        self.name = name
        self._asked = asked

    def transcribe(self, path: Path, language: str | None) -> str:
        self._asked.append((self.name, path.stem, language))
        return f"{self.name} heard {path.stem}"


def test_whoever_was_first_is_last_the_next_time() -> None:
    asked: list[tuple[str, str, str | None]] = []
    one, two = Listed("one", asked), Listed("two", asked)
    scores = in_turns([one, two], CLIPS[:2], {"one": 2, "two": 2}, named=False)
    order = [(name, clip) for name, clip, _ in asked]
    assert order[:4] == [("one", "a"), ("two", "a"), ("two", "b"), ("one", "b")]
    assert order[4:] == [("two", "a"), ("one", "a"), ("one", "b"), ("two", "b")]
    assert {language for _, _, language in asked} == {None}
    assert len(scores["one"].rounds) == 2
    assert scores["two"].texts[CLIPS[1].path] == ["two heard b"] * 2
    assert sum(scores["one"].rounds) == pytest.approx(sum(scores["one"].latencies))


def test_a_slow_one_may_play_fewer_rounds() -> None:
    asked: list[tuple[str, str, str | None]] = []
    slow, quick = Listed("slow", asked), Listed("quick", asked)
    scores = in_turns([slow, quick], CLIPS[:1], {"slow": 1, "quick": 3}, named=True)
    assert [len(scores[name].rounds) for name in ("slow", "quick")] == [1, 3]
    assert {language for _, _, language in asked} == {"de"}


class Meeting:
    """Answers only when as many callers as were announced are waiting."""

    name = "meeting"

    def __init__(self, n_callers: int) -> None:
        self._barrier = threading.Barrier(n_callers, timeout=30)

    def transcribe(self, path: Path, language: str | None) -> str:
        self._barrier.wait()
        return path.stem


def test_callers_ask_at_once() -> None:
    score = Score("meeting")
    at_once(Meeting(4), CLIPS, 4, score, named=False)
    assert {path.stem: texts for path, texts in score.texts.items()} == {name: [name] for name in "abcd"}
    assert len(score.latencies) == 4
    (wall,) = score.rounds
    assert wall >= max(score.latencies)


def test_an_error_of_one_answer_ends_the_measurement() -> None:
    class Broken(Meeting):
        def transcribe(self, path: Path, language: str | None) -> str:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        at_once(Broken(1), CLIPS, 2, Score("broken"), named=False)


def test_alone_gives_what_each_says() -> None:
    assert alone(Listed("one", []), CLIPS[:1], named=True) == {CLIPS[0].path: "one heard a"}
