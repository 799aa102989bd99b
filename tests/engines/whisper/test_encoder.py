"""The encoder: CTranslate2's numbers from OpenVINO, in every format, for windows of every length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper import encoder
from hearsay.engines.whisper.encoder import CTranslate2Encoder, OpenVinoEncoder
from hearsay.engines.whisper.log_mel import LogMel
from hearsay.engines.whisper.openvino import encoder_graph
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.errors import ConfigurationError, EngineFailed
from hearsay.media import decoding
from tests.support import toy_whisper
from tests.support.paths import DATA

FIXTURE = DATA / "fixture-whisper"

pytestmark = pytest.mark.skipif(
    not openvino_runtime.is_usable(), reason="OpenVINO has nothing for this machine"
)

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(FIXTURE / "model.bin")


@pytest.fixture(scope="module")
def exact(weights: Weights) -> OpenVinoEncoder:
    return OpenVinoEncoder(weights, precision="f32", n_threads=2)


@pytest.fixture(scope="module")
def native() -> Iterator[CTranslate2Encoder]:
    from ctranslate2.models import Whisper

    model = Whisper(str(FIXTURE), device="cpu", compute_type="float32")
    yield CTranslate2Encoder(model)
    model.unload_model()


@pytest.fixture(scope="module")
def speech() -> list[Floats]:
    """Windows of three recordings of the fixture's languages."""
    clips = [sorted((DATA / "clips").glob(f"{language}-*"))[0] for language in ("de", "en", "es")]
    return [LogMel(decoding.load(clip), 80).window(0) for clip in clips]


def far(states: NDArray[Any], expected: NDArray[Any]) -> float:
    """Root mean square of the differences over that of the numbers."""
    return float(np.sqrt(np.mean((states - expected) ** 2) / np.mean(expected**2)))


