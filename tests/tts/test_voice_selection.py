"""Voice selection: the model, voice and language for every request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hearsay.dialects.vendor_voices import vendor_voice
from hearsay.domain import Gender, ModelCard, Task, VendorVoice, Voice
from hearsay.errors import (
    ConfigurationError,
    HearsayError,
    InvalidRequest,
    ModelNotFound,
    ModelNotInstalled,
    UnsupportedOption,
)
from hearsay.models.catalogue import Catalogue as RealCatalogue
from hearsay.tts.voice_selection import Catalogue, VoiceChoice, select_voice

FEMALE, MALE = Gender.FEMALE, Gender.MALE
GERMAN = "Der Ausschuss trifft sich am nächsten Dienstag wieder, um die Pläne zu besprechen."
ENGLISH = "The committee will meet again next Tuesday to discuss the plans for the new library."


def card(id_: str, engine: str, voices: tuple[Voice, ...]) -> ModelCard:
    return ModelCard(
        id=id_,
        engine=engine,
        owner="nobody",
        created=0,
        tasks=frozenset({Task.SYNTHESIZE}),
        languages=(),
        context_window=0,
        voices=voices,
    )


NEURAL = card(
    "kokoro",
    "onnx_tts",
    (
        Voice("af_heart", "Heart", ("en-us",), FEMALE),
        Voice("am_adam", "Adam", ("en-us",), MALE),
        Voice("bm_fable", "Fable", ("en-gb",), MALE),
        Voice("af_alloy", "Alloy", ("en-us",), FEMALE),
        Voice("if_sara", "Sara", ("it",), FEMALE),
        Voice("pm_alex", "Alex", ("pt-br",), MALE),
    ),
)
EMBEDDED = card(
    "espeak-ng",
    "espeak",
    (
        Voice("en-us", "English (America)", ("en-us", "en"), MALE),
        Voice("en-gb", "English (Great Britain)", ("en-gb", "en"), MALE),
        Voice("de", "German", ("de",), MALE),
        Voice("pt", "Portuguese", ("pt", "pt-pt"), MALE),
        Voice("pt-br", "Portuguese (Brazil)", ("pt-br",), MALE),
        Voice("cmn", "Chinese", ("cmn", "zh"), MALE),
        Voice("eo", "Esperanto", ("eo",), MALE),
        Voice("ar", "Arabic", ("ar",), MALE),
        Voice("en-us+f3", "English (America), female3", ("en-us", "en"), FEMALE),
        Voice("de+f3", "German, female3", ("de",), FEMALE),
    ),
)
VARIANTS = (
    Voice("f1", "female1", (), FEMALE),
    Voice("f3", "female3", (), FEMALE),
    Voice("m3", "male3", (), MALE),
    Voice("m6", "male6", (), MALE),
    Voice("max", "Max", ()),
)


@dataclass
class Shelf:
    """A catalogue of what a test puts on it."""

    installed: list[ModelCard]
    absent: list[ModelCard] = field(default_factory=list)

    def card(self, name: str | None = None, task: Task = Task.TRANSCRIBE) -> ModelCard:
        assert task is Task.SYNTHESIZE
        if self.is_default_name(name, task):
            return self.installed[0]
        found = next((each for each in [*self.installed, *self.absent] if each.id == name), None)
        if found is None:
            raise ModelNotFound(f"The model `{name}` does not exist.")
        return found

    def cards(self) -> list[ModelCard]:
        return [*self.installed, *self.absent]

    def synthesizers(self) -> list[ModelCard]:
        return list(self.installed)

    def voices(self, card: ModelCard) -> tuple[Voice, ...]:
        return card.voices

    def variants(self, card: ModelCard) -> tuple[Voice, ...]:
        return VARIANTS if card.engine == "espeak" else ()

    def is_default_name(self, name: str | None, task: Task = Task.TRANSCRIBE) -> bool:
        return name in (None, "", "auto", "tts-1", "speech-arabic")

    def implied_language(self, name: str | None) -> str | None:
        return "ar" if name == "speech-arabic" else None


BOTH = Shelf([NEURAL, EMBEDDED])
ONLY_EMBEDDED = Shelf([EMBEDDED])


def chosen(
    shelf: Catalogue,
    voice: str | None = None,
    *,
    model: str | None = None,
    language: str | None = None,
    text: str = "Hm.",
    fallback: str = "en",
    aliases: Mapping[str, str] | None = None,
) -> VoiceChoice:
    return select_voice(
        shelf,
        model=model,
        voice=voice,
        vendor_voice=vendor_voice(voice) if voice else None,
        language=language,
        text=text,
        fallback_language=fallback,
        aliases=aliases,
    )


def who(result: VoiceChoice) -> tuple[str, str]:
    return result.card.id, result.voice.id


def refusal(shelf: Catalogue, voice: str | None = None, **wishes: str) -> HearsayError:
    with pytest.raises(HearsayError) as caught:
        chosen(shelf, voice, **wishes)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("spelling", ["af_alloy", "AF_Alloy", "kokoro/af_alloy"])
def test_a_voice_of_an_installed_model_picks_the_model(spelling: str) -> None:
    assert who(chosen(BOTH, spelling, model="tts-1")) == ("kokoro", "af_alloy")


def test_a_voice_of_the_second_model_picks_that_one() -> None:
    assert who(chosen(BOTH, "de", model="tts-1", text=ENGLISH)) == ("espeak-ng", "de")


def test_no_voice_means_the_best_for_the_language() -> None:
    assert who(chosen(BOTH, text=ENGLISH)) == ("kokoro", "af_heart")
    assert who(chosen(BOTH, text=GERMAN)) == ("espeak-ng", "de")
    assert who(chosen(BOTH, language="it")) == ("kokoro", "if_sara")


def test_a_vendor_s_voice_is_taken_over_by_the_best_model_that_has_its_part() -> None:
    result = chosen(BOTH, "ALLOY", model="tts-1", text=ENGLISH)
    assert who(result) == ("kokoro", "af_alloy")
    assert result.language == "en"
    assert result.warnings == ()


def test_a_vendor_s_voice_speaks_another_language_through_who_can() -> None:
    result = chosen(BOTH, "alloy", model="tts-1", text=GERMAN)
    assert who(result) == ("espeak-ng", "de+f1")
    assert result.voice.gender is FEMALE
    assert (result.language, result.warnings) == ("de", ())


def test_parts_that_the_model_lacks_fall_to_its_best_voice_of_that_gender() -> None:
    assert who(chosen(BOTH, "onyx", text=ENGLISH)) == ("kokoro", "am_adam")
    assert who(chosen(BOTH, "nova", text=ENGLISH)) == ("kokoro", "af_heart")


def test_a_gender_that_nobody_has_is_told() -> None:
    result = chosen(BOTH, "onyx", language="it")
    assert who(result) == ("kokoro", "if_sara")
    assert "onyx is male" in result.warnings[0]
    assert "Italian" in result.warnings[0]


def test_vendors_voices_differ_on_the_embedded_model() -> None:
    heard = {
        chosen(ONLY_EMBEDDED, name, language="de").voice.id for name in ("alloy", "echo", "fable", "nova")
    }
    assert heard == {"de+f1", "de+m3", "de+m6", "de+f3"}  # nova's own variant is on no shelf of this test


def test_what_the_caller_says_comes_before_what_the_text_is() -> None:
    assert who(chosen(ONLY_EMBEDDED, "alloy", language="de-AT", text=ENGLISH)) == ("espeak-ng", "de+f1")


def test_a_model_s_name_may_imply_the_language() -> None:
    result = chosen(BOTH, "alloy", model="speech-arabic", text=ENGLISH)
    assert who(result) == ("espeak-ng", "ar+f1")


def test_a_vendor_s_voice_may_imply_the_language() -> None:
    assert who(chosen(BOTH, "Amira-PlayAI", model="tts-1", text=ENGLISH))[1].startswith("ar")


def test_a_language_that_was_only_implied_and_nobody_speaks_is_told() -> None:
    result = chosen(Shelf([NEURAL]), "Khalid-PlayAI", text=ENGLISH)
    assert who(result) == ("kokoro", "am_adam")
    assert result.warnings == (
        "Arabic, which Khalid-PlayAI speaks, is spoken by no voice that is installed.",
    )
    assert result.language == "en"


def test_a_named_voice_that_does_not_speak_what_its_model_s_name_implies_is_told() -> None:
    assert chosen(BOTH, "af_heart", model="speech-arabic").warnings == ("`af_heart` does not speak arabic.",)


def test_a_text_that_does_not_tell_is_read_in_the_fallback() -> None:
    assert who(chosen(BOTH, text="Hm.", fallback="de")) == ("espeak-ng", "de")
    assert who(chosen(Shelf([NEURAL]), text="Hm.", fallback="de")) == ("kokoro", "af_heart")


def test_a_model_of_one_language_needs_no_guess() -> None:
    english = card("lessac", "onnx_tts", (Voice("lessac", "Lessac", ("en-us",), FEMALE),))
    assert chosen(Shelf([english]), text=GERMAN).language == "en"


@pytest.mark.parametrize(
    ("language", "voice"),
    [
        ("pt-BR", "pt-br"),
        ("pt_PT", "pt"),
        ("pt", "pt"),
        ("portuguese", "pt"),
        ("en", "en-us"),
        ("en-GB", "en-gb"),
        ("zh-CN", "cmn"),
        ("cmn", "cmn"),
        ("eo", "eo"),
        ("de-CH", "de"),
    ],
)
def test_languages_and_regions_find_their_voice(language: str, voice: str) -> None:
    assert chosen(ONLY_EMBEDDED, language=language).voice.id == voice


@pytest.mark.parametrize("language", ["auto", ""])
def test_auto_leaves_the_language_to_the_text(language: str) -> None:
    assert chosen(ONLY_EMBEDDED, language=language, text=GERMAN).language == "de"


def test_one_natural_voice_speaks_english_for_every_name_and_espeak_the_rest() -> None:
    joe = card("piper-en-joe", "onnx_tts", (Voice("joe", "Joe", ("en-us",), MALE),))
    shelf = Shelf([joe, EMBEDDED])
    assert who(chosen(shelf, "onyx", text=ENGLISH)) == ("piper-en-joe", "joe")
    alloy = chosen(shelf, "alloy", text=ENGLISH)
    assert who(alloy) == ("piper-en-joe", "joe") and "alloy is female" in " ".join(alloy.warnings)
    assert who(chosen(shelf, "alloy", text=GERMAN)) == ("espeak-ng", "de+f1")
    assert who(chosen(shelf, "alloy", model="espeak-ng", text=ENGLISH)) == ("espeak-ng", "en-us+f1")


def test_a_model_that_is_named_speaks_whatever_else_there_is() -> None:
    assert who(chosen(BOTH, "alloy", model="espeak-ng", text=ENGLISH)) == ("espeak-ng", "en-us+f1")
    assert who(chosen(BOTH, model="espeak-ng", text=ENGLISH)) == ("espeak-ng", "en-us")


@pytest.mark.parametrize(
    ("voice", "found"),
    [
        ("DE", "de"),
        ("de-AT", "de"),
        ("de+M3", "de+m3"),
        ("de_at+max", "de+max"),
        ("zh", "cmn"),
        ("en-us+f3", "en-us+f3"),
    ],
)
def test_the_embedded_model_takes_languages_and_variants_for_voices(voice: str, found: str) -> None:
    assert who(chosen(BOTH, voice, model="espeak-ng")) == ("espeak-ng", found)


def test_a_variant_of_unknown_gender_keeps_that_of_the_voice() -> None:
    assert chosen(ONLY_EMBEDDED, "de+max").voice.gender is MALE
    assert chosen(ONLY_EMBEDDED, "de+f1").voice.gender is FEMALE


@pytest.mark.parametrize("voice", ["de+f9", "xx+f1", "alloi", "+f1", "/", "kokoro/", "x" * 500])
def test_an_unknown_voice_is_refused(voice: str) -> None:
    error = refusal(BOTH, voice)
    assert isinstance(error, InvalidRequest)
    assert (error.param, error.code) == ("voice", "voice_not_found")
    assert "`hearsay voices`" in error.message
    assert len(error.message) < 300


def test_an_unknown_voice_is_told_the_nearest() -> None:
    assert "Did you mean `af_alloy`" in refusal(BOTH, "af_aloy").message


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [("alloi", "`alloy`"), ("fritz-playa", "`Fritz-PlayAI`"), ("storyteler", "`narrator`")],
)
def test_whoever_misspells_another_name_for_a_voice_is_told(mistyped: str, meant: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        select_voice(
            ONLY_EMBEDDED,
            model=None,
            voice=mistyped,
            vendor_voice=None,
            language=None,
            text="Hm.",
            aliases={"narrator": "de"},
            vendor_names=("alloy", "Fritz-PlayAI", "sage"),
        )
    is_near = mistyped != "storyteler"
    assert (meant in caught.value.message) is is_near
    assert ("Did you mean" in caught.value.message) is is_near


@pytest.mark.parametrize("voice", ["if_sara", "IF_Sara", "pm_alex", "af_heart"])
@pytest.mark.parametrize("model", [None, "tts-1"])
def test_a_voice_that_is_not_installed_is_not_taken_for_a_language(voice: str, model: str | None) -> None:
    afrikaans = card("espeak-ng", "espeak", (*EMBEDDED.voices, Voice("af", "Afrikaans", ("af",), MALE)))
    shelf = Shelf([afrikaans], absent=[NEURAL])
    error = refusal(shelf, voice) if model is None else refusal(shelf, voice, model=model)
    assert isinstance(error, ModelNotInstalled)
    assert error.param == "voice"
    assert "`hearsay models pull kokoro`" in error.message
    assert refusal(shelf, voice, model="espeak-ng").code == "voice_not_found"


@pytest.mark.parametrize("voice", ["de-heart", "de_sky", "en-us-nova", "pt-alex"])
def test_a_name_that_begins_like_a_language_is_no_language(voice: str) -> None:
    assert refusal(ONLY_EMBEDDED, voice).code == "voice_not_found"


def test_another_model_s_voice_is_unknown_to_the_one_that_is_named() -> None:
    error = refusal(BOTH, "af_heart", model="espeak-ng")
    assert error.code == "voice_not_found"
    assert "of `espeak-ng`" in error.message
    assert refusal(BOTH, "kokoro/af_heart", model="espeak-ng").code == "voice_not_found"


def test_a_language_that_the_voice_does_not_speak_is_refused() -> None:
    error = refusal(BOTH, "af_heart", language="de")
    assert isinstance(error, UnsupportedOption)
    assert error.param == "language"
    assert "`en-us`" in error.message


def test_a_language_that_nobody_speaks_is_refused() -> None:
    one, all_ = refusal(BOTH, model="kokoro", language="de"), refusal(BOTH, "alloy", language="sw")
    assert one.param == all_.param == "language"
    assert one.message == "The model `kokoro` does not speak German (`de`); there is `en`, `it`, `pt`."
    assert all_.message.startswith("None of the installed models speaks Swahili (`sw`)")


def test_a_language_that_there_is_not_is_refused() -> None:
    assert refusal(BOTH, "alloy", language="klingonish").code == "invalid_language"


def test_an_alias_is_followed_first() -> None:
    aliases = {"Alloy": "boss", "boss": "espeak-ng/de+m3", "loop": "LOOP"}
    result = chosen(BOTH, "alloy", model="tts-1", text=ENGLISH, aliases=aliases)
    assert who(result) == ("espeak-ng", "de+m3")
    with pytest.raises(ConfigurationError, match="means itself"):
        chosen(BOTH, "loop", aliases=aliases)


def test_an_alias_for_a_vendor_s_voice_that_leads_nowhere_is_not_taken_for_that_voice() -> None:
    with pytest.raises(InvalidRequest, match="no voice `alloy`"):
        chosen(BOTH, "alloy", aliases={"alloy": "nobody"})


def test_an_alias_is_among_the_nearest_names() -> None:
    with pytest.raises(InvalidRequest, match="`granny`"):
        chosen(BOTH, "grany", aliases={"granny": "en-us+f3"})


def test_a_model_that_is_not_there_is_refused() -> None:
    shelf = Shelf([EMBEDDED], absent=[card("piper-x", "onnx_tts", ())])
    error = refusal(shelf, "alloy", model="piper-x")
    assert isinstance(error, ModelNotInstalled)
    assert "`hearsay models pull piper-x`" in error.message
    assert isinstance(refusal(shelf, "alloy", model="nothing"), ModelNotFound)


def test_a_slash_that_names_no_model_belongs_to_the_voice() -> None:
    odd = card("odd", "onnx_tts", (Voice("a/b", "AB", ("en",), None),))
    result = chosen(Shelf([odd]), "a/b")
    assert who(result) == ("odd", "a/b")


def test_a_voice_of_unknown_gender_takes_a_part_in_silence() -> None:
    odd = card("odd", "onnx_tts", (Voice("x", "X", ("en",), None), Voice("y", "Y", ("en",), MALE)))
    assert chosen(Shelf([odd]), "alloy").warnings == ()
    assert chosen(Shelf([odd]), "alloy").voice.id == "x"
    assert chosen(Shelf([odd]), "onyx").voice.id == "y"


@pytest.mark.parametrize("language", ["en-gb-scotland", "en_GB_scotland"])
def test_of_two_regions_the_nearer_one_speaks(language: str) -> None:
    assert chosen(BOTH, language=language).voice.id == "bm_fable"


def test_a_variant_of_unknown_gender_takes_its_part_in_silence() -> None:
    result = select_voice(
        ONLY_EMBEDDED,
        model=None,
        voice="Somebody",
        vendor_voice=VendorVoice("Somebody", FEMALE, None, ("+max",)),
        language="de",
        text="Hm.",
    )
    assert (result.voice.id, result.voice.gender, result.warnings) == ("de+max", FEMALE, ())


def test_a_persona_without_parts_is_cast_by_gender() -> None:
    result = select_voice(
        ONLY_EMBEDDED,
        model=None,
        voice="Somebody",
        vendor_voice=VendorVoice("Somebody", FEMALE, None),
        language="de",
        text="Hm.",
    )
    assert result.voice.id == "de+f3"


def test_the_real_catalogue_casts_the_embedded_voices(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    catalogue = RealCatalogue(models_folder=tmp_path)
    result = chosen(catalogue, "shimmer", model="tts-1", text=GERMAN)
    assert who(result) == ("espeak-ng", "de+steph")
    assert chosen(catalogue, "Nasser-PlayAI", model="playai-tts-arabic").voice.id == "ar+m7"
    assert chosen(catalogue, text=ENGLISH).voice.id == "en-us"
    assert chosen(catalogue, language="pt-BR").voice.id == "pt-br"
