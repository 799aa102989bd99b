"""The model cards of the neural voices: Kokoro, and a choice of Piper's.

Data alone: knows neither files nor the network. Sources: k2-fsa/sherpa-onnx, which publishes the weights
(`scripts/kokoro/v1.0/generate_voices_bin.py`, `scripts/piper/generate.py`), the model card of
hexgrad/Kokoro-82M, and the voices of rhasspy/piper.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearsay.domain import Gender, ModelCard, Task, Voice, unix_time
from hearsay.engines.onnx_tts.voice_folder import IGNORED, kokoro_voice, languages_of
from hearsay.engines.onnx_tts.wheels import PACKED

_PUBLISHER = "csukuangfj"
"""The account that publishes models in the form that sherpa-onnx reads, each in a repository of its own."""

_KOKORO_VOICES = tuple(
    """
    af_heart af_bella am_michael am_fenrir bf_emma bm_george ef_dora em_alex ff_siwis hf_alpha hm_omega
    if_sara im_nicola pf_dora pm_alex
    af_nicole af_aoede af_kore af_sarah am_puck af_alloy af_jessica af_nova af_river af_sky am_adam am_echo
    am_eric am_liam am_onyx am_santa bf_isabella bm_fable bf_alice bf_lily bm_daniel bm_lewis hf_beta hm_psi
    pm_santa
    """.split()  # noqa: SIM905
)
"""The voices of supported languages, the best of each language and gender first, by the authors' grades.
Japanese and Chinese are left out; see `voice_folder.KOKORO_LANGUAGES`."""

_PIPER_MEGABYTES = {"x_low": 21, "low": 63, "medium": 63, "high": 114}
_PIPER_DAY = "2023-11-14"
"""Piper's last release under that name, by which most of its voices were published."""

_F, _M = Gender.FEMALE, Gender.MALE


@dataclass(frozen=True, slots=True)
class _Piper:
    locale: str
    name: str
    language: str
    """Its name in English, for the description."""
    gender: Gender | None = None
    quality: str = "medium"


_PIPERS = (
    _Piper("en_US", "joe", "US English", _M),
    _Piper("en_US", "kristin", "US English", _F),
    _Piper("en_US", "norman", "US English", _M),
    _Piper("en_GB", "cori", "British English", _F),
    _Piper("en_GB", "alan", "British English", _M),
    _Piper("de_DE", "thorsten", "German", _M),
    _Piper("es_ES", "davefx", "Spanish", _M),
    _Piper("fr_FR", "siwis", "French", _F),
    _Piper("it_IT", "paola", "Italian", _F),
    _Piper("pt_BR", "faber", "Brazilian Portuguese", _M),
    _Piper("pt_PT", "tugao", "Portuguese", _M),
    _Piper("nl_NL", "pim", "Dutch", _M),
    _Piper("nl_BE", "nathalie", "Flemish", _F),
    _Piper("pl_PL", "gosia", "Polish", _F),
    _Piper("pl_PL", "darkman", "Polish", _M),
    _Piper("ru_RU", "irina", "Russian", _F),
    _Piper("ru_RU", "dmitri", "Russian", _M),
    _Piper("uk_UA", "lada", "Ukrainian", _F, "x_low"),
    _Piper("ar_JO", "kareem", "Arabic", _M),
    _Piper("zh_CN", "huayan", "Mandarin Chinese", _F),
    _Piper("hi_IN", "priyamvada", "Hindi", _F),
    _Piper("hi_IN", "pratham", "Hindi", _M),
    _Piper("tr_TR", "dfki", "Turkish"),
    _Piper("fa_IR", "amir", "Persian", _M),
    _Piper("vi_VN", "vais1000", "Vietnamese", _F),
    _Piper("sv_SE", "nst", "Swedish", _M),
    _Piper("da_DK", "talesyntese", "Danish", _F),
    _Piper("no_NO", "talesyntese", "Norwegian"),
    _Piper("fi_FI", "harri", "Finnish", _M),
    _Piper("is_IS", "salka", "Icelandic", _F),
    _Piper("cs_CZ", "jirka", "Czech", _M),
    _Piper("sk_SK", "lili", "Slovak", _F),
    _Piper("sl_SI", "artur", "Slovenian", _M),
    _Piper("hu_HU", "anna", "Hungarian", _F),
    _Piper("ro_RO", "mihai", "Romanian", _M),
    _Piper("el_GR", "rapunzelina", "Greek", _F, "low"),
    _Piper("ca_ES", "upc_ona", "Catalan", _F),
    _Piper("lv_LV", "aivars", "Latvian", _M),
    _Piper("ka_GE", "natia", "Georgian", _F),
)


def known() -> tuple[ModelCard, ...]:
    """Return the cards of all neural voices, best first."""
    return (_kokoro(), *(_piper(row) for row in _PIPERS))


def _kokoro() -> ModelCard:
    voices = tuple(kokoro_voice(name) for name in _KOKORO_VOICES)
    name = "kokoro-multi-lang-v1_0"
    repository = f"{_PUBLISHER}/{name}"
    return ModelCard(
        id="kokoro-82m",
        engine="onnx_tts",
        owner="hexgrad",
        created=unix_time("2025-01-27"),
        tasks=frozenset({Task.SYNTHESIZE}),
        languages=languages_of(voices),
        context_window=0,
        aliases=("kokoro", "kokoro-v1.0", "kokoro-82m-v1.0", "hexgrad/Kokoro-82M", repository, name),
        repository=repository,
        size_bytes=354_000_000,
        description="most natural, for strong machines; English best, six languages in all",
        voices=voices,
        ignores=IGNORED,
        extra={"files": ("model.onnx", "voices.bin", "tokens.txt")},
    )


def _piper(row: _Piper) -> ModelCard:
    stem = f"{row.locale}-{row.name}-{row.quality}"
    tag = row.locale.replace("_", "-").lower()
    code = tag.partition("-")[0]
    repository = f"{_PUBLISHER}/vits-piper-{stem}"
    voice = Voice(row.name, row.name.replace("_", " ").capitalize(), (tag,), row.gender)
    return ModelCard(
        id=f"piper-{code}-{row.name}",
        engine="onnx_tts",
        owner="rhasspy",
        created=unix_time(_PIPER_DAY),
        tasks=frozenset({Task.SYNTHESIZE}),
        languages=(code,),
        context_window=0,
        aliases=(stem, f"piper-{stem}", f"vits-piper-{stem}", repository),
        repository=repository,
        packed=PACKED.get(f"piper-{code}-{row.name}", ()),
        size_bytes=_PIPER_MEGABYTES[row.quality] * 1_000_000,
        description=f"{row.language}, natural and quick",
        voices=(voice,),
        ignores=IGNORED,
        extra={"files": (f"{stem}.onnx", f"{stem}.onnx.json")},
    )
