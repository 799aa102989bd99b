"""Whisper on CTranslate2: what shares a call of the runtime, how it searches, and what its errors become.

What it recognises is tested in `test_recognizer`, with a real model; here the runtime is scripted.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.domain import Task, Window
from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.ctranslate2_recognizer import CTranslate2Whisper
from hearsay.engines.whisper.weights import folder
from hearsay.errors import EngineFailed
from hearsay.transcripts.quality import compression_ratio
from tests.support.paths import FIXTURE_WHISPER

LONG, SHORT = np.zeros((1500, 128), np.float32), np.zeros((500, 128), np.float32)
HELLO = (2425, 11, 1002)
"""Tokens of ` Hello, world`."""


class Runtime:
    """A `ctranslate2.models.Whisper` that notes its calls and gives two sequences for each prompt."""

    device = "cuda"
    compute_type = "float16"
    device_index = (0, 2)

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.is_loaded = True

    def generate(self, view: Any, prompts: Sequence[list[int]], **options: Any) -> list[Any]:
        self.calls.append({"shape": tuple(view.shape), "prompts": prompts, **options})
        worse, better = list(HELLO[:1]), list(HELLO)
        result = SimpleNamespace(sequences_ids=[worse, better], scores=[-0.9, -0.4], no_speech_prob=0.25)
        return [result for _ in prompts]

    def align(
        self, view: Any, start: list[int], tokens: Sequence[list[int]], n_frames: Sequence[int]
    ) -> list[Any]:
        self.calls.append({"shape": tuple(view.shape), "start": start, "tokens": tokens, "frames": n_frames})
        steps = [(i, i) for i in range(len(tokens[0]) + 1)]
        return [SimpleNamespace(alignments=steps, text_token_probs=[0.5] * len(row)) for row in tokens]

    def detect_language(self, view: Any) -> list[list[tuple[str, float]]]:
        return [[("<|de|>", 0.75), ("<|en|>", 0.25)] for _ in range(view.shape[0])]

    def unload_model(self) -> None:
        self.is_loaded = False


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def model(runtime: Runtime) -> CTranslate2Whisper:
    shape, vocabulary = folder.check(FIXTURE_WHISPER), tokenizer.read(FIXTURE_WHISPER)
    return CTranslate2Whisper(runtime, vocabulary, shape, FIXTURE_WHISPER)


def window(encoding: NDArray[np.float32] = LONG, **changes: Any) -> Window:
    options: dict[str, Any] = {"duration": 30.0, "language": "en"}
    return Window(encoding, **(options | changes))


def test_it_is_what_the_runtime_is(model: CTranslate2Whisper) -> None:
    assert (model.device, model.compute_type, model.n_replicas) == ("cuda", "float16", 2)


@pytest.mark.parametrize(
    "other",
    [
        window(SHORT),
        window(temperature=0.2),
        window(beam_size=1),
        window(previous=(2425,)),
    ],
)
def test_windows_of_one_kind_share_a_call_and_others_do_not(
    model: CTranslate2Whisper, runtime: Runtime, other: Window
) -> None:
    alike = [window(), window(language="de"), window(task=Task.TRANSLATE)]
    model.recognize([alike[0], other, *alike[1:]])
    assert [len(call["prompts"]) for call in runtime.calls] == [3, 1]
    assert runtime.calls[0]["shape"] == (3, 1500, 128)
    assert len({model.decode_kind(one) for one in alike}) == 1
    assert model.decode_kind(other) != model.decode_kind(alike[0])


def test_answers_are_in_the_order_of_the_windows(model: CTranslate2Whisper) -> None:
    mixed = [window(temperature=t) for t in (0.0, 0.4, 0.0, 0.8, 0.4)]
    assert [heard.temperature for heard in model.recognize(mixed)] == [0.0, 0.4, 0.0, 0.8, 0.4]


def test_the_best_sequence_is_taken_and_scored_as_the_reference_does(model: CTranslate2Whisper) -> None:
    (heard,) = model.recognize([window()])
    assert heard.tokens == HELLO
    assert heard.text == model.decode_text(HELLO).strip()
    assert heard.avg_logprob == pytest.approx(-0.4 * 3 / 4)
    assert heard.no_speech_prob == 0.25
    assert heard.compression_ratio == compression_ratio(heard.text)


def test_cold_windows_are_searched_by_beam(model: CTranslate2Whisper, runtime: Runtime) -> None:
    model.recognize([window(beam_size=3)])
    (call,) = runtime.calls
    assert call["beam_size"] == 3
    assert "sampling_temperature" not in call
    assert call["length_penalty"] == 1.0
    assert call["max_initial_timestamp_index"] == 50


def test_warm_windows_are_sampled(model: CTranslate2Whisper, runtime: Runtime) -> None:
    model.recognize([window(temperature=0.6, best_of=4)])
    (call,) = runtime.calls
    sampled = (call["beam_size"], call["num_hypotheses"], call["sampling_topk"], call["sampling_temperature"])
    assert sampled == (1, 4, 0, 0.6)


def test_languages_lose_their_brackets(model: CTranslate2Whisper) -> None:
    assert model.detect_language([LONG, LONG]) == [{"de": 0.75, "en": 0.25}] * 2


def test_texts_of_one_length_are_aligned_together(model: CTranslate2Whisper, runtime: Runtime) -> None:
    texts = [HELLO, HELLO[:1], HELLO, ()]
    found = model.align([window()] * 4, texts, [3000, 3000, 1, 3000])
    assert [sum(word.n_tokens for word in words) for words in found] == [3, 1, 3, 0]
    assert [call["tokens"] for call in runtime.calls] == [[list(HELLO)] * 2, [list(HELLO[:1])]]
    assert runtime.calls[0]["frames"] == [3000, 2]


@pytest.mark.parametrize("error", [RuntimeError("CUDA is lost"), ValueError("bad shape")])
def test_what_breaks_inside_is_an_engine_that_failed(
    model: CTranslate2Whisper, runtime: Runtime, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(runtime, "generate", breaks)
    with pytest.raises(EngineFailed, match=f"fixture-whisper failed: {error}"):
        model.recognize([window()])


def test_closing_frees_the_weights(model: CTranslate2Whisper, runtime: Runtime) -> None:
    model.close()
    assert not runtime.is_loaded
