"""Folders of weights are checked before use: whole, and of a Whisper."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hearsay.engines.whisper.weights import folder as weights
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import ConfigurationError, DownloadFailed
from tests.support import toy_whisper


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    convert(toy_whisper.write(folder / "toy").folder, folder / "made")
    return folder / "made"


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "model")


def test_a_whole_folder_tells_its_shape(whole: Path) -> None:
    assert weights.is_converted(whole)
    shape = weights.check(whole)
    assert (shape.n_mels, shape.n_audio_ctx, shape.n_text_ctx) == (80, 1500, 448)
    assert shape.n_vocab == 263 + 107 + 1501
    assert (shape.n_layers, shape.width) == (toy_whisper.LAYERS, toy_whisper.WIDTH)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.9999])
def test_cut_weights_are_found(folder: Path, kept: float) -> None:
    path = folder / "model.bin"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DownloadFailed, match="cut short"):
        weights.check(folder)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b"WhisperSpec", b"BananasSpec", "not a Whisper"),
        (b"encoder/conv1/weight", b"encoder/conv9/weight", "has no encoder/conv1/weight"),
        (b"\x06\0\0\0", b"\x07\0\0\0", "too new"),
    ],
)
def test_other_models_are_refused(folder: Path, old: bytes, new: bytes, complaint: str) -> None:
    path = folder / "model.bin"
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=complaint):
        weights.check(folder)


@pytest.mark.parametrize("name", ["model.bin", "config.json", "vocabulary.json"])
def test_missing_files_are_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DownloadFailed, match=name.replace(".", r"\.")):
        weights.check(folder)


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_a_damaged_configuration_is_a_bad_download(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(DownloadFailed, match="damaged"):
        weights.check(folder)


def test_pickles_are_named(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(DownloadFailed, match="PyTorch weights only"):
        weights.check(tmp_path)


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"neither model\.bin"):
        weights.check(tmp_path)


def test_no_folder_is_a_mistake_of_the_operator(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder"):
        weights.check(tmp_path / "nowhere")
