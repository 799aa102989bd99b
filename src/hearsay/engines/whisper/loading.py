"""Load a folder of Whisper weights as a recogniser on the right device, in the right number format.

Knows no catalogue. What a device can compute in is asked of the runtimes, never guessed from its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import structlog

from hearsay.engines import hardware, openvino_runtime
from hearsay.engines.whisper import tokenizer
from hearsay.engines.whisper.encoder import CTranslate2Encoder, OpenVinoEncoder
from hearsay.engines.whisper.log_mel import WINDOW_FRAMES
from hearsay.engines.whisper.logit_rules import TokenIds
from hearsay.engines.whisper.openvino.decoder import WhisperDecoder
from hearsay.engines.whisper.openvino.recognizer import OpenVinoWhisper
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.engines.whisper.weights import folder as weights
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.engines.whisper.weights.folder import Shape
from hearsay.errors import ConfigurationError, EngineFailed

if TYPE_CHECKING:
    from hearsay.engines.whisper.ctranslate2_recognizer import CTranslate2Whisper
    from hearsay.engines.whisper.recognizer import WhisperRecognizer

_log = structlog.get_logger("hearsay.whisper")

T = TypeVar("T")

DEVICES = ("auto", "cpu", "cuda")

DEFAULT_TYPES = {"cpu": ("int8", "float32"), "cuda": ("float16", "bfloat16", "float32")}
"""Number formats of CTranslate2 on each device under `default`, best first."""

RUNTIMES = ("auto", "openvino", "ctranslate2")
"""Runtimes of the encoder or the decoder on a CPU."""

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO's precision for each compute type that prescribes one."""

MAX_THREADS = 8
"""Most threads for the model where the number is left open; there may be fewer cores."""


def load(
    folder: Path,
    *,
    device: str = "auto",
    device_index: Sequence[int] = (0,),
    compute_type: str = "default",
    cpu_threads: int = 0,
    conversions: Path | None = None,
    encoder: str = "auto",
    decoder: str = "auto",
) -> WhisperRecognizer:
    """Load a Whisper from a folder in CTranslate2's format, or in Hugging Face's with safetensors.

    The latter is converted first, once, into a folder inside `conversions` (default: `.converted` beside the
    folder). `compute_type` is one of CTranslate2's, or `default`: float16 on GPU, and on CPU the best of each
    half's runtime, int8 for CTranslate2. `cpu_threads` of 0: as many as there are cores, at most eight. Under
    `auto` a GPU that is present but cannot compute (often for want of CUDA's libraries) is passed over, and
    the log says why. Each GPU of `device_index` holds a copy of the model. `encoder` and `decoder` name the
    runtimes of the two halves on a CPU: `openvino`, `ctranslate2`, or `auto` for the former where it works.
    Raises: `DownloadFailed` for missing or damaged files, `ConfigurationError` for a folder that is no
    Whisper or a device or number format that this machine lacks, `EngineFailed` where loading breaks for
    another reason.
    """
    for half, runtime in (("encoder", encoder), ("decoder", decoder)):
        if runtime not in RUNTIMES:
            raise ConfigurationError(f"There is no {half} {runtime!r}; choose one of {', '.join(RUNTIMES)}.")
    model = _open(folder, conversions, compute_type, cpu_threads or min(hardware.n_cores(), MAX_THREADS))
    chosen = choose_device(device)
    if chosen != "cpu":
        try:
            return model.load_on_gpus(chosen, list(device_index))
        except EngineFailed as error:
            if device != "auto":
                raise
            _log.warning("gpu_passed_over", reason=error.message)
    return model.load_on_cpu(encoder, decoder)


def _open(folder: Path, conversions: Path | None, compute_type: str, n_threads: int) -> _ModelFolder:
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.")
    if not weights.is_converted(folder) and weights.is_transformers(folder):
        from hearsay.engines.whisper.weights.conversion import converted

        folder = converted(folder, conversions or folder.resolve().parent / ".converted")
    return _ModelFolder(folder, weights.check(folder), tokenizer.read(folder), compute_type, n_threads)


