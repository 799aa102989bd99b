"""Both runtimes compute the same, and tell the same of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.onnx_tts import network
from tests.support.paths import DATA

KOKORO = str(DATA / "toy-kokoro-raw" / "kokoro-v1.0.onnx")
FEED: dict[str, NDArray[Any]] = {
    "tokens": np.array([[0, 43, 44, 0]], np.int64),
    "style": np.full((1, 4), 0.5, np.float32),
    "speed": np.ones(1, np.float32),
}


@pytest.fixture(params=[True, False], ids=["openvino", "onnxruntime"])
def toy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> network.Network:
    pytest.importorskip("openvino" if request.param else "onnxruntime")
    monkeypatch.setattr(openvino_runtime, "is_usable", lambda: request.param)
    return network.load(KOKORO, 1)


def test_tells_the_types_of_its_inputs(toy: network.Network) -> None:
    assert toy.inputs == {name: value.dtype for name, value in FEED.items()}


def test_computes(toy: network.Network) -> None:
    audio = toy.infer(FEED)
    assert audio.shape == (4 * 960,) and audio.dtype == np.float32
    pitches = np.abs(np.fft.rfft(audio.reshape(4, 960))).argmax(axis=1) * 25
    assert pitches.tolist() == pytest.approx([0, 43 * 20, 44 * 20, 0], abs=25)
    assert np.abs(audio).max() == pytest.approx(0.5, abs=0.01)
    first = audio.copy()
    assert toy.infer(FEED | {"speed": np.array([2.0], np.float32)}).shape == (4 * 480,)
    assert np.array_equal(audio, first), "what was returned does not change"


def test_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"<html>")
    with pytest.raises(RuntimeError):
        network.load(str(tmp_path / "model.onnx"), 1)
