"""Silero VAD's network in NumPy, for machines without OpenVINO: the same probabilities, more slowly.

Knows neither the recording nor the file that the weights come from; states are passed in and out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_REFLECTED, _FFT, _HOP = 64, 256, 128


class NumpyNetwork:
    """The network: a magnitude spectrogram of 4 columns, 4 convolutions, an LSTM, and a logistic unit."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        """Lay the weights out for products of matrices; names are those of the ONNX file."""
        self._basis = _transposed(weights["encoder.feature_extractor.forward_basis_buffer"][:, 0])
        kernels = [weights[f"encoder.conv_layers.{n}.weight"] for n in range(4)]
        # `[out, in, tap]`; of the third and the fourth, some taps only ever meet the padding.
        used = [kernels[0], kernels[1], kernels[2][:, :, 1:], kernels[3][:, :, 1:2]]
        self._kernels = [_transposed(kernel.transpose(0, 2, 1).reshape(len(kernel), -1)) for kernel in used]
        self._biases = [weights[f"encoder.conv_layers.{n}.bias"] for n in range(4)]
        self._from_input = _transposed(weights["onnx::LSTM_209"][0])
        self._from_state = np.ascontiguousarray(weights["onnx::LSTM_210"][0])
        self._gate_bias = weights["onnx::LSTM_211"][0].reshape(2, -1).sum(axis=0)
        self._output = weights["decoder.conv1d.weight"].reshape(-1)
        self._output_bias = weights["decoder.conv1d.bias"]

    def __call__(self, frames: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
        """Run over `float32[n, 576]` from the states h and c; return `float32[n]` and the states after it."""
        gates = self._encode(frames) @ self._from_input + self._gate_bias
        states, after = self._lstm(gates, h.reshape(-1), c.reshape(-1))
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

    def _lstm(self, gates: Floats, h: Floats, c: Floats) -> tuple[Floats, Floats]:
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


def _transposed(matrix: Floats) -> Floats:
    return np.ascontiguousarray(matrix.T)


def _logistic(x: Floats) -> Floats:
    # 0.5 (1 + tanh(x / 2)) is the same and overflows nowhere.
    found: Floats = np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)
    return found
