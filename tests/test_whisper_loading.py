"""Loading: devices and number formats that exist, and clear words about those that do not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
import structlog

from hearsay.engines import whisper
from hearsay.engines.whisper.loading import DEFAULT_TYPES, choose_compute_type, choose_device
from hearsay.errors import ConfigurationError, DownloadFailed, EngineFailed
from tests import toy_whisper

GPU = ctranslate2.get_cuda_device_count() > 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loading")
    whisper.convert(toy_whisper.write(folder / "toy").folder, folder / "made")
    return folder / "made"


def test_the_processor_computes_in_eight_bits(folder: Path) -> None:
    model = whisper.load(folder, device="cpu")
    assert model.device == "cpu"
    assert model.compute_type.startswith("int8")


def test_a_number_format_may_be_chosen(folder: Path) -> None:
    assert whisper.load(folder, device="cpu", compute_type="float32").compute_type == "float32"


def test_unknown_number_formats_come_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'int3' does not work on cpu.*float32.*int8"):
        choose_compute_type("cpu", "int3")


def test_every_default_is_a_format_of_the_runtime() -> None:
    assert choose_compute_type("cpu", "default") in DEFAULT_TYPES["cpu"]
    assert choose_compute_type("cpu", "auto") == "auto"


def test_unknown_devices_come_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="auto, cpu, cuda"):
        choose_device("tpu")


@pytest.mark.skipif(GPU, reason="this machine has a GPU")
def test_without_a_gpu_the_processor_is_chosen_and_a_wish_for_one_refused() -> None:
    assert choose_device("auto") == "cpu"
    with pytest.raises(ConfigurationError, match="no usable NVIDIA GPU"):
        choose_device("cuda")


@pytest.fixture
def broken_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that there is a GPU, on which loading works and computing does not."""
    import ctranslate2.models

    class Broken:
        def encode(self, *_: object, **__: object) -> None:
            raise RuntimeError("Library libcublas.so.12 is not found")

    real = ctranslate2.models.Whisper

    def opened(path: str, *, device: str, **options: Any) -> Any:
        return Broken() if device == "cuda" else real(path, device=device, **options)

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda *_: {"float16", "float32", "int8"})
    monkeypatch.setattr(ctranslate2.models, "Whisper", opened)


@pytest.mark.usefixtures("broken_gpu")
def test_a_gpu_that_cannot_compute_is_passed_over_and_the_log_says_why(folder: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        assert whisper.load(folder).device == "cpu"
    assert [(entry["event"], "libcublas" in entry["reason"]) for entry in logs] == [("gpu_passed_over", True)]


@pytest.mark.usefixtures("broken_gpu")
def test_a_gpu_that_was_asked_for_is_not_passed_over(folder: Path) -> None:
    with pytest.raises(EngineFailed, match=r"on cuda: Library libcublas"):
        whisper.load(folder, device="cuda")


def test_a_folder_of_transformers_is_converted_beside_itself(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "models" / "toy", multilingual=False)
    model = whisper.load(toy.folder, device="cpu")
    assert not model.multilingual
    assert model.languages == ("en",)
    assert [path.name.split("-")[0] for path in (tmp_path / "models" / ".converted").iterdir()] == ["toy"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_place_is_said_to_be_one(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "models" / "toy")
    (tmp_path / "models").chmod(0o500)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        whisper.load(toy.folder, device="cpu")


def test_conversions_may_lie_elsewhere(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    whisper.load(toy.folder, device="cpu", conversions=tmp_path / "cache" / "made")
    assert len(list((tmp_path / "cache" / "made").iterdir())) == 1


def test_a_missing_tokenizer_is_found_before_the_weights_are_loaded(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(DownloadFailed, match="tokenizer"):
        whisper.load(copy, device="cpu")


def test_what_the_runtime_says_is_passed_on(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "vocabulary.json").write_text("[")
    with pytest.raises(EngineFailed, match="could not be loaded"):
        whisper.load(copy, device="cpu")


def test_no_folder_is_a_mistake_of_the_operator(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder"):
        whisper.load(tmp_path / "nowhere")
