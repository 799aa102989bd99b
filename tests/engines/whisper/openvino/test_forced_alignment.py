"""Texts read in their windows: CTranslate2's paths, whatever else is read beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.dtw import Path as Way
from hearsay.engines.whisper.encoder import OpenVinoEncoder, best_precision
from hearsay.engines.whisper.log_mel import LogMel
from hearsay.engines.whisper.logit_rules import Ids
from hearsay.engines.whisper.openvino import forced_alignment
from hearsay.engines.whisper.openvino.decoder import WhisperDecoder
from hearsay.engines.whisper.openvino.decoder_graph import read_shape
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
def reader(vocabulary: Vocabulary) -> Callable[[str], WhisperDecoder]:
    weights = Weights(FIXTURE / "model.bin")
    shape = check(FIXTURE)
    ids = Ids.of(vocabulary, shape.n_vocab)
    return lambda precision: WhisperDecoder(
        weights, ids, alignment_heads=shape.alignment_heads, precision=precision, n_threads=2
    )


@pytest.fixture(scope="module")
def exact(reader: Callable[[str], WhisperDecoder]) -> WhisperDecoder:
    return reader("f32")


@pytest.fixture(scope="module")
def readings(vocabulary: Vocabulary) -> list[ForcedAlignmentInput]:
    """Recordings of all languages with what is said in them, some in half a window."""
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


def of_ctranslate2(readings: Sequence[ForcedAlignmentInput]) -> list[Way]:
    from ctranslate2 import StorageView
    from ctranslate2.models import Whisper

    model = Whisper(str(FIXTURE), device="cpu", compute_type="float32")
    ways = []
    for reading in readings:
        view = StorageView.from_array(np.ascontiguousarray(reading.encoding[np.newaxis]))
        start, text = list(reading.start[:-1]), [list(reading.text)]
        (result,) = model.align(view, start, text, [reading.n_frames])
        ways.append(Way(np.array(result.alignments), np.array(result.text_token_probs, np.float32)))
    model.unload_model()
    return ways


def test_paths_are_those_of_ctranslate2(exact: WhisperDecoder, readings: list[ForcedAlignmentInput]) -> None:
    assert len({len(reading.text) for reading in readings}) > 3
    for found, expected in zip(find_paths(exact, readings), of_ctranslate2(readings), strict=True):
        assert enters(found.alignments) == enters(expected.alignments)
        np.testing.assert_allclose(found.text_token_probs, expected.text_token_probs, atol=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_narrow_numbers_move_few_tokens_far(
    reader: Callable[[str], WhisperDecoder],
    exact: WhisperDecoder,
    readings: list[ForcedAlignmentInput],
    precision: str,
) -> None:
    if precision == "bf16" and best_precision() != "bf16":
        pytest.skip("this processor does not compute in bf16")
    pairs = list(zip(find_paths(reader(precision), readings), find_paths(exact, readings), strict=True))
    moved = [np.subtract(enters(found.alignments), enters(whole.alignments)) for found, whole in pairs]
    assert np.mean(np.abs(np.concatenate(moved)) <= 2) > 0.97  # 0.04 s
    for found, whole in pairs:
        np.testing.assert_allclose(found.text_token_probs, whole.text_token_probs, atol=0.1)


def test_who_is_read_beside_a_text_changes_nothing(
    exact: WhisperDecoder, readings: list[ForcedAlignmentInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [find_paths(exact, [reading])[0] for reading in readings]
    for most in (1, 256, 10_000):
        monkeypatch.setattr(forced_alignment, "_MOST_TOKENS", most)
        for found, expected in zip(find_paths(exact, readings), alone, strict=True):
            assert enters(found.alignments) == enters(expected.alignments)
            np.testing.assert_allclose(found.text_token_probs, expected.text_token_probs, atol=1e-4)


def test_reading_nothing_gives_nothing(exact: WhisperDecoder) -> None:
    assert find_paths(exact, []) == []


@pytest.mark.parametrize("head", [(2, 0), (0, 2), (-1, 0)])
def test_heads_that_a_model_lacks_cannot_be_watched(head: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="alignment_heads"):
        read_shape(Weights(FIXTURE / "model.bin"), end_of_text=50257, alignment_heads=[(1, 0), head])
