"""Settings: who wins, where values come from, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from hearsay.errors import ConfigurationError
from hearsay.settings import Settings, default_file, masked, parse_pairs, resolve


@pytest.fixture(autouse=True)
def no_file_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("hearsay.settings.default_file", lambda: tmp_path / "config" / "hearsay.toml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.toml"


def test_defaults_are_safe() -> None:
    settings = resolve().settings
    assert settings == Settings()
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8000, "auto")
    assert (
        not settings.allow_anonymous and not settings.fetch_allow_private and settings.upload_limit_mb == 25
    )
    assert settings.may_download and settings.all_api_keys == ()


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and len(field.description) > 20, name


def test_flag_beats_environment_beats_file_beats_default(file: Path) -> None:
    file.write_text("host = '10.0.0.1'\nport = 1\nmodel = 'a'\n", encoding="utf-8")
    found = resolve(
        file=file,
        environment={"HEARSAY_PORT": "2", "HEARSAY_MODEL": "b", "PATH": "x"},
        flags={"model": "c", "device": None},
    )
    assert (found.settings.host, found.settings.port, found.settings.model) == ("10.0.0.1", 2, "c")
    assert found.origins == {
        "host": f"file {file}",
        "port": "environment HEARSAY_PORT",
        "model": "flag --model",
    }
    assert found.file == file


def test_the_file_is_found_by_variable_or_in_the_usual_place(file: Path, tmp_path: Path) -> None:
    file.write_text("port = 1", encoding="utf-8")
    assert resolve(environment={"HEARSAY_CONFIG": str(file)}).settings.port == 1
    usual = tmp_path / "config" / "hearsay.toml"
    usual.parent.mkdir()
    usual.write_text("port = 2", encoding="utf-8")
    assert resolve().settings.port == 2
    assert resolve(file=file).settings.port == 1
    assert default_file().name == "hearsay.toml"


def test_tables_of_models_and_aliases(file: Path) -> None:
    file.write_text(
        "[models]\nmine = 'weights'\nabs = '/x'\n[aliases]\nwhisper-1 = 'mine'\n", encoding="utf-8"
    )
    settings = resolve(file=file).settings
    assert settings.models == {"mine": file.parent / "weights", "abs": Path("/x")}
    assert settings.aliases == {"whisper-1": "mine"}


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("HEARSAY_DOWNLOADS", "off", "downloads", False),
        ("HEARSAY_OFFLINE", "1", "offline", True),
        ("HEARSAY_MODELS", "a=/x, b=/y=z", "models", {"a": Path("/x"), "b": Path("/y=z")}),
        ("HEARSAY_ALIASES", '{"a": "b"}', "aliases", {"a": "b"}),
        ("HEARSAY_TEMPERATURES", "0,0.5", "temperatures", (0.0, 0.5)),
        ("HEARSAY_TEMPERATURES", "[0.2]", "temperatures", (0.2,)),
        ("HEARSAY_CORS_ORIGINS", "http://a, http://b,", "cors_origins", ("http://a", "http://b")),
        ("HEARSAY_MODELS_FOLDER", "~/m", "models_folder", Path.home() / "m"),
        ("HEARSAY_API_KEYS", "a,b", "api_keys", (SecretStr("a"), SecretStr("b"))),
        ("HEARSAY_MAX_DURATION_SECONDS", "60", "max_duration_seconds", 60.0),
        ("HEARSAY_DEVICE_INDEX", "1", "device_index", (1,)),
        ("HEARSAY_DEVICE_INDEX", "0, 1", "device_index", (0, 1)),
        ("HEARSAY_DEVICE_INDEX", "[2,3]", "device_index", (2, 3)),
        ("HEARSAY_CHUNKING", "sequential", "chunking", "sequential"),
        ("HEARSAY_SHORT_WINDOWS", "on", "short_windows", True),
        ("HEARSAY_HOST", "", "host", "127.0.0.1"),
        ("HEARSAY_SPEECH_MODEL", "espeak-ng", "speech_model", "espeak-ng"),
        ("HEARSAY_SPEECH_LANGUAGE", "German", "speech_language", "de"),
        ("HEARSAY_SPEECH_PROCESSES", "3", "speech_processes", 3),
        ("HEARSAY_SPEECH_LIMIT_CHARACTERS", "4096", "speech_limit_characters", 4096),
        ("HEARSAY_VOICES", "alloy=en-gb, Anna=de+f3", "voices", {"alloy": "en-gb", "Anna": "de+f3"}),
    ],
)
def test_environment_variables_are_read_as_what_they_are(
    variable: str, text: str, field: str, value: Any
) -> None:
    assert getattr(resolve(environment={variable: text}).settings, field) == value


@pytest.mark.parametrize(("text", "found"), [("1", (1,)), ("[0, 2]", (0, 2)), ("'0,2'", (0, 2))])
def test_gpus_in_the_file(file: Path, text: str, found: tuple[int, ...]) -> None:
    file.write_text(f"device_index = {text}\n", encoding="utf-8")
    assert resolve(file=file).settings.device_index == found
    assert resolve(flags={"device_index": list(found)}).settings.device_index == found
    assert resolve(flags={"device_index": 3}).settings.device_index == (3,)


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HEARSAY_DOWNLOADS": "off"}, {"HEARSAY_OFFLINE": "on"}]
)
def test_each_switch_keeps_weights_from_being_downloaded(environment: dict[str, str]) -> None:
    assert not resolve(environment=environment).settings.may_download


def test_the_hub_librarys_switch_cannot_be_overruled_by_ours() -> None:
    environment = {"HEARSAY_DOWNLOADS": "on", "HF_HUB_OFFLINE": "true"}
    found = resolve(environment=environment)
    assert not found.settings.may_download
    assert found.origins["downloads"] == "environment HF_HUB_OFFLINE"


def test_unknown_names_are_errors_with_a_suggestion(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean HEARSAY_UPLOAD_LIMIT_MB"):
        resolve(environment={"HEARSAY_UPLOAD_LIMT_MB": "3"})
    file.write_text("beamsize = 3", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"'beamsize' \(in .*some\.toml\).*beam_size"):
        resolve(file=file)
    with pytest.raises(ConfigurationError, match="lists all settings"):
        resolve(environment={"HEARSAY_QQQQQQ": "3"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": 70000}, "port"),
        ({"device": "tpu"}, "device"),
        ({"temperatures": "0.5,0.1"}, "ascending"),
        ({"temperatures": "2"}, "between 0 and 1"),
        ({"upload_limit_mb": 0}, "upload_limit_mb"),
        ({"device_index": ""}, "device_index"),
        ({"device_index": "0,0"}, "none of them twice"),
        ({"device_index": -1}, "device_index"),
        ({"device_index": True}, "device_index"),
        ({"device_index": "gpu"}, "device_index"),
        ({"chunking": "auto"}, "chunking"),
        ({"vad_threshold": 1.5}, "vad_threshold"),
        ({"vad_padding_seconds": -1}, "vad_padding_seconds"),
        ({"batch_size": -1}, "batch_size"),
        ({"whisper_encoder": "onnx"}, "whisper_encoder"),
        ({"models": {"a": "/x"}, "aliases": {"a": "b"}}, "both in models and in aliases"),
        ({"models": "novalue"}, "NAME=VALUE"),
        ({"voices": "novalue"}, "NAME=VALUE"),
        ({"speech_language": "Klingonese"}, "speech_language"),
        ({"speech_language": ""}, "speech_language"),
        ({"speech_processes": -1}, "speech_processes"),
        ({"speech_limit_characters": 0}, "speech_limit_characters"),
    ],
)
def test_wrong_values_are_errors_that_name_the_value_and_its_origin(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as error:
        resolve(flags=values)
    if len(values) == 1:
        assert f"flag --{next(iter(values)).replace('_', '-')}" in error.value.message


@pytest.mark.parametrize("text", ["port =", "\x00", "port = 1\nport = 2"])
def test_a_broken_file_is_named(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"some\.toml cannot be read"):
        resolve(file=file)


def test_a_missing_file_is_an_error_only_where_it_was_named(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        resolve(file=file)
    assert resolve().file is None


def test_broken_json_in_a_variable_is_named() -> None:
    with pytest.raises(ConfigurationError, match="HEARSAY_MODELS is not valid JSON"):
        resolve(environment={"HEARSAY_MODELS": '{"a": '})


def test_secrets_stay_hidden() -> None:
    environment = {"HEARSAY_API_KEY": "topsecret", "HEARSAY_API_KEYS": "alsosecret"}
    found = resolve(environment=environment)
    assert found.settings.all_api_keys == ("topsecret", "alsosecret")
    assert "secret" not in str(masked(found.settings)) + repr(found.settings)
    with pytest.raises(ConfigurationError) as error:
        resolve(environment=environment, flags={"api_key": 3})
    assert "secret" not in error.value.message


@given(st.dictionaries(st.text("abc.-/", min_size=1), st.text("xyz=~/ é", min_size=1).filter(str.strip)))
def test_pairs_come_back_as_they_were_given(pairs: dict[str, str]) -> None:
    wanted = {name: value.strip() for name, value in pairs.items()}
    assert parse_pairs([f"{name}={value}" for name, value in pairs.items()]) == wanted


@pytest.mark.parametrize("text", ["", "a", "=b", "a=", " = "])
def test_texts_that_are_no_pairs_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_pairs([text])
