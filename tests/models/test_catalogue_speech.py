"""The catalogue's models that speak: names, defaults, what is installed, loading, pulling, removing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hearsay.domain import Gender, ModelCard, Task, Voice
from hearsay.engines import engine_spec
from hearsay.engines.espeak import cards as espeak_cards
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.errors import ConfigurationError, ModelNotFound, ModelNotInstalled, UnsupportedOption
from hearsay.models import hosted_names
from hearsay.models.catalogue import Catalogue, Runtime
from tests.models.test_catalogue import BASE, House
from tests.models.test_hub import SPEAKER, toy_voice
from tests.support.engine_table import replace_engine
from tests.support.local_hub import LocalHub, serving

SPEECH = frozenset({Task.SYNTHESIZE})
ANNA = Voice("anna", "Anna", ("de",), Gender.FEMALE)

NEURAL = ModelCard(
    id="toy-voice",
    engine="onnx_tts",
    owner="tests",
    created=1,
    tasks=SPEECH,
    languages=("de",),
    context_window=0,
    aliases=("toy",),
    repository=SPEAKER,
    size_bytes=303_000,
    description="a voice for tests",
    voices=(ANNA,),
    extra={"files": ("*.onnx", "tokens.txt", "data/*")},
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Offer one neural voice before the embedded one, and stand in for both engines; collects loads."""
    calls: list[tuple[Any, ...]] = []

    def load(*place: Any, **runtime: Any) -> FakeSynthesizer:
        calls.append((*(part if isinstance(part, Path) else part.id for part in place), runtime))
        return FakeSynthesizer()

    files = {
        "is_model": lambda folder: (folder / "tokens.txt").is_file(),
        "damage": lambda folder: [] if (folder / "tokens.txt").is_file() else ["no voice"],
        "describe": lambda name, folder: replace(NEURAL, id=name, repository=None),
    }
    replace_engine(monkeypatch, "onnx_tts", cards=lambda: (NEURAL,), files=files)
    monkeypatch.setattr(engine_spec, "is_installed", lambda package: True)
    monkeypatch.setattr("hearsay.engines.onnx_tts.synthesizer.load", load)
    monkeypatch.setattr("hearsay.engines.espeak.synthesizer.load", load)
    german, female = Voice("de", "German", ("de",)), Voice("f3", "f3", ())
    replace_engine(monkeypatch, "espeak", voices=lambda: (german,), variants=lambda: (female,))
    return calls


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def install(house: House) -> Path:
    return lay(house.root / "models" / NEURAL.id, toy_voice())


def speaker(catalogue: Catalogue, name: str | None = None) -> str:
    return catalogue.card(name, Task.SYNTHESIZE).id


# Names and defaults


@pytest.mark.parametrize("name", [None, "", "auto", *hosted_names.HOSTED_SYNTHESIZERS, "TTS-1"])
def test_absent_and_hosted_names_mean_the_default_that_speaks(house: House, name: str | None) -> None:
    assert speaker(house.catalogue(), name) == espeak_cards.ESPEAK_NG
    assert speaker(house.catalogue(speaking="toy"), name) == NEURAL.id
    install(house)
    assert speaker(house.catalogue(), name) == NEURAL.id
    assert house.catalogue().is_default_name(name, Task.SYNTHESIZE)


def test_each_task_has_a_default_of_its_own(house: House) -> None:
    house.install(BASE)
    catalogue = house.catalogue(aliases={"best": "auto", "narrator": "tts-1"})
    for name in (None, "", "best"):
        assert catalogue.card(name).id == "whisper-base"
        assert speaker(catalogue, name) == espeak_cards.ESPEAK_NG
    assert speaker(catalogue, "narrator") == espeak_cards.ESPEAK_NG
    default = [card.id for card in catalogue.cards() if catalogue.is_default(card)]
    assert default == ["whisper-base", espeak_cards.ESPEAK_NG]
    assert not catalogue.is_default_name("tts-1") and not catalogue.is_default_name(
        "whisper-1", Task.SYNTHESIZE
    )


def test_whatever_a_name_can_do_it_has_a_model(house: House) -> None:
    catalogue = house.catalogue()
    assert catalogue.named("tts-1").id == catalogue.named("ESPEAK-NG").id == espeak_cards.ESPEAK_NG
    assert catalogue.named("whisper-1").id == catalogue.named("auto").id == "whisper-base"
    with pytest.raises(ModelNotFound):
        catalogue.named("tts-3")