def test_it_computes_what_ctranslate2_computes(
    exact: OpenVinoEncoder, native: CTranslate2Encoder, speech: list[Floats]
) -> None:
    assert len(speech) == 3
    assert exact.precision == "f32"
    for states, expected in zip(exact.encode(speech), native.encode(speech), strict=True):
        assert states.shape == (1500, 128)
        assert states.dtype == np.float32
        np.testing.assert_allclose(states, expected, atol=1e-4)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_it_computes_what_the_definition_says(tmp_path: Path, n_mels: int) -> None:
    toy = toy_whisper.write(tmp_path / "toy", n_mels=n_mels)
    convert(toy.folder, tmp_path / "made")
    ours = OpenVinoEncoder(Weights(tmp_path / "made" / "model.bin"), precision="f32", n_threads=1)
    mel = np.random.default_rng(5).normal(size=(n_mels, 3000)).astype(np.float32)
    np.testing.assert_allclose(ours.encode([mel])[0], toy_whisper.encode(toy, mel), atol=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_smaller_formats_give_nearly_the_same(
    weights: Weights, exact: OpenVinoEncoder, speech: list[Floats], precision: str
) -> None:
    if not openvino_runtime.computes_in(precision):
        pytest.skip(f"this processor does not compute in {precision}")
    small = OpenVinoEncoder(weights, precision=precision, n_threads=2)
    assert small.precision == precision
    for states, expected in zip(small.encode(speech), exact.encode(speech), strict=True):
        assert 0 < far(states, expected) < 0.01


def test_a_batch_gives_what_its_windows_give_alone_whatever_their_lengths(
    exact: OpenVinoEncoder, speech: list[Floats]
) -> None:
    lengths = (3000, 1000, 3000, 502, 1000)
    windows = [np.roll(speech[i % 3], -i, axis=1)[:, :length] for i, length in enumerate(lengths)]
    together = exact.encode(windows)
    assert [len(states) for states in together] == [length // 2 for length in lengths]
    for window, states in zip(windows, together, strict=True):
        np.testing.assert_allclose(states, exact.encode([window])[0], atol=1e-4)


@pytest.mark.parametrize("n_frames", [2, 40, 998, 2998])
def test_fewer_frames_are_encoded_as_ctranslate2_does(
    exact: OpenVinoEncoder, native: CTranslate2Encoder, speech: list[Floats], n_frames: int
) -> None:
    window = speech[0][:, :n_frames]
    (states,), (expected,) = exact.encode([window]), native.encode([window])
    assert states.shape == (n_frames // 2, 128)
    np.testing.assert_allclose(states, expected, atol=1e-4)


def test_more_frames_than_there_are_positions_are_refused(
    exact: OpenVinoEncoder, speech: list[Floats]
) -> None:
    with pytest.raises(EngineFailed, match="encoder failed"):
        exact.encode([np.concatenate([speech[0], speech[1]], axis=1)])
    assert len(exact.encode(speech[:1])) == 1  # It goes on after that.


def test_results_outlive_the_next_call(exact: OpenVinoEncoder, speech: list[Floats]) -> None:
    (first,) = exact.encode(speech[:1])
    before = first.copy()
    exact.encode(speech[1:2])
    np.testing.assert_array_equal(first, before)


def test_threads_take_turns(exact: OpenVinoEncoder, speech: list[Floats]) -> None:
    alone = [exact.encode([window])[0] for window in speech]
    with ThreadPoolExecutor(3) as threads:
        for _ in range(3):
            for states, expected in zip(
                threads.map(lambda w: exact.encode([w])[0], speech), alone, strict=True
            ):
                np.testing.assert_allclose(states, expected, atol=1e-5)


def test_nothing_in_nothing_out(exact: OpenVinoEncoder) -> None:
    assert exact.encode([]) == []


class Disturbed(Mapping[str, Floats]):
    """Weights of which some are not what they should be."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.changes: dict[str, Callable[[Floats], Floats]] = {}

    def __getitem__(self, name: str) -> Floats:
        values = self._weights[name]
        return self.changes[name](values) if name in self.changes else values

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


@pytest.mark.parametrize("fault", ["wrong", "no number"])
def test_a_format_that_strays_is_given_up_and_the_log_says_so(
    weights: Weights,
    monkeypatch: pytest.MonkeyPatch,
    speech: list[Floats],
    exact: OpenVinoEncoder,
    fault: str,
) -> None:
    wrong = Disturbed(weights)
    if fault == "no number":
        wrong.changes["encoder/layer_norm/beta"] = lambda values: np.full_like(values, np.nan)
    else:
        wrong.changes["encoder/layer_1/ffn/linear_1/weight"] = np.negative
    compiled = OpenVinoEncoder._compiled

    def miscompiled(self: OpenVinoEncoder, model: Any, precision: str) -> Any:
        return compiled(self, model if precision == "f32" else encoder_graph.build_encoder(wrong), precision)

    monkeypatch.setattr(OpenVinoEncoder, "_compiled", miscompiled)
    monkeypatch.setattr(
        openvino_runtime, "computes_in", lambda _: True
    )  # Where it does not, OpenVINO makes do.
    with structlog.testing.capture_logs() as logs:
        fallen = OpenVinoEncoder(weights, precision="bf16", n_threads=2)
    assert fallen.precision == "f32"
    assert [(entry["event"], entry["precision"]) for entry in logs] == [("encoder_precision_refused", "bf16")]
    np.testing.assert_allclose(fallen.encode(speech[:1])[0], exact.encode(speech[:1])[0], atol=1e-5)


def test_the_parts_compute_what_the_whole_does(weights: Weights, exact: OpenVinoEncoder) -> None:
    sample = encoder._sample(80)
    np.testing.assert_allclose(exact._reference(weights, sample), exact.encode([sample])[0], atol=1e-4)


def test_what_the_processor_does_well_is_taken(weights: Weights) -> None:
    chosen = openvino_runtime.best_precision()
    assert chosen in {"f32", "bf16", "f16"}
    assert OpenVinoEncoder(weights).precision == chosen


def test_unknown_precisions_come_with_the_known_ones(weights: Weights) -> None:
    with pytest.raises(ConfigurationError, match="auto, f32, bf16, f16"):
        OpenVinoEncoder(weights, precision="f8")


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_what_the_processor_lacks_is_refused(
    weights: Weights, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "computes_in", lambda precision: precision == "f32")
    with pytest.raises(ConfigurationError, match=f"no instructions.* {precision}; choose auto or f32"):
        OpenVinoEncoder(weights, precision=precision)
    assert OpenVinoEncoder(weights, precision="f32").precision == "f32"


def test_weights_that_lack_something_are_an_engine_that_failed(weights: Weights) -> None:
    some = {name: weights[name] for name in weights if not name.endswith("layer_1/ffn/linear_1/bias")}
    with pytest.raises(EngineFailed, match="could not be compiled"):
        OpenVinoEncoder(some, precision="f32")


def test_older_files_have_heads_of_64_channels(weights: Weights) -> None:
    some = {name: weights[name] for name in weights if name != "encoder/num_heads"}
    assert encoder_graph.n_heads(some) == encoder_graph.n_heads(weights) == 2
    assert encoder_graph.n_layers(some) == 2


def test_a_closed_encoder_is_gone(weights: Weights, speech: list[Floats]) -> None:
    closed = OpenVinoEncoder(weights, precision="f32")
    closed.close()
    with pytest.raises(EngineFailed, match="closed"):
        closed.encode(speech[:1])
