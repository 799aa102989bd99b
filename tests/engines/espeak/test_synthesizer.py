"""The embedded voice: it says what is written, always alike, in every language that it lists."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hearsay.domain import Gender, Pcm, SynthesisOptions
from hearsay.engines.espeak import synthesizer as espeak
from hearsay.engines.espeak.synthesizer import EspeakSynthesizer
from hearsay.errors import EngineFailed, UnsupportedOption

SENTENCE = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep."

SENTENCES = {
    "en-us": "In the beginning the small company sold books. Later, when the railway came, it sold nearly "
    "all: tools, seeds, clocks and even whole houses. Nobody knew why.",
    "de": "Am Anfang verkaufte die kleine Firma Bücher. Später, als die Eisenbahn kam, verkaufte sie fast "
    "alles: Werkzeug, Saatgut, Uhren und sogar ganze Häuser. Niemand wusste, warum.",
    "es": "Al principio la pequeña empresa vendía libros. Más tarde, cuando llegó el ferrocarril, vendía "
    "casi todo.",
    "fr-fr": "Au début, la petite entreprise vendait des livres. Plus tard, elle vendait presque tout.",
    "cmn": "一开始,这家小公司卖书。后来铁路来了,它几乎什么都卖。没有人知道为什么。",
    "ru": "Вначале маленькая фирма продавала книги. Потом, когда пришла железная дорога, она продавала всё.",
    "ar": "في البداية كانت الشركة الصغيرة تبيع الكتب. ثم جاءت السكة الحديدية وصارت تبيع كل شيء تقريبا.",
}


@pytest.fixture(scope="module")
def voice() -> Iterator[EspeakSynthesizer]:
    synthesizer = espeak.load(n_processes=2)
    yield synthesizer
    synthesizer.close()


def say(voice: EspeakSynthesizer, text: str, name: str = "en-us", speed: float = 1.0) -> Pcm:
    blocks = list(voice.synthesize(text, SynthesisOptions(name, speed)))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


@pytest.fixture(scope="module")
def early(voice: EspeakSynthesizer) -> Pcm:
    """What a later test will hear again, seconds later: this voice has noise in it."""
    return say(voice, SENTENCE, "de+f2")


def test_speaks_at_once(voice: EspeakSynthesizer, early: Pcm) -> None:
    sound = say(voice, SENTENCE)
    assert len(early)
    assert voice.sample_rate == 22_050
    assert 4 < len(sound) / voice.sample_rate < 6
    assert 2_000 < np.abs(sound).max() < 32_768


@pytest.mark.parametrize("name", SENTENCES)
@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.2])
def test_length_follows_speed(voice: EspeakSynthesizer, name: str, speed: float) -> None:
    normal, other = (len(say(voice, SENTENCES[name], name, each)) for each in (1.0, speed))
    assert normal / other == pytest.approx(speed, rel=0.05)


def test_every_voice_that_is_listed_speaks(
    voice: EspeakSynthesizer, capfd: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(4) as threads:
        names = [each.id for each in voice.voices]
        lengths = list(threads.map(lambda name: len(say(voice, "Hello 1 2 3 4", name)), names))
    silent = [name for name, length in zip(names, lengths, strict=True) if length < 5_000]
    assert silent == []
    assert capfd.readouterr().err == ""  # where it would complain of missing dictionaries


def test_every_variant_speaks_in_a_voice_of_its_own(voice: EspeakSynthesizer) -> None:
    with ThreadPoolExecutor(4) as threads:
        names = ["en-us", *(f"en-us+{variant.id}" for variant in espeak.variants())]
        sounds = list(threads.map(lambda name: say(voice, "One two.", name).tobytes(), names))
    alike = len(names) - len(set(sounds))
    assert all(sounds)
    assert alike < 5  # a few of the files say the same


def test_lists_plain_voices_before_female_ones() -> None:
    voices = espeak.voices()
    ids = [voice.id for voice in voices]
    plain = [name for name in ids if "+" not in name]
    assert ids[0] == "en-us"
    assert len(set(ids)) == len(ids)
    assert ids == plain + [f"{name}+f3" for name in plain]
    assert {"en-gb", "de", "fr-fr", "es", "cmn", "yue", "nb", "ar", "pt-br", "yue-latn-jyutping"} <= set(ids)
    assert not {"fo", "kaa", "xex"} & set(ids)  # their dictionaries are missing
    assert all(voice.gender is (Gender.FEMALE if "+" in voice.id else Gender.MALE) for voice in voices)
    assert all(voice.id == voice.id.lower() and voice.name and voice.languages for voice in voices)


@pytest.mark.parametrize(
    ("code", "first"),
    [("en", "en-us"), ("zh", "cmn"), ("no", "nb"), ("fr", "fr-fr"), ("pt", "pt"), ("es", "es"), ("fa", "fa")],
)
def test_the_first_voice_of_a_language_is_its_best(code: str, first: str) -> None:
    assert next(voice.id for voice in espeak.voices() if code in voice.languages) == first


def test_variants_change_the_voice_and_keep_the_words(voice: EspeakSynthesizer) -> None:
    variants = {variant.id: variant for variant in espeak.variants()}
    assert {"f1", "f5", "m1", "m8", "whisper", "mr-serious"} <= set(variants)
    assert variants["f1"].gender is Gender.FEMALE
    assert variants["m3"].gender is Gender.MALE
    plain, female = say(voice, SENTENCE), say(voice, SENTENCE, "en-us+f4")
    assert not np.array_equal(plain, female)
    assert len(female) == pytest.approx(len(plain), rel=0.1)


@pytest.mark.parametrize("name", ["", "xx", "en-us+", "en-us+nobody", "+f1", "../../etc/passwd", "en+../f1"])
def test_unknown_voices_are_refused(voice: EspeakSynthesizer, name: str) -> None:
    with pytest.raises(UnsupportedOption) as caught:
        voice.synthesize("Hello.", SynthesisOptions(name))
    assert caught.value.param == "voice"


def test_voices_are_found_in_any_case(voice: EspeakSynthesizer) -> None:
    assert np.array_equal(say(voice, "Hello.", "EN-US+F1"), say(voice, "Hello.", "en-us+f1"))


@pytest.mark.parametrize("text", ["", " \n\t", "—", "...", "«»", "\0", "\x01", "。", "- - -"])
def test_what_cannot_be_said_makes_no_sound(voice: EspeakSynthesizer, text: str) -> None:
    assert len(say(voice, text)) == 0


def test_markup_and_commands_are_only_text(voice: EspeakSynthesizer) -> None:
    # As phonemes this would be one short word, as markup a minute of silence, as a command much faster.
    assert len(say(voice, "[[h@loU]]")) > 1.2 * len(say(voice, "hello"))
    assert len(say(voice, '<break time="60s"/> hello')) < 10 * voice.sample_rate
    assert np.array_equal(
        say(voice, f"\x01400S {SENTENCE}")[-30_000:], say(voice, f"400S {SENTENCE}")[-30_000:]
    )


def test_nothing_after_a_nul_is_lost(voice: EspeakSynthesizer) -> None:
    assert len(say(voice, f"Hello.\0{SENTENCE}")) > len(say(voice, SENTENCE))


def test_lone_surrogates_do_no_harm(voice: EspeakSynthesizer) -> None:
    assert len(say(voice, f"\ud800 {SENTENCE} \udfff")) > 4 * voice.sample_rate


def test_sentences_end_with_a_pause(voice: EspeakSynthesizer) -> None:
    sound = say(voice, "The sun is up.")
    n_silent = len(sound) - np.flatnonzero(sound)[-1]
    assert 0.2 < n_silent / voice.sample_rate < 0.5


def test_the_library_is_not_in_this_process(voice: EspeakSynthesizer) -> None:
    say(voice, "Hello.")
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not tell what is loaded")
    assert "espeak" not in maps.read_text()


def test_speaks_alike_whatever_was_said_before_and_in_whichever_process(
    voice: EspeakSynthesizer, early: Pcm
) -> None:
    with ThreadPoolExecutor(8) as threads:
        others = [
            threads.submit(say, voice, text, name, speed)
            for name, text in SENTENCES.items()
            for speed in (0.8, 1.2)
        ]
        again = [threads.submit(say, voice, SENTENCE, "de+f2") for _ in range(8)]
        assert all(len(other.result()) for other in others)
        assert all(np.array_equal(future.result(), early) for future in again)


def test_survives_the_loss_of_all_processes(voice: EspeakSynthesizer) -> None:
    for pid in voice._processes.pids:
        os.kill(pid, signal.SIGKILL)
    assert len(say(voice, SENTENCE)) > 4 * voice.sample_rate


def test_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(EngineFailed, match="pip install espeakng-loader"):
        espeak.load(n_processes=1)


def test_says_what_is_wrong_with_the_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(espeak._loader(), "get_data_path", lambda: str(tmp_path))
    with pytest.raises(EngineFailed, match="cannot read its data"):
        espeak.load(n_processes=1)
