"""The registry: an operator's folders recognised and described, engines found, what they lack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hearsay.domain import Task
from hearsay.engines import engine_spec, registry
from hearsay.engines.engine_spec import Runtime
from hearsay.engines.fake import cards as fake_cards
from hearsay.engines.fake.recognizer import FakeWindowRecognizer
from hearsay.engines.fake.synthesizer import FakeSynthesizer
from hearsay.errors import ConfigurationError
from tests.models.test_checksums import make
from tests.support import toy_whisper
from tests.support.local_hub import toy_model
from tests.support.paths import DATA


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    return make(tmp_path / "converted", toy_model(2000))


def test_every_known_model_has_an_engine_and_an_unknown_engine_is_an_error() -> None:
    for engine in registry.ENGINES:
        assert all(registry.spec(card) is engine for card in engine.cards())
    with pytest.raises(LookupError, match="kaldi"):
        registry.spec(replace(fake_cards.fake(), engine="kaldi"))


def test_an_embedded_model_has_no_files_and_others_need_a_folder() -> None:
    with pytest.raises(LookupError, match="no files"):
        _ = registry.spec(fake_cards.fake()).model_files
    with pytest.raises(LookupError, match="from a folder"):
        registry.load(registry.recognizer_cards()[0], None, Runtime())


def test_embedded_models_are_loaded_without_a_folder() -> None:
    assert isinstance(registry.load(fake_cards.fake(), None, Runtime()), FakeWindowRecognizer)
    assert isinstance(registry.load(fake_cards.fake_voice(), None, Runtime()), FakeSynthesizer)


def test_a_synthesizer_is_always_there() -> None:
    assert registry.embedded_synthesizer().id == "espeak-ng"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = registry.synthesizer_cards()[0]
    monkeypatch.setattr(
        engine_spec, "is_installed", lambda package: package not in ("openvino", "onnxruntime")
    )
    assert registry.spec(voice).missing() == ["openvino or onnxruntime"]
    assert not registry.is_runnable(voice) and "pip install" in registry.spec(voice).remedy
    assert registry.is_runnable(fake_cards.fake())
    monkeypatch.setattr(engine_spec, "is_installed", lambda package: False)
    assert registry.voices(registry.embedded_synthesizer()) == ()
    assert registry.variants(registry.embedded_synthesizer()) == ()


def test_reads_languages_off_the_vocabulary(converted: Path) -> None:
    card = registry.describe("mine", converted)
    assert (card.id, card.engine, card.owner, card.context_window) == ("mine", "whisper", "local", 448)
    assert card.languages == ("en", "de", "haw")
    assert card.tasks == {Task.TRANSCRIBE, Task.TRANSLATE}
    assert card.size_bytes == sum(map(len, toy_model(2000).values()))


def test_callers_do_not_learn_where_own_models_lie(tmp_path: Path, converted: Path) -> None:
    assert str(tmp_path) not in repr(registry.describe("mine", converted))


def test_english_only_models_lack_translation(tmp_path: Path) -> None:
    card = registry.describe("mine", make(tmp_path / "en", toy_model(2000, multilingual=False)))
    assert card.languages == ("en",) and card.tasks == {Task.TRANSCRIBE}


def test_reads_old_vocabularies_of_lines(converted: Path) -> None:
    tokens = json.loads((converted / "vocabulary.json").read_text(encoding="utf-8"))
    (converted / "vocabulary.json").unlink()
    (converted / "vocabulary.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    assert registry.describe("mine", converted).languages == ("en", "de", "haw")


def test_reads_languages_off_the_tokenizer_of_transformers(tmp_path: Path) -> None:
    toy_whisper.write(tmp_path / "many", n_mels=128)
    card = registry.describe("many", tmp_path / "many")
    assert len(card.languages) == 100 and card.languages[-1] == "yue" and Task.TRANSLATE in card.tasks
    (tmp_path / "many" / "generation_config.json").write_text('{"is_multilingual": false}', encoding="utf-8")
    assert registry.describe("many", tmp_path / "many").languages == ("en",)
    toy_whisper.write(tmp_path / "one", multilingual=False)
    assert registry.describe("one", tmp_path / "one").languages == ("en",)
    (tmp_path / "one" / "vocab.json").unlink()
    with pytest.raises(ConfigurationError, match=r"no tokenizer\.json"):
        registry.describe("one", tmp_path / "one")


def test_folders_that_hold_no_whisper_are_named(tmp_path: Path, converted: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        registry.describe("mine", tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="holds no Whisper"):
        registry.describe("mine", tmp_path)
    (converted / "vocabulary.json").write_bytes(b"[")
    with pytest.raises(ConfigurationError, match="not a vocabulary"):
        registry.describe("mine", converted)


def test_a_voice_is_described_by_its_own_engine() -> None:
    assert registry.describe("mine", DATA / "toy-kokoro").engine == "onnx_tts"
    assert registry.describe("mine", DATA / "fixture-whisper").engine == "whisper"
