"""Whisper's encoder: CTranslate2's own, or on OpenVINO in the number format that this processor does well.

Knows no tokens and no decoder: windows of features in, states out. A format smaller than float32 is only used
on OpenVINO where its states are nearly those of float32, which is checked whenever weights are loaded.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.jobs import run_in_groups
from hearsay.engines.openvino_runtime import best_precision
from hearsay.engines.whisper.openvino import encoder_graph
from hearsay.errors import ConfigurationError, EngineFailed

_log = structlog.get_logger("hearsay.whisper")

Floats = NDArray[np.float32]

PRECISIONS = ("auto", "f32", "bf16", "f16")

_SAMPLE_FRAMES = 200
"""Length of the sample that a format is checked on: 2 s, a twentieth of the computation of a window."""

_MIN_COSINE = 0.99
"""Between the states of a position in a smaller format and in float32; a sound bf16 gives more than 0.999."""


class Encoder(Protocol):
    """The first half of a Whisper."""

    def encode(self, inputs: Sequence[Floats]) -> list[NDArray[Any]]:
        """Encode windows of `float32[n_mels, n_frames]`, at most 3000, each to `float[n_positions, width]`.

        Those of one length share a call. The states are in main memory.
        """

    def close(self) -> None:
        """Free memory; the encoder is unusable afterwards."""


class CTranslate2Encoder:
    """The encoder inside a `ctranslate2.models.Whisper`, wherever that computes, and in its number format."""

    def __init__(self, model: Any) -> None:
        """Wrap the encoder of a model, whose decoder may be in use as well."""
        self._model = model

    @property
    def compute_type(self) -> str:
        return str(self._model.compute_type)

    def encode(self, inputs: Sequence[Floats]) -> list[NDArray[Any]]:
        return run_in_groups(inputs, np.shape, self._encode)

    def close(self) -> None:
        """Free the model's memory, its decoder's too."""
        self._model.unload_model()

    def _encode(self, inputs: Sequence[Floats]) -> list[NDArray[Any]]:
        from ctranslate2 import DataType, StorageView

        try:
            view = self._model.encode(
                StorageView.from_array(np.ascontiguousarray(np.stack(inputs))), to_cpu=True
            )
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(f"The encoder failed: {error}") from error
        if view.dtype == DataType.bfloat16:
            view = view.to(DataType.float32)
        return list(np.asarray(view))


class OpenVinoEncoder:
    """A Whisper's encoder on the CPU; calls of several threads run one after the other."""

    def __init__(self, weights: Mapping[str, Floats], *, precision: str = "auto", n_threads: int = 0) -> None:
        """Compile an encoder from weights by CTranslate2's names.

        `precision` is `f32`, `bf16`, `f16`, or `auto` for what the processor does best; where a smaller one
        strays too far from f32, the log says so and f32 is used. `n_threads` of 0: as many as cores.
        Raises: `ConfigurationError` for a precision that is unknown or that the processor lacks,
        `EngineFailed` where compilation breaks.
        """
        if precision not in PRECISIONS:
            raise ConfigurationError(
                f"There is no precision {precision!r}; choose one of {', '.join(PRECISIONS)}."
            )
        if precision != "auto" and not openvino_runtime.computes_in(precision):
            raise ConfigurationError(
                f"This processor has no instructions for an encoder in {precision}; choose auto or f32."
            )
        self.precision = best_precision() if precision == "auto" else precision
        self._n_threads = n_threads
        self._lock = threading.Lock()
        self._requests: dict[int, Any] = {}
        try:
            self._model = encoder_graph.build_encoder(weights, bfloat16=self.precision == "bf16")
            self._n_mels = encoder_graph.n_mels(weights)
            self._full_frames = encoder_graph.full_frames(weights)
            self._check(weights)
            self._request(self._full_frames)
        except (RuntimeError, ValueError, KeyError) as error:
            raise EngineFailed(f"The encoder could not be compiled for this processor: {error}") from error

    def encode(self, inputs: Sequence[Floats]) -> list[Floats]:
        return run_in_groups(inputs, np.shape, self._encode)

    def close(self) -> None:
        with self._lock:
            self._requests.clear()
            self._model = None

    def _check(self, weights: Mapping[str, Floats]) -> None:
        """Fall back to float32 where a smaller format encodes a sample differently."""
        if self.precision == "f32":
            return
        sample = _sample(self._n_mels)
        states, expected = self._encode([sample])[0], self._reference(weights, sample)
        self._requests.clear()  # Its weights are laid out for shorter windows.
        products = np.sum(states * expected, axis=-1)
        norms = np.linalg.norm(states, axis=-1) * np.linalg.norm(expected, axis=-1)
        cosine = float(np.min(products / norms))
        if not cosine >= _MIN_COSINE:  # True for NaN, too.
            _log.warning("encoder_precision_refused", precision=self.precision, cosine=cosine)
            self.precision = "f32"
            self._model = encoder_graph.build_encoder(weights)

    def _reference(self, weights: Mapping[str, Floats], mel: Floats) -> Floats:
        """Encode in float32, layer by layer: `float32[n_mels, n_frames]` to `float32[n_positions, width]`."""
        states, compiled = mel[np.newaxis], {}
        for part in encoder_graph.build_parts(weights):
            if id(part.model) not in compiled:
                compiled[id(part.model)] = part.model, self._compiled(part.model, "f32")
            states = compiled[id(part.model)][1]([states, *part.weights(weights)])[0]
        result: Floats = states[0]
        return result

    def _encode(self, inputs: Sequence[Floats]) -> list[Floats]:
        batch = np.ascontiguousarray(np.stack(inputs))
        with self._lock:
            if self._model is None:
                raise EngineFailed("The encoder was closed.")
            if batch.shape[2] > self._full_frames:  # OpenVINO does not notice every time.
                n_frames = batch.shape[2]
                raise EngineFailed(f"The encoder failed: {n_frames} frames are over {self._full_frames}.")
            try:
                request = self._request(batch.shape[2])
                request.infer([batch], share_inputs=True)
            except RuntimeError as error:
                raise EngineFailed(f"The encoder failed: {error}") from error
            states = request.get_output_tensor(0).data
            return [each.copy() for each in states]  # The next call overwrites the tensor.

    def _request(self, n_frames: int) -> Any:
        """Return the inference request for windows of a length: full ones have their own, a tenth faster.

        That for shorter ones is compiled for the first of them, and holds a second copy of the weights.
        """
        length = n_frames if n_frames == self._full_frames else -1
        if length not in self._requests:
            self._model.reshape(openvino_runtime.module().PartialShape([-1, self._n_mels, length]))
            self._requests[length] = self._compiled(self._model, self.precision).create_infer_request()
        return self._requests[length]

    def _compiled(self, model: Any, precision: str) -> Any:
        config = {
            "INFERENCE_NUM_THREADS": self._n_threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # Other threads compute on these cores, too.
        }
        return openvino_runtime.core().compile_model(model, "CPU", config)


def _sample(n_mels: int) -> Floats:
    """Return speech-like features, `float32[n_mels, 200]`: slow changes over near bands, and noise."""
    band, frame = np.mgrid[0:n_mels, 0:_SAMPLE_FRAMES]
    waves = np.sin(band / 5 + frame / 31) * np.cos(frame / 7)
    noise = np.random.default_rng(0).normal(size=waves.shape)
    features: Floats = np.clip(0.6 * waves + 0.2 * noise, -1.0, 1.5).astype(np.float32)
    return features
