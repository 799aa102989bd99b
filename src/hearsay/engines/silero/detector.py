"""Silero VAD v6: the probability of speech, 32 ms by 32 ms.

Knows neither spans nor thresholds: those are `vad.spans`'. The network sees 512 samples with the 64 before
them, and carries the state of an LSTM from frame to frame; its graph takes many frames in one call.
Source: github.com/snakers4/silero-vad; the graph is faster-whisper's (`assets/LICENSE` names both).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from hearsay.domain import Samples
from hearsay.engines import openvino_runtime
from hearsay.engines.onnx_file import read_tensors
from hearsay.engines.silero.numpy_network import Floats, NumpyNetwork
from hearsay.errors import EngineFailed

ASSET = Path(__file__).parent / "assets" / "silero_vad_v6.onnx"

FRAME_SAMPLES = 512
"""Samples in a frame: 32 ms."""

CONTEXT_SAMPLES = 64
"""Samples before a frame that the network sees with it."""

STATE_SHAPE = (1, 1, 128)
"""Shape of each of the LSTM's two states, h and c."""

BATCH_FRAMES = 128
"""Frames in a call; more are no faster (measured from 128 to 18,750)."""

Network = Callable[[Floats, Floats, Floats], tuple[Floats, Floats, Floats]]
"""Takes `float32[n, 576]`, h and c; returns `float32[n]` and the h and c after it."""


def load() -> Silero:
    """Load the network that comes with the package, on OpenVINO where that can compute, else in NumPy.

    NumPy is 0.6 times as fast (measured), and holds the interpreter's lock. Raises `EngineFailed`.
    """
    return load_openvino() if openvino_runtime.is_usable() else load_numpy()


def load_openvino() -> Silero:
    """Compile the network for OpenVINO. Raises `EngineFailed`."""
    # One thread: frames follow each other, and a second would win a fifth of the time at most. Precision f32:
    # bf16 moves probabilities by up to 0.3. No pinning: streams of several recordings share the cores.
    config = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    try:
        core = openvino_runtime.core()
        compiled = core.compile_model(core.read_model(ASSET), "CPU", config)
    except (ImportError, RuntimeError) as error:
        raise EngineFailed(f"Silero's speech detector could not be loaded: {error}") from error
    return Silero(lambda: partial(_infer, compiled.create_infer_request()))


def load_numpy() -> Silero:
    """Load the network in NumPy. Raises `EngineFailed`."""
    try:
        network = NumpyNetwork(read_tensors(ASSET))
    except (OSError, ValueError, KeyError) as error:
        raise EngineFailed(f"Silero's speech detector could not be loaded: {error}") from error
    return Silero(lambda: network)


def _infer(request: Any, frames: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
    """Run the network on OpenVINO. Raises `EngineFailed`."""
    try:
        request.infer({"input": frames, "h": h, "c": c}, share_inputs=True)
    except RuntimeError as error:
        raise EngineFailed(f"Silero's speech detector broke down: {error}") from error
    # The request writes its next results into the same memory.
    probabilities, h, c = (request.get_output_tensor(n).data.copy() for n in range(3))
    return probabilities.reshape(-1), h, c


class Silero:
    """A `SpeechDetector`, whose streams share the network's weights."""

    frame_samples = FRAME_SAMPLES

    def __init__(self, network: Callable[[], Network]) -> None:
        """Take a function that returns a network which one stream may run beside others."""
        self._network = network

    def open(self) -> SileroStream:
        return SileroStream(self._network())


class SileroStream:
    """A `SpeechStream`: the network's state over one recording."""

    def __init__(self, network: Network) -> None:
        self._network = network
        # The context of the next frame, and the samples of that frame so far.
        self._rest = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._h = np.zeros(STATE_SHAPE, np.float32)
        self._c = np.zeros(STATE_SHAPE, np.float32)

    def feed(self, samples: Samples) -> Floats:
        pending = np.concatenate([self._rest, samples], dtype=np.float32)
        n_frames = (len(pending) - CONTEXT_SAMPLES) // FRAME_SAMPLES
        self._rest = pending[n_frames * FRAME_SAMPLES :].copy()
        if n_frames == 0:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(pending, CONTEXT_SAMPLES + FRAME_SAMPLES)
        frames = windows[::FRAME_SAMPLES]
        probabilities = np.empty(n_frames, np.float32)
        for start in range(0, n_frames, BATCH_FRAMES):
            batch = slice(start, start + BATCH_FRAMES)
            inputs = np.ascontiguousarray(frames[batch])
            probabilities[batch], self._h, self._c = self._network(inputs, self._h, self._c)
        return probabilities

    def finish(self) -> Floats:
        n_missing = FRAME_SAMPLES - (len(self._rest) - CONTEXT_SAMPLES)
        if n_missing == FRAME_SAMPLES:
            return np.zeros(0, np.float32)
        return self.feed(np.zeros(n_missing, np.float32))


def shared() -> Silero:
    """Return the speech detector of this process; the first call loads it. Raises: `EngineFailed`."""
    with _loading:
        return _shared()


_loading = threading.Lock()


@cache
def _shared() -> Silero:
    return load()
