"""Folders of weights: their format, their languages, and damage, at a glance and down to every header."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hearsay.engines.whisper.weights import folder as weights
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import ConfigurationError, DownloadFailed
from tests.models.test_checksums import make
from tests.support import toy_whisper
from tests.support.local_hub import toy_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    convert(toy_whisper.write(folder / "toy").folder, folder / "made")
    return folder / "made"


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "model")


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    return make(tmp_path / "converted", toy_model(2000))


@pytest.fixture
def transformers(tmp_path: Path) -> Path:
    return make(
        tmp_path / "transformers",
        {"config.json": b'{"model_type": "whisper", "vocab_size": 51865}', "model.safetensors": b"x"},
    )


def test_tells_formats_apart(converted: Path, transformers: Path, tmp_path: Path) -> None:
    assert weights.is_converted(converted) and not weights.is_transformers(converted)
    assert weights.is_transformers(transformers) and not weights.is_converted(transformers)
    (transformers / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    assert not weights.is_transformers(transformers)
    assert not weights.is_converted(tmp_path) and not weights.is_transformers(tmp_path)


@pytest.mark.parametrize("name", ["model.bin", "config.json", "vocabulary.json"])
def test_a_folder_that_lacks_a_file_is_of_no_format(converted: Path, name: str) -> None:
    (converted / name).unlink()
    assert not weights.is_converted(converted) and not weights.is_transformers(converted)


def test_what_cannot_be_converted_is_no_folder_of_transformers(transformers: Path) -> None:
    (transformers / "config.json").write_bytes(b"{")
    assert not weights.is_transformers(transformers)
    (transformers / "config.json").unlink()
    assert not weights.is_transformers(transformers)
    (transformers / "config.json").write_bytes(b'{"model_type": "whisper"}')
    (transformers / "model.safetensors").rename(transformers / "other.safetensors")
    assert not weights.is_transformers(transformers)
    (transformers / weights.TENSORS_INDEX).write_bytes(b"{}")
    assert weights.is_transformers(transformers)


def test_a_sound_folder_has_no_damage(converted: Path, transformers: Path) -> None:
    assert list(weights.damage(converted)) == list(weights.damage(transformers)) == []
    (converted / "config.json").unlink()
    assert "missing" in " ".join(weights.damage(converted))


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("model.bin", b"", "not a CTranslate2 Whisper"),
        ("model.bin", b"\x06\0\0\0\xff\xff", "not a CTranslate2 Whisper"),
        ("model.bin", b"\x06\0\0\0\x10\0TransformerSpec\0rest", "not a CTranslate2 Whisper"),
        ("config.json", b"{", "not JSON"),
    ],
)
def test_damage_shows_without_checksums(converted: Path, name: str, data: bytes, problem: str) -> None:
    (converted / name).write_bytes(data)
    assert problem in " ".join(weights.damage(converted))


def test_reads_languages_off_the_vocabulary(converted: Path, tmp_path: Path) -> None:
    assert weights.languages(converted) == ("en", "de", "haw")
    assert weights.languages(make(tmp_path / "en", toy_model(2000, multilingual=False))) == ("en",)


def test_reads_old_vocabularies_of_lines(converted: Path) -> None:
    tokens = json.loads((converted / "vocabulary.json").read_text(encoding="utf-8"))
    (converted / "vocabulary.json").unlink()
    (converted / "vocabulary.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    assert weights.languages(converted) == ("en", "de", "haw")


def test_reads_languages_off_the_tokenizer_of_transformers(tmp_path: Path) -> None:
    toy_whisper.write(tmp_path / "many", n_mels=128)
    languages = weights.languages(tmp_path / "many")
    assert len(languages) == 100 and languages[-1] == "yue"
    (tmp_path / "many" / "generation_config.json").write_text('{"is_multilingual": false}', encoding="utf-8")
    assert weights.languages(tmp_path / "many") == ("en",)
    toy_whisper.write(tmp_path / "one", multilingual=False)
    assert weights.languages(tmp_path / "one") == ("en",)
    (tmp_path / "one" / "vocab.json").unlink()
    with pytest.raises(ConfigurationError, match=r"no tokenizer\.json"):
        weights.languages(tmp_path / "one")


def test_a_damaged_vocabulary_is_told(converted: Path) -> None:
    (converted / "vocabulary.json").write_bytes(b"[")
    with pytest.raises(ConfigurationError, match="not a vocabulary"):
        weights.languages(converted)


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
