"""Settings: one frozen record from file, environment and flags, each value with its origin.

Knows no command line, no web server and no engine. Later sources win: default < file < environment
(`HEARSAY_*`) < flag. An unknown name is an error that suggests the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from hearsay.errors import ConfigurationError, InvalidRequest
from hearsay.text import languages

PREFIX = "HEARSAY_"
"""Prefix of Hearsay's environment variables."""

CONFIG_VARIABLE = "HEARSAY_CONFIG"
"""Environment variable with the settings file, as `--config`."""

NO_DOWNLOADS_VARIABLE = "HF_HUB_OFFLINE"
"""The hub library's switch, which also turns Hearsay's downloads off."""


def default_file() -> Path:
    """Return the settings file that is read when none is given; it need not exist."""
    return Path(platformdirs.user_config_dir("hearsay", appauthor=False)) / "hearsay.toml"


def default_models_folder() -> Path:
    """Return the default folder of downloaded weights."""
    return Path(platformdirs.user_data_dir("hearsay", appauthor=False)) / "models"


def default_keys_file() -> Path:
    """Return the default file of hashed API keys."""
    return Path(platformdirs.user_data_dir("hearsay", appauthor=False)) / "keys.json"


class Settings(BaseModel):
    """All settings; field docstrings are the user documentation."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    """Address that the server listens on; anything but loopback needs API keys, or `allow_anonymous`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port that the server listens on; 0 takes any free one."""
    allow_anonymous: bool = False
    """Serve without API keys on an address that other machines can reach and then may use."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call the API from a browser; `*` allows all."""
    keepalive_seconds: float = Field(default=75.0, gt=0)
    """How long an idle connection is kept open."""
    drain_seconds: float = Field(default=30.0, ge=0)
    """How long requests in progress may take to finish when the server stops."""

    model: str = "auto"
    """Model for requests that name none, or a hosted one that stands for it; `auto` is the best installed."""
    models: dict[str, Path] = {}
    """Own models: a name and its folder; Whispers in CTranslate2 or Hugging Face format, voices in ONNX."""
    aliases: dict[str, str] = {}
    """Other names for models: the name in requests and the model that it means."""
    models_folder: Path = Field(default_factory=default_models_folder)
    """Folder that downloaded and converted weights go to."""
    downloads: bool = True
    """Whether weights may be downloaded at all."""
    offline: bool = False
    """Stay off the network entirely: no downloads, no check whether the hub can be reached."""
    hub_endpoint: str | None = None
    """Address of the model hub or a mirror of it; by default what `HF_ENDPOINT` says, else the public hub."""
    fake_engine: bool = False
    """Offer the deterministic test engine under the model name `fake`."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where Whisper models run."""
    device_index: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    """Which GPUs, counted from 0, separated by commas; each holds a copy of a model, and they share work."""
    compute_type: str = "default"
    """Arithmetic of Whisper (`int8`, `float32`, ...); `default` is bf16 or int8 on CPU, float16 on GPU."""
    cpu_threads: int = Field(default=0, ge=0)
    """Threads that a model may use on CPU; 0 lets the engine choose."""
    whisper_encoder: Literal["auto", "openvino", "ctranslate2"] = "auto"
    """What computes Whisper's encoder on a CPU; `auto` is OpenVINO where it runs."""
    whisper_decoder: Literal["auto", "openvino", "ctranslate2"] = "auto"
    """What computes Whisper's decoder on a CPU; `auto` is OpenVINO where it runs."""
    batch_size: int = Field(default=0, ge=0, le=256)
    """Windows, of one request or of many, that are decoded together; 0 lets the engine choose."""
    beam_size: int = Field(default=5, ge=1, le=32)
    """Width of the beam search at temperature 0; 1 is greedy, and faster."""
    greedy_logprob: float | None = Field(default=-0.25, le=0)
    """Mean log probability from which a greedy result needs no beam search; `none` always searches."""
    best_of: int = Field(default=5, ge=1, le=32)
    """Samples drawn at temperatures above 0."""
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Temperatures tried in order until a result passes the quality thresholds."""
    condition_on_previous_text: bool = True
    """Whether each window gets the text before it; off avoids loops, on keeps names and style steady."""
    chunking: Literal["vad", "sequential"] = "vad"
    """How long recordings are cut: `vad` at pauses, all parts at once; `sequential` window after window."""
    vad_threshold: float = Field(default=0.15, ge=0, le=1)
    """Probability from which a frame counts as speech; a higher one detects less speech in noise."""
    vad_min_silence_seconds: float = Field(default=0.2, ge=0, le=30)
    """Silence that ends a span of speech."""
    vad_padding_seconds: float = Field(default=0.3, ge=0, le=30)
    """How much is kept before and after each span of speech."""
    short_windows: bool = True
    """Do not pad short recordings to 30 seconds for Whisper: much faster; poor text is decoded again."""
    max_loaded_models: int = Field(default=2, ge=1)
    """Models kept in memory at once; the least recently used one is unloaded first."""
    idle_unload_seconds: float = Field(default=0.0, ge=0)
    """Unload a model that has not been used for so long; 0 keeps it."""
    preload: bool = True
    """Load the default models when the server starts, not at the first request."""

    speech_model: str = "auto"
    """Speech model for requests that name none, or a hosted one; `auto` is the best installed."""
    speech_language: str = "en"
    """Language (code or English name) of a text where neither request, voice nor the text itself tells."""
    speech_processes: int = Field(default=0, ge=0, le=256)
    """Processes of the embedded speech engine, one request each at a time; 0 is one per core."""
    speech_limit_characters: int = Field(default=65536, ge=1)
    """Longest text of one speech request, in characters."""
    voices: dict[str, str] = {}
    """Other names for voices: the name in requests and the voice that it means."""

    max_waiting: int = Field(default=32, ge=0)
    """Requests that may wait for one model; more are refused at once, to be retried later."""
    max_requests: int = Field(default=256, ge=1)
    """Recordings and texts in progress at once, uploads included; more are refused unread."""
    decode_workers: int = Field(default=2, ge=1)
    """Processes that read uploaded media."""
    decode_timeout_seconds: float = Field(default=300.0, gt=0)
    """How long reading one upload's media may take."""
    max_duration_seconds: float = Field(default=43200.0, gt=0)
    """Longest recording that is accepted; by default 12 hours."""
    upload_limit_mb: float = Field(default=25.0, gt=0)
    """Largest upload, in megabytes of 1024 x 1024 bytes."""
    fetch_limit_mb: float = Field(default=100.0, gt=0)
    """Largest file fetched from a URL in a request."""
    fetch_timeout_seconds: float = Field(default=30.0, gt=0)
    """How long fetching such a file may take."""
    fetch_max_redirects: int = Field(default=5, ge=0)
    """Redirects followed while fetching; each is checked like the first address."""
    fetch_allow_private: bool = False
    """Whether URLs in requests may point into private, loopback and link-local networks."""
    work_folder: Path | None = None
    """Folder for uploads and decoded audio during a request; by default the temporary folder."""

    api_key: SecretStr | None = None
    """An API key that requests must carry, and that `hearsay transcribe --base-url` itself sends."""
    api_keys: tuple[SecretStr, ...] = ()
    """Further API keys, separated by commas."""
    keys_file: Path = Field(default_factory=default_keys_file)
    """File of hashed API keys that `hearsay keys` maintains."""
    base_url: str | None = None
    """Server that `hearsay transcribe` sends recordings to instead of transcribing them itself."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important events that are logged."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """How log lines look; `auto` is coloured on a terminal and JSON elsewhere."""

    @field_validator("cors_origins", "temperatures", "api_keys", "device_index", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("device_index", mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        return [value] if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("device_index", mode="after")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("must be at least one number, none of them twice")
        return value

    @field_validator("models", "aliases", "voices", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return parse_pairs(value.split(",")) if isinstance(value, str) else value

    @field_validator("models", mode="after")
    @classmethod
    def _expand(cls, value: dict[str, Path]) -> dict[str, Path]:
        return {name: folder.expanduser() for name, folder in value.items()}

    @field_validator("models_folder", "keys_file", "work_folder", mode="after")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None

    @field_validator("speech_language", mode="after")
    @classmethod
    def _language(cls, value: str) -> str:
        try:
            code = languages.parse(value)
        except InvalidRequest as error:
            raise ValueError(error.message) from error
        if code is None:
            raise ValueError("must be a language")
        return code

    @field_validator("temperatures", mode="after")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or list(value) != sorted(value) or value[0] < 0 or value[-1] > 1:
            raise ValueError("must be at least one number, ascending, between 0 and 1")
        return value

    @model_validator(mode="after")
    def _alias_is_no_model(self) -> Settings:
        both = sorted(self.models.keys() & self.aliases.keys())
        if both:
            raise ValueError(f"{both[0]!r} is both in models and in aliases")
        return self

    @property
    def may_download(self) -> bool:
        """Whether weights may be downloaded: neither switched off nor offline."""
        return self.downloads and not self.offline

    @property
    def all_api_keys(self) -> tuple[str, ...]:
        """The keys of the settings, in plain text."""
        single = (self.api_key,) if self.api_key is not None else ()
        return tuple(key.get_secret_value() for key in (*single, *self.api_keys))


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings with their origins."""

    settings: Settings
    origins: Mapping[str, str]
    """Of every field that is not at its default: `file PATH`, `environment NAME` or `flag --name`."""
    file: Path | None
    """The settings file that was read, if any."""


