"""A folder in Hugging Face's format becomes the same model, which is computed here once more with numpy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.domain import Window
from hearsay.engines.whisper import loading
from hearsay.engines.whisper.weights.conversion import convert, converted
from hearsay.errors import ConfigurationError, DownloadFailed
from tests.support import toy_whisper


def mel(n_mels: int = 80) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(n_mels, 3000)).astype(np.float32)


@pytest.mark.parametrize(
    ("n_mels", "dtype", "pieces"), [(80, "F32", 1), (80, "F16", 1), (80, "BF16", 3), (128, "F32", 2)]
)
def test_the_converted_model_computes_what_the_weights_say(
    tmp_path: Path, n_mels: int, dtype: str, pieces: int
) -> None:
    toy = toy_whisper.write(tmp_path / "toy", n_mels=n_mels, dtype=dtype, pieces=pieces)
    model = loading.load(toy.folder, device="cpu", compute_type="float32")
    (encoding,) = model.encode([mel(n_mels)])
    expected = toy_whisper.encode(toy, mel(n_mels))
    np.testing.assert_allclose(encoding, expected, atol=2e-4)

    (probabilities,) = model.detect_language([encoding])
    start = toy.special["<|startoftranscript|>"]
    spoken = toy_whisper.logits(toy, [start], expected)[0, start + 1 : start + 1 + len(model.languages)]
    np.testing.assert_allclose(
        [probabilities[code] for code in model.languages], np.exp(spoken) / np.exp(spoken).sum(), atol=1e-4
    )


def test_the_decoder_scores_as_the_weights_say(tmp_path: Path) -> None:
    """The probability of silence is read at the start token, wherever that stands."""
    toy = toy_whisper.write(tmp_path / "toy", multilingual=False)
    model = loading.load(toy.folder, device="cpu", compute_type="float32")
    (encoding,) = model.encode([mel()])
    previous = model.encode_text(" the-the")
    for before in ((), previous):
        window = Window(encoding, 30.0, None, previous=before, beam_size=1)
        (heard,) = model.recognize([window])
        prompt = [*([toy.special["<|startofprev|>"], *before] if before else [])]
        prompt.append(toy.special["<|startoftranscript|>"])
        logits = toy_whisper.logits(toy, prompt, toy_whisper.encode(toy, mel()))[-1]
        probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        expected = probabilities[toy.special["<|nospeech|>"]]
        assert heard.no_speech_prob == pytest.approx(expected, rel=1e-3)


def test_a_conversion_is_made_once_and_again_when_the_source_changes(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    first = converted(toy.folder, tmp_path / "made")
    stamp = (first / "model.bin").stat().st_mtime_ns
    assert first.name.startswith("toy-")
    assert converted(toy.folder, tmp_path / "made") == first
    assert (first / "model.bin").stat().st_mtime_ns == stamp

    weights = (toy.folder / "model.safetensors").read_bytes()
    (toy.folder / "model.safetensors").write_bytes(weights[:-4] + b"\0\0\0\0")
    (toy.folder / "generation_config.json").write_text(json.dumps({"alignment_heads": [[1, 1]]}))
    assert converted(toy.folder, tmp_path / "made") == first
    assert (first / "model.bin").stat().st_mtime_ns != stamp


def test_alignment_heads_come_from_the_model_or_are_the_upper_half(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    convert(toy.folder, tmp_path / "plain")
    assert json.loads((tmp_path / "plain" / "config.json").read_text())["alignment_heads"] == [[1, 0], [1, 1]]
    (toy.folder / "generation_config.json").write_text(json.dumps({"alignment_heads": [[0, 1]]}))
    convert(toy.folder, tmp_path / "chosen")
    assert json.loads((tmp_path / "chosen" / "config.json").read_text())["alignment_heads"] == [[0, 1]]


def test_a_tied_projection_is_stored_once(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy", dtype="F16")
    convert(toy.folder, tmp_path / "made")
    source = (toy.folder / "model.safetensors").stat().st_size
    assert (tmp_path / "made" / "model.bin").stat().st_size < source * 1.01


def test_nothing_is_left_behind_when_weights_are_missing(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy", pieces=2)
    (toy.folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(DownloadFailed, match="not complete"):
        convert(toy.folder, tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    (toy.folder / "model.safetensors").write_bytes(toy_whisper.tensors_file({"a": np.zeros(1, np.float32)}))
    with pytest.raises(DownloadFailed, match=r"encoder\.conv1\.weight"):
        convert(toy.folder, tmp_path / "made")


def test_other_models_are_refused(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    (toy.folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigurationError, match="'bert'"):
        convert(toy.folder, tmp_path / "made")


def test_a_converted_folder_needs_its_source_no_more(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    convert(toy.folder, tmp_path / "made")
    shutil.rmtree(toy.folder)
    model = loading.load(tmp_path / "made", device="cpu", compute_type="float32")
    assert model.decode_text(model.encode_text(" the thé")) == " the thé"
