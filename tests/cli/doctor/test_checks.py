"""The checks of `hearsay doctor`: what each finds, and what it calls broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from hearsay.cli.doctor import checks as look
from hearsay.cli.doctor.checks import Finding, State
from hearsay.domain import Samples
from hearsay.engines import engine_spec, registry
from hearsay.engines.hardware import GIB, Machine
from hearsay.engines.protocols import SpeechDetector
from hearsay.errors import EngineFailed
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.settings import Settings, resolve
from hearsay.storage.api_keys import KeyFile
from tests.cli.doctor.test_command import Knowing
from tests.models.test_checksums import make
from tests.support.local_hub import LocalHub, serving, toy_model
from tests.support.local_index import LocalIndex, point_pip_to, serving_index

run = CliRunner()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    hub = Hub(allowed=False, cache=tmp_path / "hub")
    return Catalogue(models_folder=tmp_path / "models", hub=hub, machine=Machine(2, 4 * GIB), offer_fake=True)


def states(findings: Iterator[Finding]) -> dict[str, State]:
    return {finding.subject: finding.state for finding in findings}


def test_an_engine_that_fails_is_broken(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(card: Any) -> None:
        raise EngineFailed("no memory")

    monkeypatch.setattr(catalogue, "load", load)
    found = look.self_test(catalogue, catalogue.card("fake"))
    assert (found.state, found.detail) == (State.BROKEN, "no memory")


def test_the_embedded_voice_says_a_word(catalogue: Catalogue) -> None:
    found = look.speaking_test(catalogue, catalogue.named("espeak-ng"))
    assert found.state is State.FINE and "says a word of 0." in found.detail


def test_a_voice_that_says_nothing_is_broken(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    card = catalogue.named("fake-voice")
    assert look.speaking_test(catalogue, card).state is State.FINE
    monkeypatch.setattr(look, "AUDIBLE", 32768)
    found = look.speaking_test(catalogue, card)
    assert found.state is State.BROKEN and "nothing can be heard" in found.detail
    monkeypatch.setattr(look, "WORD", "-")
    assert "Nothing in the input" in look.speaking_test(catalogue, card).detail
    found = look.speaking_test(catalogue, catalogue.named("fake"))
    assert found.state is State.BROKEN and "cannot speak" in found.detail


def test_the_test_engine_is_not_expected_to_understand(catalogue: Catalogue) -> None:
    found = look.self_test(catalogue, catalogue.card("fake"))
    assert found.state is State.NOTE and "word0" in found.detail


def test_says_what_computes() -> None:
    half = SimpleNamespace(precision="bf16")
    whisper = SimpleNamespace(device="cpu", compute_type="int8", encoder=half, decoder=object())
    assert look.computed_by(whisper) == ", encoder on OpenVINO in bf16, decoder on CTranslate2 int8 on cpu"
    own = SimpleNamespace(compute_type="int8_float32")
    whisper = SimpleNamespace(device="cpu", compute_type="bfloat16", encoder=own, decoder=half)
    assert look.computed_by(whisper) == (
        ", encoder on CTranslate2 int8_float32 on cpu, decoder on OpenVINO in bf16"
    )
    assert look.computed_by(Knowing("")) == ""


def test_damaged_weights_are_broken(catalogue: Catalogue, tmp_path: Path) -> None:
    assert states(look.weights(catalogue)) == {"weights": State.NOTE, "voices": State.NOTE}
    folder = make(tmp_path / "models" / "Systran--faster-whisper-base", toy_model(2000))
    make(tmp_path / "models" / "Systran--faster-whisper-tiny", toy_model(2000))
    (folder / "model.bin").write_bytes(b"")
    found = states(look.weights(catalogue))
    assert found == {
        "weights of whisper-base": State.BROKEN,
        "weights of whisper-tiny": State.FINE,
        "voices": State.NOTE,
    }


def test_folders_that_cannot_be_written_are_broken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    flags = {"models_folder": tmp_path / "file" / "models", "work_folder": tmp_path}
    found = states(look.configuration(resolve(flags=flags | {"keys_file": tmp_path / "new" / "keys.json"})))
    assert found["models folder"] is State.BROKEN
    assert found["work folder"] is not State.BROKEN and found["key folder"] is not State.BROKEN
    assert not (tmp_path / "new").exists()


def test_keys_that_others_may_read_are_broken(tmp_path: Path) -> None:
    resolved = resolve(flags={"keys_file": tmp_path / "keys.json", "api_key": "x"})
    assert states(look.configuration(resolved))["keys"] is State.FINE
    KeyFile(tmp_path / "keys.json").add("a")
    (keys,) = (f for f in look.configuration(resolved) if f.subject == "keys")
    assert (
        keys.state is State.FINE and keys.detail.startswith("1 in ") and "1 from the settings" in keys.detail
    )
    (tmp_path / "keys.json").chmod(0o644)
    assert states(look.configuration(resolved))["keys"] is State.BROKEN
    (tmp_path / "keys.json").write_text("{", encoding="utf-8")
    assert states(look.configuration(resolved))["keys"] is State.BROKEN


def test_a_missing_library_is_broken_unless_only_speed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(look.software()) == {"hearsay": State.FINE, "libraries": State.FINE}
    gone = {"av", look.FASTER}
    monkeypatch.setattr(look, "_version", lambda name: None if name in gone else "1.0")
    libraries = [finding for finding in look.software() if finding.subject == "libraries"]
    assert [finding.state for finding in libraries] == [State.FINE, State.BROKEN, State.NOTE]
    assert "av" in libraries[1].detail and look.FASTER in libraries[2].detail


def test_an_openvino_that_does_not_compute_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearsay.engines.openvino_runtime.is_usable", lambda: False)
    libraries = [finding for finding in look.software() if finding.subject == "libraries"]
    assert [finding.state for finding in libraries] == [State.FINE, State.NOTE]
    assert "cannot compute here" in libraries[1].detail


def test_the_speech_detector_hears_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        frame_samples = 512

        def open(self) -> Deaf:
            return self

        def feed(self, samples: Samples) -> NDArray[np.float32]:
            return np.zeros(len(samples) // 512, np.float32)

        def finish(self) -> NDArray[np.float32]:
            return np.zeros(1, np.float32)

    def broken() -> SpeechDetector:
        raise EngineFailed("no network")

    assert look.speech_detector().state is State.FINE
    monkeypatch.setattr("hearsay.engines.silero.detector.shared", Deaf)
    assert look.speech_detector().state is State.BROKEN
    monkeypatch.setattr("hearsay.engines.silero.detector.shared", broken)
    assert look.speech_detector() == Finding("speech detector", State.BROKEN, "no network")


@pytest.mark.slow
def test_network_says_whether_each_source_answers_and_the_port_is_free(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARSAY_DOWNLOADS", "on")
    with serving(LocalHub({})) as local, serving_index(LocalIndex()) as index:
        point_pip_to(index.address, monkeypatch)
        port = int(local.address.rpartition(":")[2])
        models = Catalogue(
            models_folder=catalogue.models_folder, hub=Hub(local.address), machine=Machine(2, GIB)
        )
        wheel = next(card for card in models.cards() if card.packed).packed[0].members[0][0]
        index.add(wheel.name, wheel.version, {})
        found = states(look.network(Settings(port=port), models))
        assert found == {"hub": State.FINE, "package index": State.FINE, "port": State.NOTE}
        local.status, index.status = 500, 404
        found = states(look.network(Settings(port=0), models))
        assert found == {"hub": State.NOTE, "package index": State.NOTE, "port": State.FINE}
    *sources, _ = look.network(Settings(port=0, offline=True), catalogue)
    assert all(each.state is State.FINE and "switched off" in each.detail for each in sources)


@pytest.mark.parametrize(
    ("memory", "device", "library", "found"),
    [
        (0, "auto", True, [State.FINE]),
        (0, "cuda", True, [State.BROKEN]),
        (8 * GIB, "cpu", True, [State.FINE]),
        (8 * GIB, "auto", True, [State.FINE]),
        (8 * GIB, "auto", False, [State.FINE, State.BROKEN]),
    ],
)
def test_a_gpu_needs_its_library(memory: int, device: str, library: bool, found: list[State]) -> None:
    def load(name: str) -> None:
        if not library:
            raise OSError(name)

    assert [f.state for f in look.gpu(Machine(2, GIB, memory), device, load)] == found


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("processor: 0\nflags\t\t: fpu avx avx2 foo\n", ["avx", "avx2"]),
        ("Features\t: fp asimd i8mm\n", ["asimd", "i8mm"]),
        ("", []),
    ],
)
def test_reads_cpu_features(tmp_path: Path, text: str, features: list[str]) -> None:
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    assert look.cpu_features(tmp_path / "cpuinfo") == features
    assert look.cpu_features(tmp_path / "missing") == []


def test_likeness_is_about_words() -> None:
    assert look.likeness("Good MORNING, all!", "good morning all") == 1
    assert look.likeness("", "good morning") == 0
    assert 0.5 < look.likeness("good morning tall", "good morning all") < 0.9


def test_engines_are_listed_with_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = [engine for engine in registry.ENGINES if not engine.is_test]
    found = list(look.engines())
    assert [finding.subject for finding in found] == [f"engine {engine.name}" for engine in engines]
    assert {finding.state for finding in found} == {State.FINE}
    monkeypatch.setattr(
        engine_spec, "is_installed", lambda package: package not in ("openvino", "onnxruntime")
    )
    lacking = [finding for finding in look.engines() if finding.state is State.NOTE]
    assert [finding.subject for finding in lacking] == ["engine onnx_tts"]
    assert "openvino or onnxruntime is missing; `pip install onnxruntime`" in lacking[0].detail
