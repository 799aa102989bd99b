"""From a folder of weights to a recogniser on the right device, in the right number format.

Knows no catalogue. What a device can compute in is asked of the runtimes, never guessed from its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import structlog

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper import gpu_batch_size, tokenizer
from hearsay.engines.whisper.ctranslate2_recognizer import CTranslate2Whisper
from hearsay.engines.whisper.encoder import CTranslate2Encoder, OpenVinoEncoder
from hearsay.engines.whisper.log_mel import WINDOW_FRAMES
from hearsay.engines.whisper.logit_rules import Ids
from hearsay.engines.whisper.openvino.decoder import WhisperDecoder
from hearsay.engines.whisper.openvino.recognizer import OpenVinoWhisper
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.engines.whisper.tokenizer import Vocabulary
from hearsay.engines.whisper.weights import folder as weights
from hearsay.engines.whisper.weights.conversion import converted
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.engines.whisper.weights.folder import Shape
from hearsay.errors import ConfigurationError, EngineFailed

_log = structlog.get_logger("hearsay.whisper")

T = TypeVar("T")

DEVICES = ("auto", "cpu", "cuda")

DEFAULT_TYPES = {"cpu": ("int8", "float32"), "cuda": ("float16", "bfloat16", "float32")}
"""Number formats that a device should compute in, best first, when nobody chose one."""

RUNTIMES = ("auto", "openvino", "ctranslate2")
"""What may compute half a model on a CPU."""

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""What OpenVINO computes in where the operator chose a number format that leaves it no choice."""

MOST_THREADS = 8
"""Threads for the model when nobody chose a number; there may be fewer cores."""


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
    folder). `compute_type` is one of CTranslate2's, or `default`: float16 on GPU, and on CPU what each
    half's runtime does best there, int8 for CTranslate2. No threads given: as many as there are cores, at
    most eight. Under `auto` a GPU that is there but cannot compute
    (often for want of CUDA's libraries) is passed over, and the log says why. Each GPU of `device_index`
    holds a copy of the model. `encoder` and `decoder` say what computes the two halves on a CPU: `openvino`,
    `ctranslate2`, or `auto` for the former where it works.
    Raises: `DownloadFailed` for missing or damaged files, `ConfigurationError` for a folder that is no
    Whisper or a device or number format that this machine lacks, `EngineFailed` where loading breaks for
    another reason.
    """
    for half, wish in (("encoder", encoder), ("decoder", decoder)):
        if wish not in RUNTIMES:
            raise ConfigurationError(f"There is no {half} {wish!r}; choose one of {', '.join(RUNTIMES)}.")
    source = _source(folder, conversions, compute_type, cpu_threads or min(_n_cores(), MOST_THREADS))
    chosen = choose_device(device)
    if chosen != "cpu":
        try:
            return source.on_gpus(chosen, list(device_index))
        except EngineFailed as error:
            if device != "auto":
                raise
            _log.warning("gpu_passed_over", reason=error.message)
    return source.on_processor(encoder, decoder)


def _source(folder: Path, conversions: Path | None, compute_type: str, n_threads: int) -> _Source:
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.")
    if not weights.is_converted(folder) and weights.is_transformers(folder):
        folder = converted(folder, conversions or folder.resolve().parent / ".converted")
    return _Source(folder, weights.check(folder), tokenizer.read(folder), compute_type, n_threads)


@dataclass(frozen=True, slots=True)
class _Source:
    """A folder of weights in CTranslate2's format, from which recognisers are made."""

    folder: Path
    shape: Shape
    vocabulary: Vocabulary
    compute_type: str
    n_threads: int

    def on_gpus(self, device: str, indices: list[int]) -> CTranslate2Whisper:
        """Load the model onto each GPU."""
        recognizer = CTranslate2Whisper(self._open(device, indices), self.vocabulary, self.shape, self.folder)
        n_bytes = 4 if recognizer.compute_type.endswith("float32") else gpu_batch_size.HALF
        recognizer.batch_windows = gpu_batch_size.batch_windows(
            indices, self.shape, n_bytes=n_bytes, otherwise=recognizer.batch_windows
        )
        return recognizer

    def on_processor(self, encoder: str, decoder: str) -> WhisperRecognizer:
        """Make halves with OpenVINO where that is wished for and works; else they are the model's own."""
        choose_compute_type("cpu", self.compute_type)
        first = self._made("encoder", self._encoder, encoder)
        second = self._made("decoder", self._decoder, decoder)
        parts = self.vocabulary, self.shape, self.folder
        if second is None:
            return CTranslate2Whisper(self._open("cpu", [0]), *parts, first)
        own = first or CTranslate2Encoder(self._open("cpu", [0]))
        return OpenVinoWhisper(*parts, encoder=own, decoder=second)

    def _made(self, half: str, make: Callable[[], T], wish: str) -> T | None:
        """Make a half, if it is wished for; where that is left to us it may fail, and the log says why."""
        if wish == "ctranslate2":
            return None
        try:
            if not openvino_runtime.is_usable():
                raise ConfigurationError(
                    "OpenVINO is not installed, or knows no way to compute on this machine."
                )
            return make()
        except (ConfigurationError, EngineFailed) as error:
            if wish != "auto":
                raise
            _log.warning("openvino_passed_over", half=half, reason=error.message)
            return None

    def _encoder(self) -> OpenVinoEncoder:
        return OpenVinoEncoder(self._weights(), precision=self._precision(), n_threads=self.n_threads)

    def _decoder(self) -> WhisperDecoder:
        return WhisperDecoder(
            self._weights(),
            Ids.of(self.vocabulary, self.shape.n_vocab),
            alignment_heads=self.shape.alignment_heads,
            precision=self._precision(),
            n_threads=self.n_threads,
        )

    def _precision(self) -> str:
        return PRECISIONS.get(self.compute_type, "auto")

    def _weights(self) -> Weights:
        return Weights(self.folder / weights.BINARY)

    def _open(self, device: str, indices: list[int]) -> Any:
        """Return weights to CTranslate2.

        On a GPU compute something, since only then missing libraries show.
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


def choose_device(wish: str) -> str:
    """Choose `cpu` or `cuda`; `auto` takes a GPU where there is one. Raises `ConfigurationError`."""
    import ctranslate2

    if wish not in DEVICES:
        raise ConfigurationError(f"There is no device {wish!r}; choose one of {', '.join(DEVICES)}.")
    n_gpus = ctranslate2.get_cuda_device_count()
    if wish == "cuda" and n_gpus == 0:
        raise ConfigurationError(
            "The device 'cuda' was asked for, but this machine has no usable NVIDIA GPU."
        )
    if wish == "auto":
        return "cuda" if n_gpus else "cpu"
    return wish


def choose_compute_type(device: str, wish: str, device_index: int = 0) -> str:
    """Choose a number format of CTranslate2. Raises `ConfigurationError` where the device lacks it."""
    import ctranslate2

    supported: Collection[str] = ctranslate2.get_supported_compute_types(device, device_index)
    if wish == "default":
        return next(name for name in DEFAULT_TYPES[device] if name in supported)
    if wish != "auto" and wish not in supported:
        names = ", ".join(["default", "auto", *sorted(supported)])
        raise ConfigurationError(
            f"The compute type {wish!r} does not work on {device} here; choose one of {names}."
        )
    return wish


def _n_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