@dataclass(frozen=True, slots=True)
class _ModelFolder:
    """A folder of weights in CTranslate2's format, and how recognisers are loaded from it."""

    folder: Path
    shape: Shape
    vocabulary: Vocabulary
    compute_type: str
    n_threads: int

    def load_on_gpus(self, device: str, indices: list[int]) -> CTranslate2Whisper:
        from hearsay.engines.whisper import gpu_batch_size
        from hearsay.engines.whisper.ctranslate2_recognizer import CTranslate2Whisper

        model = self._load_ctranslate2(device, indices)
        recognizer = CTranslate2Whisper(model, self.vocabulary, self.shape, self.folder)
        n_bytes = 4 if recognizer.compute_type.endswith("float32") else gpu_batch_size.HALF
        recognizer.batch_windows = gpu_batch_size.batch_windows(
            indices, self.shape, n_bytes=n_bytes, otherwise=recognizer.batch_windows
        )
        return recognizer

    def load_on_cpu(self, encoder_runtime: str, decoder_runtime: str) -> WhisperRecognizer:
        """Load each half into its runtime; CTranslate2's halves are those of one model."""
        choose_compute_type("cpu", self.compute_type)
        encoder = self._load_openvino("encoder", self._load_encoder, encoder_runtime)
        decoder = self._load_openvino("decoder", self._load_decoder, decoder_runtime)
        parts = self.vocabulary, self.shape, self.folder
        if decoder is None:
            from hearsay.engines.whisper.ctranslate2_recognizer import CTranslate2Whisper

            return CTranslate2Whisper(self._load_ctranslate2("cpu", [0]), *parts, encoder)
        return OpenVinoWhisper(
            *parts,
            encoder=encoder or CTranslate2Encoder(self._load_ctranslate2("cpu", [0])),
            decoder=decoder,
        )

    def _load_openvino(self, half: str, load_half: Callable[[], T], runtime: str) -> T | None:
        """Load a half into OpenVINO unless `runtime` is another; None, and a log entry, if `auto` fails."""
        if runtime == "ctranslate2":
            return None
        try:
            if not openvino_runtime.is_usable():
                raise ConfigurationError(
                    "OpenVINO is not installed, or knows no way to compute on this machine."
                )
            return load_half()
        except (ConfigurationError, EngineFailed) as error:
            if runtime != "auto":
                raise
            _log.warning("openvino_passed_over", half=half, reason=error.message)
            return None

    def _load_encoder(self) -> OpenVinoEncoder:
        return OpenVinoEncoder(
            Weights(self.folder / weights.BINARY),
            precision=PRECISIONS.get(self.compute_type, "auto"),
            n_threads=self.n_threads,
        )

    def _load_decoder(self) -> WhisperDecoder:
        return WhisperDecoder(
            Weights(self.folder / weights.BINARY),
            TokenIds.of(self.vocabulary, self.shape.n_vocab),
            alignment_heads=self.shape.alignment_heads,
            precision=PRECISIONS.get(self.compute_type, "auto"),
            n_threads=self.n_threads,
        )

    def _load_ctranslate2(self, device: str, indices: list[int]) -> Any:
        """Load the whole model into CTranslate2.

        On a GPU a window of silence is encoded, since missing libraries only show in computation.
        """
        from ctranslate2 import StorageView
        from ctranslate2.models import Whisper

        if self.vocabulary.multilingual and not self.shape.n_languages:
            raise ConfigurationError(
                f"{self.folder} was converted without lang_ids in config.json; convert it again."
            )
        compute_type = choose_compute_type(device, self.compute_type, indices[0])
        try:
            model = Whisper(
                str(self.folder),
                device=device,
                device_index=indices,
                compute_type=compute_type,
                intra_threads=self.n_threads,
            )
            if device != "cpu":
                silence = np.zeros((1, self.shape.n_mels, WINDOW_FRAMES), np.float32)
                model.encode(StorageView.from_array(silence), to_cpu=True)
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(
                f"The Whisper model in {self.folder} could not be loaded on {device}: {error}"
            ) from error
        return model


def choose_device(device: str) -> str:
    """Return `cpu` or `cuda`; `auto` takes a GPU where there is one. Raises: `ConfigurationError`."""
    import ctranslate2

    if device not in DEVICES:
        raise ConfigurationError(f"There is no device {device!r}; choose one of {', '.join(DEVICES)}.")
    n_gpus = ctranslate2.get_cuda_device_count()
    if device == "cuda" and n_gpus == 0:
        raise ConfigurationError(
            "The device 'cuda' was asked for, but this machine has no usable NVIDIA GPU."
        )
    if device == "auto":
        return "cuda" if n_gpus else "cpu"
    return device


def choose_compute_type(device: str, compute_type: str, device_index: int = 0) -> str:
    """Return a number format of CTranslate2. Raises: `ConfigurationError` where the device lacks it."""
    import ctranslate2

    supported: Collection[str] = ctranslate2.get_supported_compute_types(device, device_index)
    if compute_type == "default":
        is_exact = device != "cpu" or hardware.multiplies_bytes_exactly()
        return next(t for t in DEFAULT_TYPES[device] if t in supported and (is_exact or t != "int8"))
    if compute_type != "auto" and compute_type not in supported:
        names = ", ".join(["default", "auto", *sorted(supported)])
        raise ConfigurationError(
            f"The compute type {compute_type!r} does not work on {device} here; choose one of {names}."
        )
    return compute_type
