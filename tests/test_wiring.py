"""From settings to objects: nothing that an operator chose gets lost on the way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hearsay import samples, wiring
from hearsay.domain import Chunking, DecodeSettings, VadThresholds
from hearsay.engines import registry
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.silero import detector as silero
from hearsay.errors import Overloaded
from hearsay.media import decoding
from hearsay.scheduling.batcher import BatchLimits
from hearsay.settings import Settings
from tests.models.test_checksums import make
from tests.support.local_hub import toy_model


def test_the_catalogue_is_the_one_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "mine", toy_model(2000))
    settings = Settings(
        models_folder=tmp_path / "models",
        models={"mine": folder},
        aliases={"whisper-1": "fake"},
        model="mine",
        hub_endpoint="http://hub.test",
        downloads=False,
        device="cpu",
        device_index=(2,),
        compute_type="int8",
        cpu_threads=3,
        whisper_encoder="ctranslate2",
        whisper_decoder="openvino",
        fake_engine=True,
    )
    models = wiring.catalogue(settings)
    assert models.models_folder == tmp_path / "models"
    assert (models.card().id, models.card("whisper-1").id) == ("mine", "fake")
    assert models.hub.address() == "http://hub.test" and models.hub.closed()
    asked: dict[str, Any] = {}

    def load(folder: Path, **runtime: Any) -> FakeWindowRecognizer:
        asked.update(runtime)
        return FakeWindowRecognizer()

    monkeypatch.setattr("hearsay.engines.whisper.loading.load", load)
    models.load(models.card("mine"))
    asked.pop("conversions")
    assert asked == {
        "device": "cpu",
        "device_index": (2,),
        "compute_type": "int8",
        "cpu_threads": 3,
        "encoder": "ctranslate2",
        "decoder": "openvino",
    }


def test_offline_closes_the_hub_too(tmp_path: Path) -> None:
    assert wiring.catalogue(Settings(models_folder=tmp_path, offline=True)).hub.closed()


def test_the_size_of_batches_is_the_operators_or_else_the_engines(tmp_path: Path) -> None:
    assert wiring.batch_limits(Settings(models_folder=tmp_path)) is None
    limits = wiring.batch_limits(Settings(models_folder=tmp_path, batch_size=32))
    assert limits == BatchLimits(windows=32, encodes=8)


def test_the_pool_has_the_limits_described(tmp_path: Path) -> None:
    settings = Settings(
        models_folder=tmp_path,
        fake_engine=True,
        model="fake",
        max_waiting=0,
        max_loaded_models=1,
        idle_unload_seconds=0.001,
    )

    async def scenario() -> None:
        pool = wiring.pool(settings, wiring.catalogue(settings))
        async with await pool.lease():
            with pytest.raises(Overloaded):
                await pool.lease()
        async with asyncio.timeout(10):
            while pool.loaded():
                await asyncio.sleep(0.001)
        await pool.close()

    asyncio.run(scenario())


def test_the_search_is_the_one_described() -> None:
    assert wiring.decode_settings(Settings()) == DecodeSettings()
    settings = Settings(
        beam_size=1,
        best_of=2,
        temperatures=(0.0, 0.5),
        condition_on_previous_text=False,
        chunking="sequential",
        vad_threshold=0.25,
        vad_min_silence_seconds=1,
        vad_padding_seconds=0.125,
        short_windows=True,
    )
    assert wiring.decode_settings(settings) == DecodeSettings(
        beam_size=1,
        best_of=2,
        temperatures=(0.0, 0.5),
        condition_on_previous_text=False,
        chunking=Chunking.SEQUENTIAL,
        vad=VadThresholds(threshold=0.25, min_silence=1.0, padding=0.125),
        short_windows=True,
    )


def test_all_share_one_detector_which_hears_speech() -> None:
    with ThreadPoolExecutor(4) as threads:
        (detector,) = set(threads.map(lambda _: silero.shared(), range(8)))
    assert registry.speech_detector(registry.recognizer_cards()[0]) is detector
    assert registry.speech_detector(fake_cards.fake()) is None
    assert detector.open().feed(decoding.load(samples.HELLO).samples()).max() > 0.9
