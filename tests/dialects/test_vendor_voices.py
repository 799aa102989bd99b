"""The vendors' voices: all names that their references give, stable parts, and the page that lists them."""

from __future__ import annotations

import hashlib
from itertools import groupby

import pytest

from hearsay.dialects.vendor_voices import FAMILIES, VENDOR_VOICES, vendor_voice
from hearsay.domain import Gender, VendorVoice
from hearsay.engines.onnx_tts import cards
from scripts import persona_table

# fmt: off
OPENAI = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
]
PLAYAI = [
    "Arista", "Atlas", "Basil", "Briggs", "Calum", "Celeste", "Cheyenne", "Chip", "Cillian",
    "Deedee", "Fritz", "Gail", "Indigo", "Mamaw", "Mason", "Mikail", "Mitch", "Nia", "Quinn",
    "Thunder",
]
ARABIC = [
    "Ahmad", "Amira", "Khalid", "Nasser",
]
ORPHEUS = [
    "tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe", "autumn", "diana", "hannah",
    "austin", "daniel", "troy",
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "language"),
    [(name, None) for name in OPENAI]
    + [(f"{name}-PlayAI", "en") for name in PLAYAI]
    + [(f"{name}-PlayAI", "ar") for name in ARABIC]
    + [(name, "en") for name in ORPHEUS]
    + [("friendly sidekick", None), ("german conversational woman", "de"), ("1920's radioman", None)],
)
def test_every_documented_name_is_known(name: str, language: str | None) -> None:
    found = vendor_voice(name)
    assert found is not None
    assert (found.name, found.language) == (name, language)


@pytest.mark.parametrize("spelling", ["ALLOY", " alloy ", "Alloy"])
def test_case_and_space_do_not_matter(spelling: str) -> None:
    assert vendor_voice(spelling) is vendor_voice("alloy")
    assert vendor_voice("Friendly  SIDEKICK") is vendor_voice("friendly sidekick")


@pytest.mark.parametrize("name", ["", "fritz", "nobody", "af_alloy", "x" * 1000])
def test_other_names_are_nobody_s(name: str) -> None:
    assert vendor_voice(name) is None


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("nova", Gender.FEMALE),
        ("onyx", Gender.MALE),
        ("Fritz-PlayAI", Gender.MALE),
        ("Amira-PlayAI", Gender.FEMALE),
        ("tara", Gender.FEMALE),
        ("friendly sidekick", Gender.MALE),
        ("california girl", Gender.FEMALE),
        ("salesman", Gender.MALE),
        ("alabama male", Gender.MALE),
        ("female nurse", Gender.FEMALE),
        ("professional woman", Gender.FEMALE),
    ],
)
def test_genders_are_those_of_the_vendors(name: str, gender: Gender) -> None:
    found = vendor_voice(name)
    assert found is not None
    assert found.gender is gender


def parts_of(voice: VendorVoice) -> dict[str, str]:
    """Return a voice's parts by the engine that has them: variants are espeak-ng's, names are Kokoro's."""
    parts = {"espeak" if part.startswith("+") else "onnx_tts": part for part in voice.parts}
    assert len(parts) == len(voice.parts)
    return dict(sorted(parts.items()))


def test_names_are_unique() -> None:
    assert sum(len(family) for family in FAMILIES.values()) == len(VENDOR_VOICES)


@pytest.mark.parametrize("family", [family for family in FAMILIES if "Sonic" not in family])
@pytest.mark.parametrize("engine", ["espeak", "onnx_tts"])
def test_within_a_family_no_part_is_played_twice(family: str, engine: str) -> None:
    parts = [parts_of(each)[engine] for each in FAMILIES[family] if engine in parts_of(each)]
    assert sorted(set(parts)) == sorted(parts)


def test_every_part_for_the_embedded_engine_exists_and_fits() -> None:
    espeak = pytest.importorskip("hearsay.engines.espeak.synthesizer")
    pytest.importorskip("espeakng_loader")
    variants = {f"+{variant.id}": variant.gender for variant in espeak.variants()}
    for each in VENDOR_VOICES.values():
        assert variants[parts_of(each)["espeak"]] in (each.gender, None), each


def test_every_part_for_neural_voices_exists_and_fits() -> None:
    voices = {voice.id: voice for card in cards.known() for voice in card.voices}
    for each in VENDOR_VOICES.values():
        if "onnx_tts" in parts_of(each):
            assert voices[parts_of(each)["onnx_tts"]].gender is each.gender, each


def test_parts_stay_what_they_are() -> None:
    """Whoever adds a name may change this; whoever changes a part surprises those who know its sound."""
    known = (
        OPENAI
        + [f"{name}-playai" for name in PLAYAI + ARABIC]
        + ORPHEUS
        + ["salesman", "yogaman", "anime girl"]
    )
    parts = {name: parts_of(VENDOR_VOICES[name.casefold()]) for name in sorted(known)}
    assert hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:16] == "cb0ca8cc437f0d48"


def test_lists_are_in_order() -> None:
    for family in FAMILIES.values():
        names = [each.name.casefold() for each in family]
        assert names == sorted(names)
        assert [name for name, _ in groupby(names)] == names


def test_the_page_has_the_table() -> None:
    page = persona_table.PAGE.read_text(encoding="utf-8")
    assert persona_table.table() in page
    assert persona_table.written(page) == page, "run python -m scripts.persona_table"
