"""Loading: devices and number formats that exist, and clear words about those that do not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import structlog

from hearsay.engines import openvino_runtime
from hearsay.engines.openvino_runtime import best_precision
from hearsay.engines.whisper import encoder as encoders
from hearsay.engines.whisper import gpu_batch_size, loading
from hearsay.engines.whisper.ctranslate2_recognizer import CTranslate2Whisper
from hearsay.engines.whisper.encoder import CTranslate2Encoder, OpenVinoEncoder
from hearsay.engines.whisper.loading import DEFAULT_TYPES, choose_compute_type, choose_device
from hearsay.engines.whisper.openvino import decoder as decoders
from hearsay.engines.whisper.openvino.recognizer import NUMBER_FORMATS, OpenVinoWhisper
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import ConfigurationError, DownloadFailed, EngineFailed
from tests.support import toy_whisper

GPU = ctranslate2.get_cuda_device_count() > 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loading")
    convert(toy_whisper.write(folder / "toy").folder, folder / "made")
    return folder / "made"


def test_the_processor_computes_in_eight_bits(folder: Path) -> None:
    model = loading.load(folder, device="cpu", decoder="ctranslate2")
    assert model.device == "cpu"
    assert model.compute_type.startswith("int8")


def test_a_number_format_may_be_chosen(folder: Path) -> None:
    assert loading.load(folder, device="cpu", compute_type="float32").compute_type == "float32"


@pytest.mark.parametrize("decoder", ["openvino", "ctranslate2"])
def test_a_number_format_that_is_not_there_is_refused_whatever_decodes(folder: Path, decoder: str) -> None:
    with pytest.raises(ConfigurationError, match="'int3' does not work on cpu"):
        loading.load(folder, device="cpu", compute_type="int3", decoder=decoder)


needs_openvino = pytest.mark.skipif(
    not openvino_runtime.is_usable(), reason="OpenVINO has nothing for this machine"
)


@needs_openvino
@pytest.mark.parametrize("encoder", ["auto", "openvino"])
def test_openvino_encodes_where_it_can(folder: Path, encoder: str) -> None:
    model = loading.load(folder, device="cpu", encoder=encoder)
    assert isinstance(model.encoder, OpenVinoEncoder)
    assert model.encoder.precision == best_precision()


@needs_openvino
@pytest.mark.parametrize("best", ["f32", best_precision() if openvino_runtime.is_usable() else "f32"])
def test_both_halves_run_on_openvino_whether_or_not_the_processor_has_bf16(
    folder: Path, monkeypatch: pytest.MonkeyPatch, best: str
) -> None:
    monkeypatch.setattr(encoders, "best_precision", lambda: best)
    monkeypatch.setattr(decoders, "best_precision", lambda: best)
    with structlog.testing.capture_logs() as logs:
        model = loading.load(folder, device="cpu")
    assert logs == []
    assert isinstance(model, OpenVinoWhisper) and isinstance(model.encoder, OpenVinoEncoder)
    assert model.encoder.precision == best
    assert model.decoder.precision == ("bf16" if best == "bf16" else "int8")


@needs_openvino
def test_bfloat16_that_only_ctranslate2_has_is_refused_or_left_to_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ctranslate2.models

    opened: list[str] = []

    class Pretended:
        device = "cpu"
        device_index = (0,)

        def __init__(self, _: str, *, compute_type: str, **__: object) -> None:
            self.compute_type = compute_type
            opened.append(compute_type)

    monkeypatch.setattr(openvino_runtime, "computes_in", lambda precision: precision == "f32")
    monkeypatch.setattr(decoders, "best_precision", lambda: "f32")
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda *_: {"bfloat16", "float32"})
    monkeypatch.setattr(ctranslate2.models, "Whisper", Pretended)
    with pytest.raises(ConfigurationError, match="no instructions for an encoder in bf16"):
        loading.load(folder, device="cpu", compute_type="bfloat16", encoder="openvino")
    with pytest.raises(ConfigurationError, match="no instructions for a decoder in bf16"):
        loading.load(folder, device="cpu", compute_type="bfloat16", decoder="openvino")
    with structlog.testing.capture_logs() as logs:
        model = loading.load(folder, device="cpu", compute_type="bfloat16")
    assert isinstance(model, CTranslate2Whisper)
    assert opened == ["bfloat16"]
    assert [(entry["event"], entry["half"], "no instructions" in entry["reason"]) for entry in logs] == [
        ("openvino_passed_over", "encoder", True),
        ("openvino_passed_over", "decoder", True),
    ]


@needs_openvino
def test_who_chooses_float32_gets_it_everywhere(folder: Path) -> None:
    model = loading.load(folder, device="cpu", compute_type="float32")
    assert isinstance(model.encoder, OpenVinoEncoder)
    assert model.encoder.precision == "f32"


@needs_openvino
def test_a_model_of_which_nothing_would_compute_is_not_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory would be lost. Whichever half falls to it, it is there."""
    import ctranslate2.models

    opened = []
    real = ctranslate2.models.Whisper

    def note(path: str, **options: Any) -> Any:
        opened.append(path)
        return real(path, **options)

    monkeypatch.setattr(ctranslate2.models, "Whisper", note)
    model = loading.load(folder, device="cpu")
    assert isinstance(model, OpenVinoWhisper)
    assert opened == []
    assert model.compute_type == NUMBER_FORMATS[model.decoder.precision]
    assert (model.device, model.n_replicas) == ("cpu", 1)
    assert isinstance(loading.load(folder, device="cpu", decoder="ctranslate2"), CTranslate2Whisper)
    assert len(opened) == 1
    mixed = loading.load(folder, device="cpu", encoder="ctranslate2")
    assert isinstance(mixed, OpenVinoWhisper) and isinstance(mixed.encoder, CTranslate2Encoder)
    assert len(opened) == 2
    assert mixed.encoder.compute_type.startswith("int8")
    mixed.close()
    with pytest.raises(EngineFailed):
        mixed.encode([np.zeros((80, 3000), np.float32)])