def resolve(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Resolved:
    """Return the merged settings of all sources.

    `file` is that of `--config`, else that of `HEARSAY_CONFIG`, else the default file if it exists. Flags
    that are None are unset.
    Raises: `ConfigurationError` with the value, its origin, and the nearest known name.
    """
    environment = environment or {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    chosen = file or (Path(named).expanduser() if (named := environment.get(CONFIG_VARIABLE)) else None)
    if chosen is None and default_file().is_file():
        chosen = default_file()
    if chosen is not None:
        for name, value in _read_file(chosen).items():
            values[name], origins[name] = value, f"file {chosen}"
    for name, (value, variable) in _from_environment(environment).items():
        values[name], origins[name] = value, f"environment {variable}"
    for name, value in (flags or {}).items():
        if value is not None:
            values[name], origins[name] = value, f"flag --{name.replace('_', '-')}"
    return Resolved(_validated(values, origins), origins, chosen)


def parse_pairs(texts: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Parse `["NAME=VALUE", ...]` to a dictionary. Raises: ValueError for a text without `=`."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise ValueError(f"{text!r} is not of the form NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def masked(settings: Settings) -> dict[str, Any]:
    """Return every setting as plain data, secrets hidden."""
    data: dict[str, Any] = settings.model_dump(mode="json")
    if settings.api_key is not None:
        data["api_key"] = "(hidden)"
    data["api_keys"] = ["(hidden)"] * len(settings.api_keys)
    return data


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"The settings file {path} does not exist.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"The settings file {path} cannot be read: {error}") from error
    for name in data:
        _check_name(name, f"in {path}")
    return {name: _relative_to(path.parent, name, value) for name, value in data.items()}


def _relative_to(folder: Path, name: str, value: Any) -> Any:
    """Return a value with its paths relative to the settings file's folder."""
    if name in {"models_folder", "keys_file", "work_folder"} and isinstance(value, str):
        return folder / Path(value).expanduser()
    if name == "models" and isinstance(value, dict):
        return {
            key: folder / Path(each).expanduser() if isinstance(each, str) else each
            for key, each in value.items()
        }
    return value


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    result: dict[str, tuple[Any, str]] = {}
    if environment.get(NO_DOWNLOADS_VARIABLE, "").upper() in {"1", "ON", "YES", "TRUE"}:
        result["downloads"] = (False, NO_DOWNLOADS_VARIABLE)
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        name = variable.removeprefix(PREFIX).lower()
        _check_name(name, f"as environment variable {variable}", spell=lambda n: PREFIX + n.upper())
        if text != "" and not (name == "downloads" and result.get("downloads")):
            result[name] = (_from_text(name, text, variable), variable)
    return result


def _from_text(name: str, text: str, variable: str) -> Any:
    """Parse JSON where the field is a list or table and the text begins like one; else return the text."""
    origin = get_origin(Settings.model_fields[name].annotation)
    if origin in {dict, tuple} and text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigurationError(f"{variable} is not valid JSON: {error}") from error
    return text


def _check_name(name: str, where: str, spell: Any = lambda n: n) -> None:
    if name in Settings.model_fields:
        return
    matches = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f" Did you mean {spell(matches[0])}?" if matches else " `hearsay config` lists all settings."
    raise ConfigurationError(f"There is no setting {name!r} ({where}).{hint}", param=name)


def _validated(values: dict[str, Any], origins: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False, include_input=False):
            name = str(problem["loc"][0]) if problem["loc"] else "settings"
            origin = f" (from {origins[name]})" if name in origins else ""
            problems.append(f"{'.'.join(map(str, problem['loc'])) or name}{origin}: {problem['msg']}")
        raise ConfigurationError("Settings that cannot be right: " + "; ".join(problems)) from error
