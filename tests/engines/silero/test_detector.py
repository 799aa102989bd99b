"""Silero gives what it gives on onnxruntime, in any portions, from any thread; it hears speech."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hearsay.domain import SAMPLE_RATE, Samples, SpeechSpan, VadThresholds
from hearsay.engines import openvino_runtime
from hearsay.engines.protocols import SpeechDetector
from hearsay.engines.silero import detector as silero
from hearsay.errors import EngineFailed
from hearsay.media import decoding
from hearsay.vad.chunking import stream_chunks
from hearsay.vad.spans import CONTEXT
from tests.support.paths import DATA, SHARED_AUDIO
from tests.support.speech import spans

CLIPS = DATA / "clips"
REAL = SHARED_AUDIO
GOLDEN = json.loads((DATA / "silero.json").read_text())["probabilities"]

needs_recordings = pytest.mark.skipif(not REAL.is_dir(), reason="no real recordings beside the checkout")


LOADERS = {"openvino": silero.load_openvino, "numpy": silero.load_numpy}


@pytest.fixture(scope="module", params=LOADERS)
def detector(request: pytest.FixtureRequest) -> silero.Silero:
    if request.param == "openvino" and not openvino_runtime.is_usable():
        pytest.skip("OpenVINO cannot compute on this machine")
    return LOADERS[request.param]()


def heard(detector: SpeechDetector, samples: Samples, n_portion: int = 1 << 30) -> NDArray[np.float32]:
    stream = detector.open()
    portions = [stream.feed(samples[i : i + n_portion]) for i in range(0, len(samples), n_portion)]
    return np.concatenate([*portions, stream.finish()])


def speech_of(detector: SpeechDetector, path: Path) -> list[SpeechSpan]:
    recording = decoding.load(path)
    probabilities = heard(detector, recording.samples())
    return spans(
        probabilities,
        VadThresholds(),
        frame_seconds=detector.frame_samples / SAMPLE_RATE,
        duration=recording.duration,
    )


def test_it_is_a_detector(detector: silero.Silero) -> None:
    assert isinstance(detector, SpeechDetector)


@pytest.mark.parametrize("clip", GOLDEN)
def test_probabilities_are_those_of_onnxruntime(detector: silero.Silero, clip: str) -> None:
    found = heard(detector, decoding.load(CLIPS / clip).samples())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, GOLDEN[clip], atol=1e-4)


@pytest.mark.parametrize("n_portion", [1, 511, 512, 513, 4000, 16_000])
def test_portions_give_what_the_whole_gives(detector: silero.Silero, n_portion: int) -> None:
    samples = decoding.load(CLIPS / "en-1-a.flac").samples()[: 16_000 if n_portion == 1 else None]
    np.testing.assert_allclose(heard(detector, samples, n_portion), heard(detector, samples), atol=1e-5)


def test_a_recording_longer_than_a_batch_goes_on_from_batch_to_batch(detector: silero.Silero) -> None:
    clip = decoding.load(CLIPS / "de-1-a.flac").samples()
    samples = np.tile(clip, 12)
    assert len(samples) > 5 * silero.BATCH_FRAMES * silero.FRAME_SAMPLES
    np.testing.assert_allclose(heard(detector, samples), heard(detector, samples, 7000), atol=1e-4)


def test_nothing_gives_nothing(detector: silero.Silero) -> None:
    assert heard(detector, np.zeros(0, np.float32)).shape == (0,)


def test_every_frame_is_counted_once(detector: silero.Silero) -> None:
    assert [len(heard(detector, np.zeros(n, np.float32))) for n in (1, 512, 513, 1024)] == [1, 1, 2, 2]


def test_streams_of_several_threads_do_not_meet(detector: silero.Silero) -> None:
    clips = [decoding.load(CLIPS / name).samples() for name in GOLDEN]
    alone = [heard(detector, clip, 3000) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: heard(detector, clip, 3000), clips * 5))
    for expected, found in zip(alone * 5, together, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["silence.flac", "noise.ogg"])
def test_silence_and_noise_are_no_speech(detector: silero.Silero, name: str) -> None:
    assert not [span for span in speech_of(detector, CLIPS / name) if span.certain]


def test_every_word_of_the_clips_lies_within_speech(detector: silero.Silero) -> None:
    for clip in json.loads((CLIPS / "manifest.json").read_text()):
        found = speech_of(detector, CLIPS / clip["file"])
        for segment in clip["segments"]:
            for word in segment["words"]:
                middle = (word["start"] + word["end"]) / 2
                assert any(span.start <= middle <= span.end for span in found), (clip["file"], word)


@needs_recordings
@pytest.mark.parametrize("name", sorted(path.name for path in REAL.glob("*.*") if path.suffix != ".json"))
def test_real_speech_is_found(detector: silero.Silero, name: str) -> None:
    recording = decoding.load(REAL / name)
    found = speech_of(detector, REAL / name)
    assert sum(span.end - span.start for span in found) > 0.4 * recording.duration
    assert list(stream_chunks(recording, detector, VadThresholds()))


@needs_recordings
@pytest.mark.parametrize("name", ["conversation-2spk.wav", "meeting-dev00.wav"])
def test_speech_is_where_people_heard_it(detector: silero.Silero, name: str) -> None:
    """Most of it is found, and nothing lies further from a span than a stretch reaches around its speech.

    (Turns as people marked them hold pauses, of up to 1.3 s here.)
    """
    (clip,) = [c for c in json.loads((REAL / "manifest.json").read_text()) if c["file"] == name]
    found = speech_of(detector, REAL / name)
    times = np.concatenate([np.arange(start, end, 0.01) for start, end, _ in clip["speakers"]])
    away = np.min([np.maximum(span.start - times, times - span.end) for span in found], axis=0)
    assert (away <= 0).mean() > 0.85
    assert away.max() < CONTEXT


def test_without_openvino_numpy_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> silero.Silero:
        raise AssertionError("OpenVINO was asked")

    monkeypatch.setattr(openvino_runtime, "is_usable", lambda: False)
    monkeypatch.setattr(silero, "load_openvino", refuse)
    assert silero.ASSET.is_file()
    clip = "en-1-a.flac"
    found = heard(silero.load(), decoding.load(CLIPS / clip).samples())
    np.testing.assert_allclose(found, GOLDEN[clip], atol=1e-4)


def test_openvino_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = silero.load_numpy()
    monkeypatch.setattr(openvino_runtime, "is_usable", lambda: True)
    monkeypatch.setattr(silero, "load_openvino", lambda: chosen)
    assert silero.load() is chosen


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("content", [b"not a network", b"", b"\x3a\xff"])
def test_a_broken_network_is_an_engine_that_failed(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "silero.onnx"
    broken.write_bytes(content)
    monkeypatch.setattr(silero, "ASSET", broken)
    with pytest.raises(EngineFailed, match="could not be loaded"):
        LOADERS[name]()


def test_without_the_network_there_is_no_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "ASSET", tmp_path / "silero.onnx")
    with pytest.raises(EngineFailed, match="could not be loaded"):
        silero.load()


def test_the_licence_travels_with_the_network() -> None:
    licence = (silero.ASSET.parent / "LICENSE").read_text()
    assert "Silero Team" in licence
    assert "Permission is hereby granted" in licence
