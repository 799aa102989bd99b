"""The decoder's sizes, the mask of its logits, and the reference: it computes what the definition says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hearsay.engines.whisper.openvino.decoder_network import (
    CHUNK,
    LEAST,
    DecoderShape,
    read_shape,
    reference_logits,
    suppression_mask,
)
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.errors import ConfigurationError
from tests.support import toy_whisper
from tests.support.paths import FIXTURE_WHISPER


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(FIXTURE_WHISPER / "model.bin")


def test_sizes_are_read_from_the_weights(weights: Weights) -> None:
    shape = read_shape(weights, end_of_text=50_257, alignment_heads=[(1, 1), (0, 1), (1, 0)])
    assert (shape.n_layers, shape.n_heads, shape.width, shape.n_vocab) == (2, 2, 128, 51_865)
    assert shape.head == 64
    assert shape.alignment_heads == ((0, 1), (1, 0), (1, 1))


@pytest.mark.parametrize("head", [(2, 0), (0, 2), (-1, 0)])
def test_an_alignment_head_that_is_not_there_is_refused(weights: Weights, head: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="alignment_heads"):
        read_shape(weights, end_of_text=50_257, alignment_heads=[head])


@pytest.mark.parametrize(("end_of_text", "n_chunks"), [(1, 1), (CHUNK, 1), (CHUNK + 1, 2), (50_257, 393)])
def test_text_is_divided_into_chunks_of_which_the_last_is_padded(end_of_text: int, n_chunks: int) -> None:
    shape = DecoderShape(2, 2, 128, end_of_text + 10, end_of_text)
    assert shape.n_chunks == n_chunks
    mask = suppression_mask(shape, [])
    assert mask.shape == (n_chunks * CHUNK,)
    assert (mask[:end_of_text] == 0).all()
    assert (mask[end_of_text:] == LEAST).all()


def test_ids_that_are_not_text_are_suppressed_elsewhere() -> None:
    mask = suppression_mask(DecoderShape(2, 2, 128, 320, 300), [7, 299, 300, 310])
    assert np.flatnonzero(mask[:300]).tolist() == [7, 299]


def test_the_least_number_can_be_subtracted_from_itself() -> None:
    assert LEAST - LEAST == 0
    assert np.isfinite(LEAST)


def test_the_reference_computes_what_the_definition_says(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    convert(toy.folder, tmp_path / "made")
    weights = Weights(tmp_path / "made" / "model.bin")
    end_of_text = toy.special["<|endoftext|>"]
    rng = np.random.default_rng(3)
    encoding = rng.normal(size=(60, toy_whisper.WIDTH)).astype(np.float32)
    tokens = rng.integers(toy.n_vocab, size=9).tolist()
    ours = reference_logits(weights, read_shape(weights, end_of_text=end_of_text), encoding, tokens)
    assert ours.shape == (9, toy.n_vocab)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, toy_whisper.logits(toy, tokens, encoding.astype(np.float64)), atol=2e-3)


def test_the_reference_never_looks_ahead(weights: Weights) -> None:
    shape = read_shape(weights, end_of_text=50_257)
    encoding = np.random.default_rng(4).normal(size=(20, 128)).astype(np.float32)
    long = reference_logits(weights, shape, encoding, [50_258, 50_259, 400, 500])
    short = reference_logits(weights, shape, encoding, [50_258, 50_259])
    np.testing.assert_allclose(long[:2], short, atol=1e-4)
