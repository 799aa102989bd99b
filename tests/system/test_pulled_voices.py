"""From the hub to the ear: neural voices pulled into a running server, which speaks with them at once.

The cards are the real ones; the hub is on this machine, and the weights are the toys.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hearsay.api.app import from_settings
from hearsay.domain import Task
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.settings import Settings
from tests.engines.onnx_tts.test_synthesizer import KOKORO, PHONEME_SECONDS, PIPER
from tests.models.test_catalogue import Clock
from tests.support.local_hub import LocalHub
from tests.support.local_hub import serving as serving_hub
from tests.support.server import serving

THORSTEN = "csukuangfj/vits-piper-de_DE-thorsten-medium"
KOKOROS = "csukuangfj/kokoro-multi-lang-v1_0"


def toys() -> dict[str, dict[str, bytes]]:
    """Return the repositories, in which there is more than is wanted."""
    piper = {path.name.replace("toy-low", "thorsten-medium"): path.read_bytes() for path in PIPER.iterdir()}
    (config,) = (name for name in piper if name.endswith(".json"))
    piper[config] = json.dumps(json.loads(piper[config]) | {"num_speakers": 1}).encode()
    kokoro = {path.name: path.read_bytes() for path in KOKORO.iterdir()}
    return {
        THORSTEN: piper | {"MODEL_CARD": b"x", "espeak-ng-data/phontab": b"x"},
        KOKOROS: kokoro | {"lexicon-us-en.txt": b"x", "dict/pos_dict/a.utf8": b"x"},
    }


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with serving_hub(LocalHub(toys())) as hub:
        yield hub


def say(http: httpx.Client, text: str, **wishes: object) -> httpx.Response:
    answer = http.post("/v1/audio/speech", json={"input": text, "response_format": "pcm", **wishes})
    assert answer.status_code == 200, answer.text
    return answer


def voices(http: httpx.Client) -> set[tuple[str, str]]:
    data = http.get("/v1/voices").json()["data"]
    return {(each["model"], voice["id"]) for each in data for voice in each["voices"]}


def test_a_running_server_speaks_with_what_another_process_pulls(tmp_path: Path, hub: LocalHub) -> None:
    clock = Clock()
    models = tmp_path / "models"
    catalogue = Catalogue(models_folder=models, hub=Hub(allowed=False), clock=clock)
    app = from_settings(
        Settings(models_folder=models, work_folder=tmp_path / "work", downloads=False, speech_processes=1),
        catalogue=catalogue,
    )
    elsewhere = Catalogue(models_folder=models, hub=Hub(endpoint=hub.address))
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        before = say(http, "Guten Tag.", model="tts-1", voice="onyx", language="de")
        assert catalogue.card(None, Task.SYNTHESIZE).id == "espeak-ng"
        for name, repository in (("piper-de-thorsten", THORSTEN), ("kokoro", KOKOROS)):
            assert elsewhere.pull(name).is_dir()
            assert not [path for _, path, _ in hub.requests if "MODEL_CARD" in path or "lexicon" in path]
            assert any(repository in path for _, path, _ in hub.requests)
        clock.now += 10

        assert {("kokoro-82m", "af_heart")} < voices(http)
        german = say(http, "Guten Tag.", model="tts-1", voice="onyx", language="de")
        named = say(http, "Guten Tag.", model="piper-de-thorsten", voice="thorsten")
        assert german.content == named.content != before.content
        english = say(http, "Hello world.", model="kokoro-82m", voice="af_heart")
        n_samples = len(english.content) // 2
        assert n_samples == round((13 + 2) * PHONEME_SECONDS * 24_000)
        by_default = say(http, "Hello world.", model="gpt-4o-mini-tts", voice="marin", language="en")
        assert by_default.content == english.content

        unknown = http.post(
            "/v1/audio/speech", json={"model": "kokoro-82m", "input": "Hello.", "voice": "af_hart"}
        )
        assert unknown.status_code == 400 and "`af_heart`" in unknown.text

        shutil.rmtree(models / "kokoro-82m")
        clock.now += 10
        assert not [each for each in voices(http) if each[0] == "kokoro-82m"]
        assert say(http, "Hello world.", model="tts-1", voice="alloy", language="en").content