@pytest.mark.parametrize("name", ["whisper-1", "gpt-4o-transcribe", "tiny"])
def test_a_model_that_only_listens_names_one_that_speaks(house: House, name: str) -> None:
    with pytest.raises(UnsupportedOption, match=r"cannot speak\. `espeak-ng` can, and is installed") as error:
        house.catalogue().card(name, Task.SYNTHESIZE)
    assert error.value.param == "model"


@pytest.mark.parametrize("name", ["tts-1", "playai-tts", "espeak-ng", "toy-voice"])
@pytest.mark.parametrize("task", [Task.TRANSCRIBE, Task.TRANSLATE])
def test_a_model_that_only_speaks_names_one_that_listens(house: House, name: str, task: Task) -> None:
    house.install(BASE)
    with pytest.raises(UnsupportedOption, match=r"cannot .*\. `whisper-base` can, and is installed") as error:
        house.catalogue().card(name, task)
    assert error.value.param == "model"


def test_arabic_is_asked_for_by_name(house: House) -> None:
    catalogue = house.catalogue()
    assert catalogue.implied_language("playai-tts-arabic") == "ar"
    assert catalogue.implied_language("playai-tts") is catalogue.implied_language(None) is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"speaking": "tts-3"}, "The default speech model leads nowhere"),
        ({"speaking": "whisper-1"}, "The default speech model, whisper-1, does not speak"),
        ({"speaking": "tiny"}, "The default speech model, tiny, does not speak"),
        ({"default": "espeak-ng"}, "The default model, espeak-ng, does not transcribe"),
        ({"default": "tts-1"}, "The default model, tts-1, does not transcribe"),
    ],
)
def test_defaults_that_cannot_do_it_are_told_at_once(
    house: House, wanted: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        house.catalogue(**wanted)


# What is there


def test_speakers_come_best_first(house: House) -> None:
    own = lay(house.root / "own", toy_voice())
    catalogue = house.catalogue(offer_fake=True, local={"mine": own, "ears": house.own("ears")})
    names = [card.id for card in catalogue.synthesizers()]
    assert names == ["mine", espeak_cards.ESPEAK_NG, fake_cards.FAKE_VOICE]
    install(house)
    house.clock.now += 3
    assert [card.id for card in catalogue.synthesizers()][:2] == ["mine", NEURAL.id]
    assert speaker(catalogue) == "mine" and catalogue.card().id == "ears"


def test_own_voices_do_not_keep_a_whisper_from_being_the_default(house: House) -> None:
    own = lay(house.root / "own", toy_voice())
    for catalogue in (house.catalogue(local={"mine": own}), house.catalogue(speaking="toy-voice")):
        assert catalogue.card().id == "whisper-base" and not catalogue.installed(catalogue.card())


def test_a_fake_voice_is_never_the_default(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_spec, "is_installed", lambda package: False)
    catalogue = house.catalogue(offer_fake=True)
    assert [card.id for card in catalogue.synthesizers()] == [fake_cards.FAKE_VOICE]
    assert speaker(catalogue) == espeak_cards.ESPEAK_NG
    assert speaker(catalogue, "fake-voice") == "fake-voice"
    with pytest.raises(ModelNotFound):
        house.catalogue().named("fake-voice")


def test_voices_are_known_without_loading(house: House, engines: list[tuple[Any, ...]]) -> None:
    catalogue = house.catalogue(offer_fake=True, voices={"alloy": "anna"})
    assert [voice.id for voice in catalogue.voices(catalogue.named("espeak-ng"))] == ["de"]
    assert catalogue.voices(catalogue.named("toy")) == (ANNA,)
    assert [voice.id for voice in catalogue.voices(catalogue.named("fake-voice"))] == ["high", "low"]
    assert catalogue.voices(catalogue.named("tiny")) == catalogue.variants(catalogue.named("toy")) == ()
    assert [variant.id for variant in catalogue.variants(catalogue.named("espeak-ng"))] == ["f3"]
    assert catalogue.voice_aliases == {"alloy": "anna"} and engines == []


def test_a_voice_that_cannot_be_loaded_leaves_its_place(house: House) -> None:
    install(house)
    catalogue = house.catalogue()
    catalogue.mark_unloadable(catalogue.named("toy"))
    assert speaker(catalogue) == espeak_cards.ESPEAK_NG
    assert speaker(catalogue, "toy") == "toy-voice"


def test_neural_voices_need_what_runs_them(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    install(house)
    monkeypatch.setattr(
        engine_spec, "is_installed", lambda package: package not in ("openvino", "onnxruntime")
    )
    catalogue = house.catalogue()
    assert speaker(catalogue) == espeak_cards.ESPEAK_NG
    with pytest.raises(ModelNotInstalled, match=r"cannot run here: `pip install onnxruntime`"):
        catalogue.load(catalogue.named("toy"))
    assert "pip install" in (catalogue.voice_upgrade_hint() or "")
    monkeypatch.setattr(engine_spec, "is_installed", lambda package: False)
    with pytest.raises(ModelNotInstalled, match="cannot run here"):
        catalogue.load(catalogue.named("espeak-ng"))


def test_the_way_to_better_voices_is_told_while_there_are_none(house: House) -> None:
    catalogue = house.catalogue()
    assert "`hearsay models pull toy-voice`" in (catalogue.voice_upgrade_hint() or "")
    install(house)
    assert house.catalogue().voice_upgrade_hint() is None


# Loading


def test_loads_each_with_its_engine(house: House, engines: list[tuple[Any, ...]]) -> None:
    folder = install(house)
    catalogue = house.catalogue(offer_fake=True, runtime=Runtime(cpu_threads=3, speech_processes=5))
    for name in ("toy", "espeak-ng", "fake-voice"):
        assert isinstance(catalogue.load_synthesizer(catalogue.named(name)), FakeSynthesizer)
    assert engines == [(folder, "toy-voice", {"n_threads": 3}), ({"n_processes": 5},)]
    plain = house.catalogue()
    plain.load(plain.named("toy"))
    plain.load(plain.named("espeak-ng"))
    assert engines[2:] == [(folder, "toy-voice", {"n_threads": 2}), ({"n_processes": 2},)]


def test_what_is_loaded_must_be_of_the_kind_that_is_wanted(house: House) -> None:
    catalogue = house.catalogue(offer_fake=True)
    assert catalogue.load_recognizer(catalogue.named("fake"))
    with pytest.raises(UnsupportedOption, match="`fake` transcribes; it cannot speak"):
        catalogue.load_synthesizer(catalogue.named("fake"))
    with pytest.raises(UnsupportedOption, match="`fake-voice` speaks; it cannot transcribe"):
        catalogue.load_recognizer(catalogue.named("fake-voice"))


def test_a_voice_without_weights_names_the_command(house: House) -> None:
    catalogue = house.catalogue()
    with pytest.raises(ModelNotInstalled, match="`hearsay models pull toy-voice`"):
        catalogue.load(catalogue.named("toy"))


def test_a_folder_that_is_no_model_names_what_it_might_be(house: House) -> None:
    with pytest.raises(ConfigurationError, match=r"no Whisper .* and no voice"):
        house.catalogue(local={"mine": lay(house.root / "own", {"x": b""})})


# Pulling and removing


def test_pulls_mends_and_removes(house: House) -> None:
    with serving(LocalHub({SPEAKER: toy_voice()})) as hub:
        house.endpoint = hub.address
        catalogue = house.catalogue()
        before = speaker(catalogue)
        folder = catalogue.pull("tts-1")
        assert folder == house.root / "models" / "toy-voice" and (folder / "data" / "phontab").is_file()
        assert speaker(catalogue) == NEURAL.id != before
        assert json.loads((folder / "hearsay.json").read_text(encoding="utf-8"))["repository"] == SPEAKER
        (folder / "data" / "phontab").unlink()
        assert catalogue.check(catalogue.named("toy")) == ["data/phontab is missing."]
        catalogue.load(catalogue.named("toy"))  # fetches what is missing
        assert catalogue.check(catalogue.named("toy"), thorough=True) == []
        assert catalogue.remove("toy") == folder and not folder.exists()
        assert speaker(catalogue) == before
    for name, error in (("toy", ModelNotInstalled), ("espeak-ng", ConfigurationError)):
        with pytest.raises(error):
            catalogue.remove(name)
    with pytest.raises(ConfigurationError, match="tts-1 stands for the default model, espeak-ng now"):
        catalogue.remove("tts-1")
    with pytest.raises(ConfigurationError, match="nothing to download for espeak-ng"):
        catalogue.pull("espeak-ng")
