"""Silero's network in NumPy computes what OpenVINO does."""

from __future__ import annotations

import numpy as np
import pytest

from hearsay.engines import openvino_runtime
from hearsay.engines.silero import detector as silero


@pytest.mark.skipif(not openvino_runtime.is_usable(), reason="OpenVINO cannot compute on this machine")
@pytest.mark.parametrize("loudness", [0.0, 1e-3, 0.1, 1.0, 100.0])
def test_it_computes_what_openvino_does_at_any_loudness(loudness: float) -> None:
    noise = np.random.default_rng(7).standard_normal(70_000).astype(np.float32) * np.float32(loudness)
    found = silero.load_numpy().open().feed(noise)
    np.testing.assert_allclose(found, silero.load_openvino().open().feed(noise), atol=1e-3)
