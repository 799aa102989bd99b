"""The catalogue: names and what they mean, defaults, what is installed, loading, pulling, removing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from hearsay.domain import ModelCard, Task
from hearsay.engines import registry
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.hardware import GIB, Machine
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import (
    ConfigurationError,
    DownloadFailed,
    ModelDownloading,
    ModelNotFound,
    ModelNotInstalled,
    UnsupportedOption,
)
from hearsay.models import hosted_names
from hearsay.models.catalogue import Catalogue, Runtime
from hearsay.models.hub import Hub
from hearsay.models.package_index import PackageIndex
from tests.models.test_checksums import make
from tests.models.test_hub import fill_cache
from tests.support import toy_whisper
from tests.support.local_hub import LocalHub, serving, toy_model

SMALL = Machine(cores=2, memory_bytes=4 * GIB)
BASE = "Systran/faster-whisper-base"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """Where a test's models are, and a catalogue over it with whatever else the test wants."""

    root: Path
    clock: Clock = field(default_factory=Clock)
    endpoint: str | None = None

    @property
    def cache(self) -> Path:
        return self.root / "hub"

    def catalogue(self, **wanted: Any) -> Catalogue:
        hub = Hub(endpoint=self.endpoint, allowed=self.endpoint is not None, cache=self.cache)
        defaults: dict[str, Any] = {
            "models_folder": self.root / "models",
            "hub": hub,
            "machine": SMALL,
            "clock": self.clock,
        }
        return Catalogue(**(defaults | wanted))

    def install(self, repository: str) -> Path:
        return make(self.root / "models" / repository.replace("/", "--"), toy_model(2000))

    def own(self, name: str, *, multilingual: bool = True) -> Path:
        return make(self.root / name, toy_model(2000, multilingual=multilingual))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stand in for the Whisper engine; collects what it was asked to load."""
    calls: list[tuple[Any, ...]] = []

    def load(folder: Path, **runtime: Any) -> FakeWindowRecognizer:
        calls.append(("load", folder, runtime))
        return FakeWindowRecognizer()

    monkeypatch.setattr("hearsay.engines.whisper.loading.load", load)
    return calls


# Names


def test_every_size_has_its_three_spellings_and_its_repository(house: House) -> None:
    catalogue = house.catalogue()
    sizes = (
        "tiny tiny.en base base.en small small.en medium medium.en large-v1 large-v2 large-v3 large-v3-turbo"
    )
    for size in sizes.split():
        for name in (size, f"whisper-{size}", f"openai/whisper-{size}", f"WHISPER-{size}".upper()):
            assert catalogue.card(name).id == f"whisper-{size}", name
        if size != "large-v3-turbo":
            assert (
                catalogue.card(f"Systran/faster-whisper-{size}").repository
                == f"Systran/faster-whisper-{size}"
            )
    assert catalogue.card("turbo").repository == "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
    assert catalogue.card("large").id == "whisper-large-v3"
    assert catalogue.card("openai/whisper-large").id == "whisper-large-v1"


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("distil-small.en", "distil-whisper-small.en"),
        ("distil-medium.en", "distil-whisper-medium.en"),
        ("distil-large-v2", "distil-whisper-large-v2"),
        ("distil-large-v3", "distil-whisper-large-v3-en"),
        ("distil-whisper-large-v3-en", "distil-whisper-large-v3-en"),
        ("distil-whisper/distil-large-v3.5", "distil-whisper-large-v3.5"),
        ("distil-whisper/distil-large-v3.5-ct2", "distil-whisper-large-v3.5"),
    ],
)
def test_other_families_have_their_names_too(house: House, name: str, id_: str) -> None:
    assert house.catalogue().card(name).id == id_


@pytest.mark.parametrize("name", [None, "", "auto", *hosted_names.HOSTED_RECOGNIZERS, "WHISPER-1"])
def test_absent_and_hosted_names_mean_the_default(house: House, name: str | None) -> None:
    house.install(BASE)
    assert house.catalogue().card(name).id == "whisper-base"
    assert house.catalogue(default="tiny").card(name).id == "whisper-tiny"


def test_unknown_names_get_the_nearest(house: House) -> None:
    with pytest.raises(
        ModelNotFound, match=r"`whisper-larg-v3` does not exist\. Did you mean .*whisper-large-v3"
    ):
        house.catalogue().card("whisper-larg-v3")
    with pytest.raises(ModelNotFound, match="models list"):
        house.catalogue().card("zzzzzz")
    with pytest.raises(ModelNotFound):
        house.catalogue().card("fake")
    assert house.catalogue(offer_fake=True).card("fake").engine == "fake"


def test_own_aliases_come_before_everything(house: House) -> None:
    catalogue = house.catalogue(
        aliases={"whisper-1": "tiny", "whisper-large-v3": "base", "mine": "openai/whisper-small"}
    )
    assert catalogue.card("whisper-1").id == "whisper-tiny"
    assert catalogue.card("Whisper-Large-V3").id == "whisper-base"
    assert catalogue.card("mine").id == "whisper-small"
    assert "whisper-1" not in catalogue.hosted_names or catalogue.aliases["whisper-1"] == "tiny"
    assert house.catalogue().hosted_names == (
        *hosted_names.HOSTED_RECOGNIZERS,
        *hosted_names.HOSTED_SYNTHESIZERS,
    )


def test_aliases_may_mean_each_other_and_the_default(house: House) -> None:
    catalogue = house.catalogue(
        aliases={
            "mine": "Ours",
            "ours": "whisper-base",
            "whisper-base": "tiny",
            "best": "auto",
            "top": "best",
        }
    )
    assert {catalogue.card(name).id for name in ("mine", "ours", "OURS", "whisper-base")} == {"whisper-tiny"}
    assert {catalogue.card(name).id for name in ("best", "top")} == {catalogue.card().id}
    assert house.catalogue(default="mine", aliases={"mine": "tiny"}).card().id == "whisper-tiny"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"aliases": {"a": "b"}}, "The alias a leads nowhere"),
        ({"aliases": {"a": "A"}}, "means itself"),
        ({"aliases": {"a": "b", "b": "c", "c": "b"}}, "means itself"),
        ({"default": "whisper-huge"}, "The default model leads nowhere.*Did you mean"),
        ({"local": {"mine": Path("/nowhere")}}, "no such folder"),
    ],
)
def test_choices_that_lead_nowhere_are_told_at_once(
    house: House, wanted: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        house.catalogue(**wanted)


def test_own_folders_are_models_under_their_names(house: House) -> None:
    folder = house.own("weights", multilingual=False)
    catalogue = house.catalogue(local={"whisper-tiny": folder, "Mine": folder})
    assert catalogue.card("mine").id == "Mine" and catalogue.card("Mine").tasks == {Task.TRANSCRIBE}
    assert catalogue.card("whisper-tiny").owner == "local"
    assert catalogue.folder(catalogue.card("mine")) == folder
    assert [card.id for card in catalogue.cards()][:2] == ["whisper-tiny", "Mine"]
    assert len([card for card in catalogue.cards() if card.id == "whisper-tiny"]) == 1


# Defaults


@pytest.mark.parametrize("name", [None, "auto", "whisper-1", "gpt-4o-transcribe"])
@pytest.mark.parametrize("task", [Task.TRANSCRIBE, Task.TRANSLATE])
def test_without_weights_the_default_is_to_be_installed(house: House, name: str | None, task: Task) -> None:
    catalogue = house.catalogue()
    card = catalogue.card(name, task)
    assert card.id == catalogue.recommended().id == "whisper-base"
    problem = catalogue.unready(card)
    assert problem is not None and "`hearsay models pull whisper-base`" in problem.message
    with pytest.raises(ModelNotInstalled):
        catalogue.load(card)


def test_without_weights_a_large_machine_gets_one_that_can_do_the_task(house: House) -> None:
    catalogue = house.catalogue(machine=Machine(cores=16, memory_bytes=64 * GIB))
    assert catalogue.card().id == "whisper-large-v3-turbo"
    assert catalogue.card(None, Task.TRANSLATE).id == "whisper-small"


def test_without_the_hub_the_index_s_best_is_recommended(house: House) -> None:
    large = Machine(cores=16, memory_bytes=64 * GIB)
    catalogue = house.catalogue(machine=large, hub=Hub("http://127.0.0.1:9", cache=house.cache))
    assert catalogue.card().id == "whisper-large-v3-turbo"
    assert (missing := catalogue.missing_default()) is not None
    assert catalogue.recommended().id == missing.id == "whisper-base"
    with FileLock(house.root / "models" / "Systran--faster-whisper-base.lock"):
        house.clock.now += 3
        problem = catalogue.unready(catalogue.card())
        assert catalogue.card().id == "whisper-base" and isinstance(problem, ModelDownloading)


def test_only_a_default_that_is_missing_is_downloaded(house: House, connected: LocalHub) -> None:
    def missing(**wanted: Any) -> str | None:
        found = house.catalogue(**wanted).missing_default()
        return None if found is None else found.id

    assert missing() == missing(default="whisper-1") == "whisper-base"
    assert missing(default="tiny") == "whisper-tiny"
    assert missing(hub=Hub(allowed=False), index=PackageIndex(allowed=False)) is None
    assert missing(local={"mine": house.own("mine")}) is None
    house.install("Systran/faster-whisper-tiny.en")
    assert missing() is None
    found = house.catalogue().missing_default(Task.TRANSLATE)
    assert found is not None and found.id == "whisper-base"


def test_auto_takes_the_best_that_is_installed(house: House) -> None:
    catalogue = house.catalogue()
    for repository, best in (
        ("Systran/faster-whisper-tiny.en", "whisper-tiny.en"),
        ("Systran/faster-whisper-large-v3", "whisper-large-v3"),
        ("Systran/faster-whisper-tiny", "whisper-tiny"),
        (BASE, "whisper-base"),
        ("Systran/faster-whisper-small", "whisper-base"),
    ):
        house.install(repository)
        house.clock.now += 10
        assert catalogue.card().id == best
    assert catalogue.unready(catalogue.card()) is None


def test_own_models_come_first_in_the_order_given(house: House) -> None:
    house.install(BASE)
    local = {"english": house.own("en", multilingual=False), "other": house.own("other")}
    assert house.catalogue(local=local).card().id == "english"
    assert house.catalogue(local=local).card(None, Task.TRANSLATE).id == "other"


def test_the_default_for_translation_can_translate(house: House) -> None:
    house.install("mobiuslabsgmbh/faster-whisper-large-v3-turbo")
    catalogue = house.catalogue()
    assert catalogue.card("whisper-1").id == "whisper-large-v3-turbo"
    assert catalogue.card("whisper-1", Task.TRANSLATE).id == "whisper-base"  # which is yet to be installed
    house.install("Systran/faster-whisper-small")
    house.clock.now += 10
    assert catalogue.card("whisper-1", Task.TRANSLATE).id == "whisper-small"


@pytest.mark.parametrize("name", ["turbo", "small.en", "distil-large-v3"])
def test_models_that_cannot_translate_say_so(house: House, name: str) -> None:
    with pytest.raises(UnsupportedOption, match="cannot translate to English") as error:
        house.catalogue().card(name, Task.TRANSLATE)
    assert error.value.param == "model"


def test_the_choice_is_remembered_for_a_moment(house: House) -> None:
    house.install("Systran/faster-whisper-tiny")
    catalogue = house.catalogue()
    assert catalogue.card().id == "whisper-tiny"
    house.install(BASE)
    assert catalogue.card().id == "whisper-tiny"
    house.clock.now += 3
    assert catalogue.card().id == "whisper-base"


# Weights


def test_weights_in_the_hubs_cache_count_whoever_left_them(house: House) -> None:
    catalogue = house.catalogue()
    card = catalogue.card("base")
    assert not catalogue.installed(card) and catalogue.folder(card) is None
    snapshot = fill_cache(house.cache, "guillaumekln/faster-whisper-base", toy_model(2000))
    assert catalogue.folder(card) == snapshot and catalogue.installed(card)
    assert catalogue.folder(card) != house.install(BASE) == catalogue.folder(card)


def test_a_known_model_without_weights_names_the_command(house: House) -> None:
    catalogue = house.catalogue()
    with pytest.raises(ModelNotInstalled, match="`hearsay models pull whisper-large-v3`") as error:
        catalogue.load(catalogue.card("openai/whisper-large-v3"))
    assert error.value.param == "model"


def test_loads_with_the_runtime_of_the_operator(house: House, engine: list[tuple[Any, ...]]) -> None:
    folder = house.install(BASE)
    catalogue = house.catalogue(runtime=Runtime("cpu", (1, 2), "int8", 3, "openvino", "ctranslate2"))
    assert isinstance(catalogue.load(catalogue.card()), FakeWindowRecognizer)
    runtime = {
        "device": "cpu",
        "device_index": (1, 2),
        "compute_type": "int8",
        "cpu_threads": 3,
        "encoder": "openvino",
        "decoder": "ctranslate2",
    }
    assert engine == [("load", folder, runtime | {"conversions": house.root / "models" / "converted"})]


@pytest.mark.parametrize(("cores", "threads"), [(3, 3), (64, 8)])
def test_takes_the_threads_that_the_machine_has(
    house: House, engine: list[tuple[Any, ...]], cores: int, threads: int
) -> None:
    house.install(BASE)
    catalogue = house.catalogue(machine=Machine(cores, 16 * GIB))
    catalogue.load(catalogue.card("base"))
    assert engine[0][2]["cpu_threads"] == threads


def test_the_test_engine_is_loaded_only_where_it_is_offered(house: House) -> None:
    catalogue = house.catalogue(offer_fake=True)
    assert isinstance(catalogue.load(catalogue.card("fake")), FakeWindowRecognizer)


def test_damaged_weights_are_not_loaded(house: House, engine: list[tuple[Any, ...]]) -> None:
    (house.install(BASE) / "model.bin").write_bytes(b"")
    catalogue = house.catalogue()
    with pytest.raises(
        DownloadFailed, match=r"damaged: model\.bin is not .* `hearsay models pull whisper-base` mends it"
    ):
        catalogue.load(catalogue.card("base"))
    own = house.own("own")
    (own / "config.json").write_bytes(b"{")
    catalogue = house.catalogue(local={"mine": own})
    with pytest.raises(DownloadFailed) as error:
        catalogue.load(catalogue.card("mine"))
    assert "models pull" not in error.value.message and str(own) in error.value.message
    assert engine == []


def test_hugging_face_folders_are_converted_beside_our_models(
    house: House, engine: list[tuple[Any, ...]]
) -> None:
    toy_whisper.write(house.root / "hf")
    catalogue = house.catalogue(local={"mine": house.root / "hf"})
    catalogue.load(catalogue.card("mine"))
    ((_, loaded, runtime),) = engine
    assert (loaded, runtime["conversions"]) == (house.root / "hf", house.root / "models" / "converted")


# Pulling and removing


@pytest.fixture
def connected(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with serving(LocalHub({BASE: toy_model(2000), "Systran/faster-whisper-tiny": toy_model(3000)})) as hub:
        house.endpoint = hub.address
        yield hub


def test_pulls_into_our_folder_and_switches_the_default(house: House, connected: LocalHub) -> None:
    catalogue = house.catalogue()
    assert not catalogue.installed(catalogue.card())
    folder = catalogue.pull("openai/whisper-base")
    assert folder == house.root / "models" / "Systran--faster-whisper-base"
    assert catalogue.card().id == "whisper-base"
    assert catalogue.check(catalogue.card(), thorough=True) == []
    n_requests = len(connected.requests)
    assert catalogue.pull("base") == folder
    assert len(connected.requests) == n_requests


@pytest.mark.parametrize("name", [None, "auto", "whisper-1"])
def test_without_a_name_pulls_what_suits(house: House, connected: LocalHub, name: str | None) -> None:
    assert house.catalogue().pull(name).name == "Systran--faster-whisper-base"


def test_damaged_weights_are_pulled_again_before_they_are_used(
    house: House, connected: LocalHub, engine: list[tuple[Any, ...]]
) -> None:
    catalogue = house.catalogue()
    folder = catalogue.pull("base")
    data = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(data[:-1] + b"\0")
    catalogue.load(catalogue.card("base"))
    assert (folder / "model.bin").read_bytes() == data
    assert [call[:2] for call in engine] == [("load", folder)]


def test_damage_in_the_hubs_cache_is_not_mended_there(
    house: House, connected: LocalHub, engine: list[tuple[Any, ...]]
) -> None:
    snapshot = fill_cache(house.cache, BASE, toy_model(2000))
    (snapshot / "model.bin").resolve().write_bytes(b"broken")
    catalogue = house.catalogue()
    catalogue.load(catalogue.card("base"))
    assert engine[0][1] == house.root / "models" / "Systran--faster-whisper-base"
    assert (snapshot / "model.bin").read_bytes() == b"broken"


def test_there_is_nothing_to_pull_for_embedded_and_own_models(house: House, connected: LocalHub) -> None:
    catalogue = house.catalogue(local={"mine": house.own("mine")})
    for name in ("espeak-ng", "mine"):
        with pytest.raises(ConfigurationError, match="nothing to download"):
            catalogue.pull(name)
    with pytest.raises(ModelNotFound):
        catalogue.pull("whisper-bas e")
    assert connected.requests == []


def test_removes_what_was_pulled_also_half_of_it(house: House, connected: LocalHub) -> None:
    catalogue = house.catalogue()
    folder = catalogue.pull("base")
    assert catalogue.remove("base") == folder
    assert not folder.exists() and not catalogue.installed(catalogue.card())
    half = make(folder.with_name(f"{folder.name}.part"), {"model.bin.partial": b"x"})
    catalogue.remove("base")
    assert not half.exists()
    with pytest.raises(ModelNotInstalled):
        catalogue.remove("base")


@pytest.mark.parametrize("name", ["whisper-1", "auto", ""])
def test_removes_nothing_by_a_name_for_the_default(house: House, name: str) -> None:
    folder = house.install(BASE)
    with pytest.raises(ConfigurationError, match="stands for the default model, whisper-base now"):
        house.catalogue().remove(name)
    assert folder.is_dir()


def test_waits_for_another_process_that_pulls_the_same_and_tells_how_far_it_is(
    house: House, connected: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearsay.models.store._LOOK_SECONDS", 0.01)
    catalogue = house.catalogue()
    folder = house.root / "models" / "Systran--faster-whisper-base"
    make(folder.with_name(f"{folder.name}.part"), {"model.bin.partial": b"x" * 1000})
    other = FileLock(f"{folder}.lock")
    other.acquire()
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        told.append(done)
        other.release()

    assert catalogue.pull("base", progress) == folder
    assert told[0] == 1000
    assert catalogue.installed(catalogue.card("base"))


def test_a_place_where_nothing_can_be_stored_is_named(house: House, connected: LocalHub) -> None:
    (house.root / "models" / "Systran--faster-whisper-base.lock").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="Nothing can be stored in"):
        house.catalogue().pull("base")


def test_removes_nothing_that_is_not_ours(house: House) -> None:
    own = house.own("mine")
    snapshot = fill_cache(house.cache, BASE, toy_model(2000))
    catalogue = house.catalogue(local={"mine": own})
    for name, reason in (
        ("mine", "will not delete"),
        ("base", re.escape(str(snapshot))),
        ("espeak-ng", "part of Hearsay"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            catalogue.remove(name)
    assert own.is_dir() and snapshot.is_dir()


def test_without_permission_nothing_is_downloaded(house: House) -> None:
    with pytest.raises(DownloadFailed, match="switched off"):
        house.catalogue().pull("base")


def ids(found: list[ModelCard]) -> list[str]:
    return [card.id for card in found]


def test_lists_every_model_once(house: House) -> None:
    assert sorted(ids(house.catalogue().cards())) == sorted(
        ids([*registry.recognizer_cards(), *registry.synthesizer_cards()])
    )


# With the real engine


@pytest.mark.parametrize("multilingual", [True, False])
def test_a_hugging_face_folder_becomes_a_model_that_recognises(house: House, multilingual: bool) -> None:
    toy_whisper.write(house.root / "hf", multilingual=multilingual)
    catalogue = house.catalogue(
        local={"mine": house.root / "hf"}, runtime=Runtime(device="cpu", cpu_threads=1)
    )
    card = catalogue.card()
    recognizer = catalogue.load(card)
    assert isinstance(recognizer, WhisperRecognizer)
    assert (recognizer.multilingual, recognizer.languages) == (multilingual, card.languages)
    recognizer.close()
    (converted,) = (path for path in (house.root / "models" / "converted").iterdir() if path.is_dir())
    assert (house.root / "models" / "converted" / ".lock").exists()
    before = (converted / "model.bin").stat().st_mtime_ns
    catalogue.load(card).close()
    assert (converted / "model.bin").stat().st_mtime_ns == before
    # The converted folder is a model in its own right, with the same abilities.
    again = house.catalogue(local={"again": converted}).card()
    assert (again.languages, again.tasks) == (card.languages, card.tasks)


def test_what_was_pulled_recognises(house: House, connected: LocalHub) -> None:
    toy_whisper.write(house.root / "hf")
    convert(house.root / "hf", house.root / "converted")
    connected.files[BASE] = {path.name: path.read_bytes() for path in (house.root / "converted").iterdir()}
    catalogue = house.catalogue(runtime=Runtime(device="cpu", cpu_threads=1))
    catalogue.pull()
    recognizer = catalogue.load(catalogue.card("whisper-1"))
    assert isinstance(recognizer, WhisperRecognizer) and recognizer.multilingual
    recognizer.close()
