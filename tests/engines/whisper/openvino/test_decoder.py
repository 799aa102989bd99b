"""The decoder on OpenVINO computes what numpy computes, whatever shares a step, or says that it does not."""

from __future__ import annotations

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.openvino_runtime import best_precision
from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.logit_rules import TokenIds
from hearsay.engines.whisper.openvino import decoder as decoders
from hearsay.engines.whisper.openvino.decoder import SequenceInput, Session, WhisperDecoder
from hearsay.engines.whisper.openvino.decoder_network import reference_logits
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.errors import ConfigurationError, EngineFailed
from tests.support.paths import FIXTURE_WHISPER

FOLDER = FIXTURE_WHISPER
N_VOCAB = 51865

needs_bf16 = pytest.mark.skipif(
    not openvino_runtime.is_usable() or best_precision() != "bf16",
    reason="this processor does not compute in bf16",
)
BF16 = pytest.param("bf16", marks=needs_bf16)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(FOLDER / "model.bin")


@pytest.fixture(scope="module")
def ids() -> TokenIds:
    return TokenIds.of(tokenizer.read(FOLDER), N_VOCAB)


@pytest.fixture(scope="module")
def full(weights: Weights, ids: TokenIds) -> WhisperDecoder:
    return WhisperDecoder(weights, ids, precision="f32", n_threads=2)


def encoding(seed: int, n_positions: int = 70) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n_positions, 128)).astype(np.float32)


def text(seed: int, n: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).integers(N_VOCAB, size=n).tolist()
    return drawn


def test_windows_and_sequences_of_any_age_share_a_step(
    full: WhisperDecoder, weights: Weights, ids: TokenIds
) -> None:
    session = Session(full, 70)
    for slot in range(3):
        session.compute_cross_kv(slot, encoding(slot))
    said = [text(seed, n) for seed, n in ((0, 40), (1, 3), (2, 33))]
    sequences = [CachedSequence() for _ in said]
    inputs = [
        SequenceInput(sequence, part[:-1], i, (0, len(part) - 2))
        for i, (sequence, part) in enumerate(zip(sequences, said, strict=True))
    ]
    first = session.feed(inputs, slice(0, 3)).full(ids.end_of_text)
    # The second window continues twice, from shared blocks, with different tokens.
    sequences[1:2] = session.kv_cache.fork(sequences[1:2], [0, 0])
    last = [said[0][-1], said[1][-1], 777, said[2][-1]]
    inputs = [
        SequenceInput(sequence, (token,), slot, (0,))
        for sequence, token, slot in zip(sequences, last, (0, 1, 1, 2), strict=True)
    ]
    second = session.feed(inputs, slice(0, 3)).full(ids.end_of_text)
    for slot, part in enumerate(said):
        expected = reference_logits(weights, full.shape, encoding(slot), part)
        np.testing.assert_allclose(first[2 * slot : 2 * slot + 2], expected[[0, -2]], atol=2e-3)
        np.testing.assert_allclose(second[(0, 1, 3)[slot]], expected[-1], atol=2e-3)
    expected = reference_logits(weights, full.shape, encoding(1), [*said[1][:-1], 777])
    np.testing.assert_allclose(second[2], expected[-1], atol=2e-3)


def test_a_window_may_be_moved_and_the_others_cleared(full: WhisperDecoder, ids: TokenIds) -> None:
    session = Session(full, 70)
    session.compute_cross_kv(0, encoding(0))
    session.compute_cross_kv(1, encoding(1))
    feed = SequenceInput(CachedSequence(), text(5, 4), 1, (3,))
    expected = session.feed([feed], slice(1, 2)).full(ids.end_of_text).copy()
    session.move(1, 0)
    moved = session.feed([SequenceInput(CachedSequence(), text(5, 4), 0, (3,))], slice(0, 1)).full(
        ids.end_of_text
    )
    np.testing.assert_array_equal(moved, expected)
    session.clear()
    session.compute_cross_kv(0, encoding(1))
    again = session.feed([SequenceInput(CachedSequence(), text(5, 4), 0, (3,))], slice(0, 1)).full(
        ids.end_of_text
    )
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("precision", [BF16, "int8"])
def test_smaller_precisions_are_close(precision: str, weights: Weights, ids: TokenIds) -> None:
    with structlog.testing.capture_logs() as logs:
        small = WhisperDecoder(weights, ids, precision=precision, n_threads=2)
    assert logs == []
    assert small.precision == precision
    session = Session(small, 70)
    session.compute_cross_kv(0, encoding(0))
    ours = session.feed([SequenceInput(CachedSequence(), text(0, 20), 0, range(20))], slice(0, 1)).full(
        ids.end_of_text
    )
    theirs = reference_logits(weights, small.shape, encoding(0), text(0, 20))
    assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.02 * theirs.std()
    assert np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1)) >= 0.9


@pytest.mark.parametrize("best", [BF16, "f32", "f16"])
def test_the_best_precision_of_this_processor_is_taken(
    best: str, weights: Weights, ids: TokenIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "best_precision", lambda: best)
    expected = {"bf16": "bf16", "f32": "int8", "f16": "int8"}[best]
    with structlog.testing.capture_logs() as logs:
        assert WhisperDecoder(weights, ids, n_threads=2).precision == expected
    assert logs == []


def test_what_this_processor_is_said_to_do_best_it_does(weights: Weights, ids: TokenIds) -> None:
    expected = "bf16" if best_precision() == "bf16" else "int8"
    with structlog.testing.capture_logs() as logs:
        decoder = WhisperDecoder(weights, ids, n_threads=2)
    assert (decoder.precision, logs) == (expected, [])
    assert decoder.state_type == {"bf16": "bf16", "int8": "f32"}[expected]


@pytest.mark.parametrize("best", ["bf16", "f32", "f16"])
def test_bf16_is_chosen_or_refused_by_what_the_processor_has(
    best: str, weights: Weights, ids: TokenIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is compiled, so this holds wherever it runs."""
    opened: list[str] = []
    monkeypatch.setattr(decoders, "best_precision", lambda: best)
    monkeypatch.setattr(WhisperDecoder, "_compile", lambda self, *_: opened.append(self.precision))
    WhisperDecoder(weights, ids)
    if best == "bf16":
        WhisperDecoder(weights, ids, precision="bf16")
        assert opened == ["bf16", "bf16"]
        return
    with pytest.raises(ConfigurationError, match=r"no instructions.* bf16; choose auto, int8 or f32"):
        WhisperDecoder(weights, ids, precision="bf16")
    assert opened == ["int8"]


@pytest.mark.parametrize("precision", [BF16, "int8"])
def test_what_is_computed_wrongly_is_not_used(
    precision: str, weights: Weights, ids: TokenIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "reference_logits", lambda *a: reference_logits(*a)[:, ::-1].copy())
    with structlog.testing.capture_logs() as logs, pytest.raises(EngineFailed, match="wrongly"):
        WhisperDecoder(weights, ids, precision=precision, n_threads=2)
    events = [(entry["event"], entry["precision"]) for entry in logs]
    assert events == [("decoder_precision_refused", precision)]


def test_an_unknown_precision_is_refused(weights: Weights, ids: TokenIds) -> None:
    with pytest.raises(ConfigurationError, match="f64"):
        WhisperDecoder(weights, ids, precision="f64")


def test_a_closed_decoder_is_gone(weights: Weights, ids: TokenIds) -> None:
    closed = WhisperDecoder(weights, ids, precision="f32", n_threads=2)
    closed.close()
    with pytest.raises(EngineFailed, match="closed"):
        closed.session(70)
