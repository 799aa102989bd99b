"""Voices as files tell them, from a folder of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from hearsay.domain import Gender
from hearsay.engines.espeak.voices import VoiceFile, read_variants, read_voices


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "lang" / "gmw").mkdir(parents=True)
    (tmp_path / "voices" / "!v").mkdir(parents=True)
    for name in ("de", "xx", "cmn"):
        (tmp_path / f"{name}_dict").touch()
    return tmp_path


def write(data: Path, path: str, *lines: str) -> None:
    (data / path).write_text("\n".join(lines) + "\n", "utf-8")


def read_one(data: Path, *lines: str) -> VoiceFile:
    write(data, "lang/gmw/de", *lines)
    (entry,) = read_voices(data).values()
    return entry


def test_reads_a_voice(data: Path) -> None:
    entry = read_one(
        data, "// about", "name  German // not Dutch", "language\tde 3", "gender Female 30", "x 1"
    )
    assert entry.path == "gmw/de"
    assert (entry.voice.id, entry.voice.name) == ("de", "German")
    assert entry.voice.languages == ("de",)
    assert entry.voice.gender is Gender.FEMALE
    assert entry.priority == 3


def test_a_voice_is_male_unless_its_file_says_so(data: Path) -> None:
    assert read_one(data, "name German", "language de").voice.gender is Gender.MALE


def test_tags_are_in_lower_case_once_each_and_the_language_as_a_whole_is_among_them(data: Path) -> None:
    voice = read_one(data, "language de-AT", "language de-at 4", "language x-old").voice
    assert voice.languages == ("de-at", "x-old", "de")


def test_languages_are_found_by_the_code_that_callers_use(data: Path) -> None:
    assert read_one(data, "language cmn").voice.languages == ("cmn", "zh")


@pytest.mark.parametrize("lines", [["name Nobody"], ["language yy"], ["language de", "dictionary yy"]])
def test_what_has_no_language_or_no_dictionary_is_no_voice(data: Path, lines: list[str]) -> None:
    write(data, "lang/gmw/de", *lines)
    assert read_voices(data) == {}


def test_the_dictionary_of_another_language_will_do(data: Path) -> None:
    assert read_one(data, "language yy", "dictionary xx").voice.id == "yy"


def test_two_voices_of_one_tag_are_told_apart_by_file(data: Path) -> None:
    write(data, "lang/gmw/de", "language de")
    write(data, "lang/gmw/de-Latn", "language de")
    assert list(read_voices(data)) == ["de", "de-latn"]


def test_the_best_of_a_language_comes_first(data: Path) -> None:
    write(data, "lang/gmw/a", "language de-be")
    write(data, "lang/gmw/b", "language de-at 2", "language de 9")
    write(data, "lang/gmw/c", "language de")
    write(data, "lang/gmw/d", "language de-ch 2", "language de 2")
    assert list(read_voices(data)) == ["de", "de-ch", "de-at", "de-be"]


def test_damaged_letters_do_no_harm(data: Path) -> None:
    (data / "lang" / "gmw" / "de").write_bytes(b"name German\nlanguage de\n\n//\xff\xfe\n")
    assert list(read_voices(data)) == ["de"]


def test_reads_variants(data: Path) -> None:
    write(data, "voices/!v/f1", "language variant", "name female1", "gender female 70")
    write(data, "voices/!v/Mr serious", "language variant", "name Mr_Serious")
    variants = read_variants(data)
    assert {name: file for name, (file, _) in variants.items()} == {"f1": "f1", "mr-serious": "Mr serious"}
    assert variants["f1"][1].gender is Gender.FEMALE
    assert variants["mr-serious"][1].gender is None


def test_a_variant_makes_a_voice_of_a_voice(data: Path) -> None:
    write(data, "voices/!v/f1", "name female1", "gender female")
    write(data, "voices/!v/odd", "name Odd")
    voice = read_one(data, "name German", "language de-at").voice
    female, odd = (voice.varied(variant) for _, variant in read_variants(data).values())
    assert (female.id, female.name) == ("de-at+f1", "German, female1")
    assert (female.languages, female.gender) == (voice.languages, Gender.FEMALE)
    assert odd.gender is Gender.MALE
