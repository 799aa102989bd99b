"""From a folder of weights to a recogniser on the right device, in the right number format.

Knows no catalogue. What a device can compute in is asked of CTranslate2, never guessed from its name.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from hearsay.engines.whisper import tokens, weights
from hearsay.engines.whisper.conversion import converted
from hearsay.engines.whisper.features import WINDOW_FRAMES
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.engines.whisper.weights import Shape
from hearsay.errors import ConfigurationError, EngineFailed

_log = structlog.get_logger("hearsay.whisper")

DEVICES = ("auto", "cpu", "cuda")

DEFAULT_TYPES = {"cpu": ("int8", "float32"), "cuda": ("float16", "bfloat16", "float32")}
"""Number formats that a device should compute in, best first, when nobody chose one."""

MOST_THREADS = 8
"""Threads for the model when nobody chose a number; there may be fewer cores."""


def load(
    folder: Path,
    *,
    device: str = "auto",
    device_index: int = 0,
    compute_type: str = "default",
    cpu_threads: int = 0,
    conversions: Path | None = None,
) -> WhisperRecognizer:
    """Load a Whisper from a folder in CTranslate2's format, or in Hugging Face's with safetensors.

    The latter is converted first, once, into a folder inside `conversions` (default: `.converted` beside the
    folder). `compute_type` is one of CTranslate2's, or `default`: int8 on CPU, float16 on GPU. No threads
    given: as many as there are cores, at most eight. Under `auto` a GPU that is there but cannot compute
    (often for want of CUDA's libraries) is passed over, and the log says why.
    Raises: `DownloadFailed` for missing or damaged files, `ConfigurationError` for a folder that is no
    Whisper or a device or number format that this machine lacks, `EngineFailed` where loading breaks for
    another reason.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"There is no folder {folder}.")
    if not weights.is_converted(folder) and weights.is_transformers(folder):
        folder = converted(folder, conversions or folder.resolve().parent / ".converted")
    shape = weights.check(folder)
    vocabulary = tokens.read(folder)
    options = {"device_index": device_index, "intra_threads": cpu_threads or min(_n_cores(), MOST_THREADS)}
    chosen = choose_device(device)
    try:
        model = _open(folder, chosen, compute_type, shape, options)
    except EngineFailed as error:
        if device != "auto" or chosen == "cpu":
            raise
        _log.warning("gpu_passed_over", reason=error.message)
        model = _open(folder, "cpu", compute_type, shape, options | {"device_index": 0})
    if model.is_multilingual and not shape.n_languages:
        raise ConfigurationError(f"{folder} was converted without lang_ids in config.json; convert it again.")
    return WhisperRecognizer(model, vocabulary, shape, folder)


def _open(folder: Path, device: str, compute_type: str, shape: Shape, options: Mapping[str, int]) -> Any:
    """Give weights to the runtime, and on a GPU compute something, since only then missing libraries show."""
    from ctranslate2 import StorageView
    from ctranslate2.models import Whisper

    compute_type = choose_compute_type(device, compute_type, options["device_index"])
    try:
        model = Whisper(str(folder), device=device, compute_type=compute_type, **options)
        if device != "cpu":
            model.encode(
                StorageView.from_array(np.zeros((1, shape.n_mels, WINDOW_FRAMES), np.float32)), to_cpu=True
            )
    except (RuntimeError, ValueError) as error:
        raise EngineFailed(
            f"The Whisper model in {folder} could not be loaded on {device}: {error}"
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