@needs_openvino
def test_without_language_ids_only_the_decoder_of_our_own_works(folder: Path, tmp_path: Path) -> None:
    """It reads them off the vocabulary."""
    copy = shutil.copytree(folder, tmp_path / "model")
    config = copy / "config.json"
    config.write_text(config.read_text().replace("lang_ids", "forgotten"))
    assert len(loading.load(copy, device="cpu").languages) == 99
    with pytest.raises(ConfigurationError, match="without lang_ids"):
        loading.load(copy, device="cpu", decoder="ctranslate2")


def test_the_models_own_encoder_may_be_chosen(folder: Path) -> None:
    assert isinstance(loading.load(folder, device="cpu", encoder="ctranslate2").encoder, CTranslate2Encoder)


def test_unknown_encoders_come_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="auto, openvino, ctranslate2"):
        loading.load(folder, device="cpu", encoder="onnx")


def test_where_openvino_has_nothing_the_model_encodes_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "is_usable", lambda: False)
    with structlog.testing.capture_logs() as logs:
        assert isinstance(loading.load(folder, device="cpu").encoder, CTranslate2Encoder)
    assert [(entry["event"], entry["half"]) for entry in logs] == [
        ("openvino_passed_over", "encoder"),
        ("openvino_passed_over", "decoder"),
    ]
    with pytest.raises(ConfigurationError, match="OpenVINO is not installed"):
        loading.load(folder, device="cpu", encoder="openvino")


@needs_openvino
def test_an_encoder_that_cannot_be_compiled_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(OpenVinoEncoder, "_compiled", refuse)
    with structlog.testing.capture_logs() as logs:
        assert isinstance(loading.load(folder, device="cpu").encoder, CTranslate2Encoder)
    assert [(entry["event"], "no such kernel" in entry["reason"]) for entry in logs] == [
        ("openvino_passed_over", True)
    ]
    with pytest.raises(EngineFailed, match="no such kernel"):
        loading.load(folder, device="cpu", encoder="openvino")


def test_a_processor_is_one_replica_whichever_gpus_were_named(folder: Path) -> None:
    assert loading.load(folder, device="cpu", device_index=(0, 1)).n_replicas == 1


def test_every_gpu_that_is_named_holds_a_replica(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no GPU here: what is checked is what the runtime is asked for."""
    import ctranslate2.models

    asked: dict[str, Any] = {}

    class Pretended:
        device = "cuda"
        compute_type = "float16"

        def __init__(self, path: str, **options: Any) -> None:
            asked.update(options)
            self.device_index = options["device_index"]

        def encode(self, *_: object, **__: object) -> None:
            return None

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 3)
    monkeypatch.setattr(ctranslate2, "get_supported_compute_types", lambda *_: {"float16", "float32"})
    monkeypatch.setattr(ctranslate2.models, "Whisper", Pretended)
    free = {0: 8 << 20, 2: 1 << 30}
    monkeypatch.setattr(gpu_batch_size, "free_gpu_memory", lambda index: free[index])
    model = loading.load(folder, device="cuda", device_index=(0, 2), encoder="openvino")
    assert model.batch_windows == 1
    free[0] = 1 << 40
    assert loading.load(folder, device="cuda", device_index=(0, 2)).batch_windows > 8
    assert model.n_replicas == 2
    assert (asked["device_index"], asked["compute_type"]) == ([0, 2], "float16")
    assert isinstance(model.encoder, CTranslate2Encoder)


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
        assert loading.load(folder).device == "cpu"
    assert [(entry["event"], "libcublas" in entry["reason"]) for entry in logs] == [("gpu_passed_over", True)]


@pytest.mark.usefixtures("broken_gpu")
def test_a_gpu_that_was_asked_for_is_not_passed_over(folder: Path) -> None:
    with pytest.raises(EngineFailed, match=r"on cuda: Library libcublas"):
        loading.load(folder, device="cuda")


def test_a_folder_of_transformers_is_converted_beside_itself(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "models" / "toy", multilingual=False)
    model = loading.load(toy.folder, device="cpu")
    assert not model.multilingual
    assert model.languages == ("en",)
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "models" / ".converted").iterdir())
    assert names == [".lock", "toy"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_place_is_said_to_be_one(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "models" / "toy")
    (tmp_path / "models").chmod(0o500)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        loading.load(toy.folder, device="cpu")


def test_conversions_may_lie_elsewhere(tmp_path: Path) -> None:
    toy = toy_whisper.write(tmp_path / "toy")
    loading.load(toy.folder, device="cpu", conversions=tmp_path / "cache" / "made")
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "cache" / "made").iterdir())
    assert names == [".lock", "toy"]


def test_a_missing_tokenizer_is_found_before_the_weights_are_loaded(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(DownloadFailed, match="tokenizer"):
        loading.load(copy, device="cpu")


def test_what_the_runtime_says_is_passed_on(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "vocabulary.json").write_text("[")
    with pytest.raises(EngineFailed, match="could not be loaded"):
        loading.load(copy, device="cpu", decoder="ctranslate2")


def test_no_folder_is_a_mistake_of_the_operator(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no folder"):
        loading.load(tmp_path / "nowhere")
