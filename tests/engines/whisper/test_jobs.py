"""Whisper's jobs: one call of the model for all of a kind, and what makes a kind."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Hypothesis, Window
from hearsay.engines.jobs import Job, Stage, run_jobs
from hearsay.engines.whisper.jobs import Align, Decode, DetectLanguage, Encode
from hearsay.errors import UnsupportedOption

LONG, SHORT = np.zeros((1500, 4), np.float32), np.zeros((500, 4), np.float32)


class Model:
    """Notes its calls, and answers with the numbers of what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[Any]:
        self.calls.append(("encode", [mel.shape for mel in inputs]))
        return [mel.sum() for mel in inputs]

    def detect_language(self, encodings: Sequence[Any]) -> list[Mapping[str, float]]:
        self.calls.append(("detect_language", list(encodings)))
        return [{"en": float(encoding)} for encoding in encodings]

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        self.calls.append(("recognize", list(windows)))
        return [Hypothesis((), f"{window.duration}", -0.1, 0.0, 0.0, 1.0) for window in windows]

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        self.calls.append(("align", [tuple(tokens), tuple(n_frames)]))
        return [
            [AlignedWord(str(n), len(row), 0.0, 1.0, 1.0)] for row, n in zip(tokens, n_frames, strict=True)
        ]

    def decode_kind(self, window: Window) -> Hashable:
        if window.language == "tlh":
            raise UnsupportedOption("No Klingon.", param="language")
        return window.beam_size


def window(
    encoding: Any = LONG, *, duration: float = 30.0, language: str = "en", beam_size: int = 5
) -> Window:
    return Window(encoding, duration, language, beam_size=beam_size)


@pytest.mark.parametrize(
    ("job", "stage"),
    [
        (Encode(LONG), Stage.ENCODE),
        (DetectLanguage(LONG), Stage.DETECT),
        (Decode(window()), Stage.DECODE),
        (Align(window(), (1, 2), 3000), Stage.ALIGN),
    ],
)
def test_each_has_its_stage(job: Job, stage: Stage) -> None:
    assert job.stage is stage


def test_windows_are_encoded_in_one_call() -> None:
    model = Model()
    jobs = [Encode(np.full((80, 3000), n, np.float32)) for n in (0, 1)]
    assert run_jobs(model, jobs) == [0, 240_000]
    assert model.calls == [("encode", [(80, 3000), (80, 3000)])]


def test_languages_are_detected_in_one_call() -> None:
    model = Model()
    assert run_jobs(model, [DetectLanguage(0.5), DetectLanguage(0.7)]) == [{"en": 0.5}, {"en": 0.7}]
    assert model.calls == [("detect_language", [0.5, 0.7])]


def test_windows_are_decoded_in_one_call() -> None:
    model, windows = Model(), [window(duration=10.0), window(duration=20.0)]
    assert [hypothesis.text for hypothesis in run_jobs(model, list(map(Decode, windows)))] == ["10.0", "20.0"]
    assert model.calls == [("recognize", windows)]


def test_words_are_aligned_in_one_call() -> None:
    model = Model()
    words = run_jobs(model, [Align(window(), (1, 2), 3000), Align(window(), (3,), 900)])
    assert [(word.text, word.n_tokens) for (word,) in words] == [("3000", 2), ("900", 1)]
    assert model.calls == [("align", [((1, 2), (3,)), (3000, 900)])]


def test_arrays_of_different_shapes_are_of_different_kinds() -> None:
    model: Any = Model()
    for make in (Encode, DetectLanguage, lambda array: Align(window(array), (1,), 3000)):
        assert make(LONG).kind(model) == make(LONG.copy()).kind(model)
        assert make(LONG).kind(model) != make(SHORT).kind(model)


def test_an_encoding_that_is_no_array_is_of_one_kind() -> None:
    model: Any = Model()
    assert DetectLanguage("a").kind(model) == DetectLanguage("b").kind(model)
    assert Align(window("a"), (1,), 3000).kind(model) == Align(window("b"), (2,), 900).kind(model)


def test_the_model_says_what_may_be_decoded_together_or_not_at_all() -> None:
    model: Any = Model()
    assert Decode(window(beam_size=5)).kind(model) == 5
    with pytest.raises(UnsupportedOption, match="Klingon"):
        Decode(window(language="tlh")).kind(model)


def test_equal_jobs_of_two_requests_are_two_jobs() -> None:
    one, other = Encode(LONG), Encode(LONG)
    assert one != other
    assert len({one, other}) == 2
