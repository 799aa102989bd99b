"""The process of a neural voice, with a stand-in for its model: sentence by sentence, and no further."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines.onnx_tts import network, process
from hearsay.engines.onnx_tts.network import Network
from hearsay.engines.onnx_tts.phonemes import Clause
from hearsay.engines.onnx_tts.process import Kokoro, Piper, VoiceRunner, pcm
from hearsay.processes.protocol import RequestFailed

SENTENCE = "a" * 50
SYMBOLS = {"_": [0], "^": [1], "$": [2], "a": [3], ".": [4, 5], " ": [6]}
INT, FLOAT = np.dtype(np.int64), np.dtype(np.float32)


class Model:
    """Keeps what it is given, and returns half a sample of it for each symbol."""

    def __init__(self, **inputs: np.dtype[Any]) -> None:
        self.given: list[Mapping[str, NDArray[Any]]] = []
        self.network = Network(inputs, self._infer)

    def _infer(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        if len(self.given) > 3:
            raise RuntimeError("It hurts.")
        self.given.append(feed)
        return np.full((1, 1, next(iter(feed.values())).size), 0.25, np.float32)


@pytest.fixture
def model() -> Model:
    return Model(input=INT, input_lengths=INT, scales=FLOAT, sid=INT)


@pytest.fixture
def runner(model: Model, monkeypatch: pytest.MonkeyPatch) -> VoiceRunner:
    reader = SimpleNamespace(clauses=lambda text, language, tied: [Clause(SENTENCE, "A.")] * len(text))
    monkeypatch.setattr(network, "load", lambda path, n_threads: model.network)
    monkeypatch.setattr(process, "_phonemizer", lambda: reader)
    return VoiceRunner(
        {
            "speakers": {"anna": (7, "de")},
            "spelling": "espeak",
            "max_phonemes": 200,
            "symbols": SYMBOLS,
            "scales": [0.5, 2.0, 0.75],
            "styles": None,
            "model": "",
            "threads": 1,
        }
    )


def request(text: str) -> bytes:
    return json.dumps({"text": text, "voice": "anna", "speed": 1.0}).encode()


def test_synthesizes_sentence_by_sentence(runner: VoiceRunner, model: Model) -> None:
    blocks: list[bytes | memoryview] = []

    def keep(block: bytes | memoryview) -> bool:
        blocks.append(block)
        return True

    assert len(model.given) == 1, "it is tried when it is loaded"
    assert runner.run(request("xx"), (), keep) == b""
    assert [feed["sid"].tolist() for feed in model.given[1:]] == [[7]] * 2
    n_symbols = 2 + 50 * 2 + 3 + 1
    assert [len(block) for block in blocks] == [2 * n_symbols] * 2
    assert not runner.is_spent


def test_what_is_not_wanted_any_more_is_not_synthesized(runner: VoiceRunner, model: Model) -> None:
    runner.run(request("xxx"), (), lambda block: False)
    assert len(model.given) == 2


def test_a_failure_of_the_runtime_is_one_of_the_request(runner: VoiceRunner) -> None:
    with pytest.raises(RequestFailed, match="It hurts"):
        runner.run(request("xxxx"), (), lambda block: True)


def test_a_piper_is_given_symbols_with_pauses_between(model: Model) -> None:
    piper = Piper(model.network, SYMBOLS, (0.5, 2.0, 0.75))
    samples = piper.speak([SYMBOLS["a"], SYMBOLS["."]], "anna", 7, 1.0)
    (feed,) = model.given
    assert feed["input"].tolist() == [[1, 0, 3, 0, 4, 5, 0, 2]]
    assert feed["input_lengths"].tolist() == [8] and feed["sid"].tolist() == [7]
    assert feed["scales"].tolist() == [0.5, 2.0, 0.75]
    assert {name: value.dtype for name, value in feed.items()} == model.network.inputs
    assert samples.tolist() == [1.0] * 8, "as loud as can be"


def test_a_piper_of_one_speaker_is_given_no_number() -> None:
    model = Model(input=INT, input_lengths=INT, scales=FLOAT)
    Piper(model.network, SYMBOLS, (0.5, 1.0, 0.75)).speak([[3]], "anna", 0, 2.0)
    assert model.given[0].keys() == {"input", "input_lengths", "scales"}
    assert model.given[0]["scales"][1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["tokens", "input_ids"])
def test_a_kokoro_is_given_the_style_for_so_many_symbols(name: str) -> None:
    model = Model(**{name: INT}, style=FLOAT, speed=FLOAT)
    styles = np.arange(8, dtype=np.float32).reshape(4, 2)
    Kokoro(model.network, {"af_heart": styles}).speak([[3], [4, 5]], "af_heart", 0, 1.5)
    (feed,) = model.given
    assert feed[name].tolist() == [[0, 3, 4, 5, 0]]
    assert feed["style"].tolist() == [styles[2].tolist()] and feed["speed"].tolist() == [1.5]


def test_silence_is_not_made_louder() -> None:
    quiet = Network({"input": INT}, lambda feed: np.full(3, 1e-6, np.float32))
    assert np.abs(Piper(quiet, SYMBOLS, (0.5, 1.0, 0.75)).speak([[3]], "anna", 0, 1.0)).max() < 0.01


def test_clips_what_is_too_loud_and_silences_what_is_no_number() -> None:
    found = np.frombuffer(pcm(np.array([0.0, 0.5, 1.0, 2.0, -3.0, np.nan, np.inf], np.float32)), "<i2")
    assert found.tolist() == [0, 16384, 32767, 32767, -32767, 0, 32767]
