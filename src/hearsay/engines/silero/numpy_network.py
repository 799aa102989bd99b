"""Silero VAD's network in NumPy, for machines without OpenVINO: the same probabilities, more slowly.

Knows no recording and no state but what it is handed. The weights are read out of the ONNX file itself, of
whose format (github.com/onnx/onnx, `onnx.proto`) nothing but named tensors of float32 is understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_GRAPH, _INITIALIZER = 7, 5
"""Fields of `ModelProto` and `GraphProto`."""

_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
"""Fields of `TensorProto`."""

_FLOAT = 1
"""`TensorProto.DataType.FLOAT`."""

_FRAME, _REFLECTED, _FFT, _HOP = 576, 64, 256, 128


class NumpyNetwork:
    """The network: a magnitude spectrogram of 4 columns, 4 convolutions, an LSTM, and a logistic unit."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        """Lay the weights out for products of matrices; names are those of the ONNX file."""
        self._basis = _turned(weights["encoder.feature_extractor.forward_basis_buffer"][:, 0])
        kernels = [weights[f"encoder.conv_layers.{n}.weight"] for n in range(4)]
        # `[out, in, tap]`; of the third and the fourth, some taps only ever meet the padding.
        used = [kernels[0], kernels[1], kernels[2][:, :, 1:], kernels[3][:, :, 1:2]]
        self._kernels = [_turned(kernel.transpose(0, 2, 1).reshape(len(kernel), -1)) for kernel in used]
        self._biases = [weights[f"encoder.conv_layers.{n}.bias"] for n in range(4)]
        self._from_input = _turned(weights["onnx::LSTM_209"][0])
        self._from_state = np.ascontiguousarray(weights["onnx::LSTM_210"][0])
        self._gate_bias = weights["onnx::LSTM_211"][0].reshape(2, -1).sum(axis=0)
        self._output = weights["decoder.conv1d.weight"].reshape(-1)
        self._output_bias = weights["decoder.conv1d.bias"]

    def __call__(self, frames: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        """Run over `float32[n, 576]` from the states h and c; give `float32[n]` and the states after it."""
        gates = self._encode(frames) @ self._from_input + self._gate_bias
        states, after = self._remember(gates, h.reshape(-1), c.reshape(-1))
        probabilities = _logistic(np.maximum(states, 0) @ self._output + self._output_bias)
        return probabilities, states[-1].reshape(h.shape), after.reshape(c.shape)

    def _encode(self, frames: Floats) -> Floats:
        """Turn `float32[n, 576]` into `float32[n, 128]`."""
        n = len(frames)
        whole = np.concatenate([frames, frames[:, -2 : -2 - _REFLECTED : -1]], axis=1)
        columns = np.lib.stride_tricks.sliding_window_view(whole, _FFT, axis=1)[:, ::_HOP]
        real, imaginary = np.split(columns.reshape(-1, _FFT) @ self._basis, 2, axis=1)
        found = np.sqrt(real**2 + imaginary**2).reshape(n, 4, -1)
        for layer, firsts in ((0, (0, 1, 2, 3)), (1, (0, 2))):  # with zeros on both sides: `Conv(pads=1)`
            padded = np.pad(found, ((0, 0), (1, 1), (0, 0)))
            taps = np.stack([padded[:, first : first + 3].reshape(n, -1) for first in firsts], axis=1)
            found = self._convolve(layer, taps)
        return self._convolve(3, self._convolve(2, found.reshape(n, -1)))

    def _convolve(self, layer: int, taps: Floats) -> Floats:
        found: Floats = np.maximum(taps @ self._kernels[layer] + self._biases[layer], 0)
        return found

    def _remember(self, gates: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats]:
        """Run the LSTM over `float32[n, 512]`, gates in ONNX's order (input, output, forget, cell)."""
        states = np.empty((len(gates), len(h)), np.float32)
        n = len(h)
        for t in range(len(gates)):
            gate = gates[t] + self._from_state @ h
            opened = _logistic(gate[: 3 * n])
            c = opened[2 * n :] * c + opened[:n] * np.tanh(gate[3 * n :])
            h = opened[n : 2 * n] * np.tanh(c)
            states[t] = h
        return states, c


def read_weights(file: Path) -> dict[str, Floats]:
    """Read every float32 tensor that an ONNX file holds by name. Raises `OSError`, `ValueError`."""
    weights = {}
    for graph in _messages(file.read_bytes(), _GRAPH):
        for tensor in _messages(graph, _INITIALIZER):
            fields = list(_fields(tensor))
            if (_DATA_TYPE, _FLOAT) not in fields:
                continue
            shape = [value for field, value in fields if field == _DIMS and isinstance(value, int)]
            parts = {field: value for field, value in fields if isinstance(value, bytes)}
            values = np.frombuffer(parts[_RAW_DATA], "<f4").astype(np.float32)
            weights[parts[_NAME].decode()] = values.reshape(shape)
    return weights


def _turned(matrix: Floats) -> Floats:
    return np.ascontiguousarray(matrix.T)


def _logistic(x: Floats) -> Floats:
    # 0.5 (1 + tanh(x / 2)) is the same and overflows nowhere.
    found: Floats = np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)
    return found


def _messages(message: bytes, wanted: int) -> Iterator[bytes]:
    return (value for field, value in _fields(message) if field == wanted and isinstance(value, bytes))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read the fields of a message: number and value. Source: protobuf.dev, encoding."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        match key & 7:
            case 0:
                value, at = _number(message, at)
                yield key >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _number(message, at)
            case 5:
                length = 4
            case other:
                raise ValueError(f"A field of wire type {other} is in no ONNX file.")
        yield key >> 3, message[at : at + length]
        at += length


def _number(message: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte, and say where it ends."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    raise ValueError("The file ends within a number.")
