"""Texts aligned in their windows: CTranslate2's paths, whatever else shares the batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.openvino_runtime import best_precision
from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.dtw import Path as Way
from hearsay.engines.whisper.encoder import OpenVinoEncoder
from hearsay.engines.whisper.log_mel import LogMel
from hearsay.engines.whisper.logit_rules import TokenIds
from hearsay.engines.whisper.openvino import forced_alignment
from hearsay.engines.whisper.openvino.decoder import WhisperDecoder
from hearsay.engines.whisper.openvino.decoder_network import read_shape
from hearsay.engines.whisper.openvino.forced_alignment import ForcedAlignmentInput, find_paths
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.engines.whisper.weights.folder import check
from hearsay.errors import ConfigurationError
from hearsay.media import decoding
from tests.support.paths import DATA

FIXTURE = DATA / "fixture-whisper"

pytestmark = pytest.mark.skipif(
    not openvino_runtime.is_usable(), reason="OpenVINO has nothing for this machine"
)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return tokenizer.read(FIXTURE)


@pytest.fixture(scope="module")
def load(vocabulary: Vocabulary) -> Callable[[str], WhisperDecoder]:
    weights = Weights(FIXTURE / "model.bin")
    shape = check(FIXTURE)
    ids = TokenIds.of(vocabulary, shape.n_vocab)
    return lambda precision: WhisperDecoder(
        weights, ids, alignment_heads=shape.alignment_heads, precision=precision, n_threads=2
    )


@pytest.fixture(scope="module")
def exact(load: Callable[[str], WhisperDecoder]) -> WhisperDecoder:
    return load("f32")


@pytest.fixture(scope="module")
def inputs(vocabulary: Vocabulary) -> list[ForcedAlignmentInput]:
    """Return recordings of all languages with what is said in them, some in half a window."""
    encoder = OpenVinoEncoder(Weights(FIXTURE / "model.bin"), precision="f32", n_threads=2)
    manifest = json.loads((DATA / "clips" / "manifest.json").read_text("utf-8"))
    clips = [clip for clip in manifest if clip["language"] and clip["text"]][:9]
    read = []
    for i, clip in enumerate(clips):
        features = LogMel(decoding.load(DATA / "clips" / clip["file"]), 80)
        mel = features.window(0)[:, : 1500 if i % 3 == 2 else 3000]
        read.append(
            ForcedAlignmentInput(
                encoding=encoder.encode([mel])[0],
                start=(
                    vocabulary.start,
                    vocabulary.languages[clip["language"]],
                    vocabulary.transcribe,
                    vocabulary.timestamp_begin - 1,
                ),
                text=vocabulary.encode(f" {clip['text']}"),
                n_frames=min(features.n_frames, mel.shape[1]),
            )
        )
    return read


def enters(alignments: NDArray[np.int64]) -> list[int]:
    """Return the position at which each token is entered, as words are cut."""
    return [int(at) for at in alignments[np.diff(alignments[:, 0], prepend=-1) > 0, 1]]


def of_ctranslate2(inputs: Sequence[ForcedAlignmentInput]) -> list[Way]:
    from ctranslate2 import StorageView
    from ctranslate2.models import Whisper

    model = Whisper(str(FIXTURE), device="cpu", compute_type="float32")
    ways = []
    for each in inputs:
        view = StorageView.from_array(np.ascontiguousarray(each.encoding[np.newaxis]))
        start, text = list(each.start[:-1]), [list(each.text)]
        (result,) = model.align(view, start, text, [each.n_frames])
        ways.append(Way(np.array(result.alignments), np.array(result.text_token_probs, np.float32)))
    model.unload_model()
    return ways


def test_paths_are_those_of_ctranslate2(exact: WhisperDecoder, inputs: list[ForcedAlignmentInput]) -> None:
    assert len({len(each.text) for each in inputs}) > 3
    for found, expected in zip(find_paths(exact, inputs), of_ctranslate2(inputs), strict=True):
        assert enters(found.alignments) == enters(expected.alignments)
        np.testing.assert_allclose(found.text_token_probs, expected.text_token_probs, atol=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_narrow_numbers_move_few_tokens_far(
    load: Callable[[str], WhisperDecoder],
    exact: WhisperDecoder,
    inputs: list[ForcedAlignmentInput],
    precision: str,
) -> None:
    if precision == "bf16" and best_precision() != "bf16":
        pytest.skip("this processor does not compute in bf16")
    pairs = list(zip(find_paths(load(precision), inputs), find_paths(exact, inputs), strict=True))
    moved = [np.subtract(enters(found.alignments), enters(whole.alignments)) for found, whole in pairs]
    assert np.mean(np.abs(np.concatenate(moved)) <= 2) > 0.97  # 0.04 s
    for found, whole in pairs:
        np.testing.assert_allclose(found.text_token_probs, whole.text_token_probs, atol=0.1)


def test_texts_of_a_batch_change_nothing_for_each_other(
    exact: WhisperDecoder, inputs: list[ForcedAlignmentInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [find_paths(exact, [each])[0] for each in inputs]
    for most in (1, 256, 10_000):
        monkeypatch.setattr(forced_alignment, "_MAX_TOKENS", most)
        for found, expected in zip(find_paths(exact, inputs), alone, strict=True):
            assert enters(found.alignments) == enters(expected.alignments)
            np.testing.assert_allclose(found.text_token_probs, expected.text_token_probs, atol=1e-4)


def test_no_text_has_no_path(exact: WhisperDecoder) -> None:
    assert find_paths(exact, []) == []


@pytest.mark.parametrize("head", [(2, 0), (0, 2), (-1, 0)])
def test_alignment_heads_that_a_model_lacks_are_refused(head: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="alignment_heads"):
        read_shape(Weights(FIXTURE / "model.bin"), end_of_text=50257, alignment_heads=[(1, 0), head])
