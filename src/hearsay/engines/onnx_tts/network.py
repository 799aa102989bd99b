"""An ONNX model with one tensor of interest, on whichever runtime is installed.

Knows no voice. OpenVINO comes with the program where it has wheels; elsewhere onnxruntime (an extra) does the
same at the same speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime

_DTYPES = {"float": "float32", "double": "float64"}
"""What numpy calls otherwise than onnxruntime does."""


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded model."""

    inputs: Mapping[str, np.dtype[Any]]
    """The type of each input by its name."""
    infer: Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]
    """Return the first output; raises whatever its runtime does."""


def load(path: str, n_threads: int) -> Network:
    """Load a model for this machine's processor; raises whatever the runtime does."""
    return _openvino(path, n_threads) if openvino_runtime.is_usable() else _onnxruntime(path, n_threads)


def _openvino(path: str, n_threads: int) -> Network:
    config = {
        "INFERENCE_NUM_THREADS": n_threads,
        "INFERENCE_PRECISION_HINT": "f32",  # in bf16, a VITS loses count of its samples
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "CPU_RUNTIME_CACHE_CAPACITY": 0,  # It keeps something of every length of sentence: gigabytes in all.
        "ENABLE_CPU_PINNING": False,  # Other threads compute on these cores, too.
    }
    compiled = openvino_runtime.core().compile_model(path, "CPU", config)
    request = compiled.create_infer_request()
    inputs = {port.get_any_name(): np.dtype(port.get_element_type().to_dtype()) for port in compiled.inputs}
    return Network(inputs, lambda feed: np.array(request.infer(dict(feed))[0]))


def _onnxruntime(path: str, n_threads: int) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    types = {each.name: each.type.removeprefix("tensor(").removesuffix(")") for each in session.get_inputs()}
    inputs = {name: np.dtype(_DTYPES.get(type_, type_)) for name, type_ in types.items()}
    return Network(inputs, lambda feed: np.asarray(session.run(None, dict(feed))[0]))
