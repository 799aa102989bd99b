"""The vendors' voices by name, and which installed voice stands for each.

Only a vendor has its voices, so that a request which names one gets another: of the same gender, always the
same voice, and, of those of one vendor and gender, each another one. The table is stable: an entry never
changes. Knows neither requests nor what is installed.

The part of a voice is the id of the one that stands for it, for engines whose voices have names, and for
`espeak` the variant of the voice of the language that is spoken. Sources: the vendors' references for the
names; for the genders their descriptions and those of client software, all of which agree, but for voices
that are called neutral (alloy, fable, Indigo, Quinn): those have the gender of the open voice of the same
name, or the one that most lists give.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hearsay.domain import Gender, VendorVoice

_OPENAI = """
alloy    female  f1      af_alloy
ash      male    m1      am_michael
ballad   male    m2      bm_george
cedar    male    m4      am_fenrir
coral    female  f2      af_sarah
echo     male    m3      am_echo
fable    male    m6      bm_fable
marin    female  f3      af_heart
nova     female  f4      af_nova
onyx     male    m8      am_onyx
sage     female  f5      af_aoede
shimmer  female  steph   af_bella
verse    male    m7      am_puck
"""
"""Name, gender, and the parts of espeak-ng and of Kokoro."""

_PLAYAI = """
Aaliyah-PlayAI   female  alicia   af_sky
Adelaide-PlayAI  female  andrea   bf_alice
Angelo-PlayAI    male    andy     am_liam
Arista-PlayAI    female  f1       af_kore
Atlas-PlayAI     male    m1       am_onyx
Basil-PlayAI     male    m2       bm_lewis
Briggs-PlayAI    male    m3       am_fenrir
Calum-PlayAI     male    m4       bm_fable
Celeste-PlayAI   female  f2       af_heart
Cheyenne-PlayAI  female  f3       af_jessica
Chip-PlayAI      male    m5       am_puck
Cillian-PlayAI   male    denis    bm_daniel
Deedee-PlayAI    female  f4       af_nicole
Eleanor-PlayAI   female  annie    bf_emma
Fritz-PlayAI     male    m6       am_michael
Gail-PlayAI      female  f5       af_sarah
Indigo-PlayAI    female  belinda  af_river
Jennifer-PlayAI  female  anika    af_bella
Judy-PlayAI      female  steph    af_aoede
Mamaw-PlayAI     female  grandma  bf_lily
Mason-PlayAI     male    m7       am_adam
Mikail-PlayAI    male    marco    am_eric
Mitch-PlayAI     male    travis   am_echo
Nia-PlayAI       female  linda    af_alloy
Quinn-PlayAI     female  steph2   af_nova
Ruby-PlayAI      female  aunty    bf_isabella
Thunder-PlayAI   male    m8       bm_george
"""

_PLAYAI_ARABIC = """
Ahmad-PlayAI   male    m1
Amira-PlayAI   female  f2
Khalid-PlayAI  male    m3
Nasser-PlayAI  male    m7
"""

_ORPHEUS = """
austin  male    m1      am_adam
autumn  female  f1      af_bella
dan     male    m2      am_eric
daniel  male    m3      bm_daniel
diana   female  f2      af_sarah
hannah  female  f3      af_nova
jess    female  f4      af_jessica
leah    female  f5      af_kore
leo     male    m4      am_liam
mia     female  alicia  af_sky
tara    female  steph   af_heart
troy    male    m6      am_michael
zac     male    m7      am_puck
zoe     female  andrea  af_river
"""

_ORPHEUS_ARABIC = """
abdullah  male    m1
aisha     female  f1
fahad     male    m3
lulwa     female  f2
noura     female  f4
sultan    male    m7
"""

_SONIC = """
1920's radioman, alabama male, announcer man, anime girl, asmr lady, australian customer support man,
australian male, australian narrator lady, australian woman, barbershop man, brazilian young man, british
customer support lady, british lady, british narration lady, british reading lady, california girl, calm
french woman, calm lady, chinese call center man, chinese commercial man, chinese commercial woman,
chinese female conversational, chinese woman narrator, classy british man, commercial lady, commercial
man, confident british man, customer support lady, customer support man, dutch confident man, dutch man,
female nurse, french conversational lady, french narrator lady, french narrator man, friendly australian
man, friendly brazilian man, friendly french man, friendly german man, friendly reading man, german
conversation man, german conversational woman, german reporter man, german reporter woman, german
storyteller man, german woman, helpful french lady, helpful woman, hindi calm man, hindi narrator man,
hindi narrator woman, hindi reporter man, indian customer support lady, indian lady, indian man, italian
calm man, italian narrator man, italian narrator woman, japanese male conversational, japanese man book,
japanese woman conversational, kentucky man, kentucky woman, korean calm woman, korean narrator man,
korean narrator woman, laidback woman, madame mischief, meditation lady, mexican man, mexican woman,
middle eastern woman, midwestern man, midwestern woman, movieman, new york man, new york woman, newslady,
newsman, nonfiction man, pleasant brazilian lady, pleasant man, polish confident man, polish narrator man,
polish narrator woman, polish young man, polite man, princess, professional woman, reading lady, reading
man, reflective woman, russian calm lady, russian narrator man 1, russian narrator man 2, russian narrator
woman, salesman, southern man, southern woman, spanish narrator lady, spanish narrator man,
spanish-speaking lady, spanish-speaking man, spanish-speaking reporter man, spanish-speaking storyteller
man, sportsman, stern french man, storyteller lady, sweet lady, swedish calm lady, swedish narrator man,
teacher lady, turkish calm man, turkish narrator man, tutorial man, wise guide man, wise lady, wise man,
wizardman, yogaman, young spanish-speaking woman
"""
"""Names that describe the voice; of those that do not, one is so usual that it is below."""

_SIDEKICK = "friendly sidekick"

_NATIONS = dict(
    pair.split()
    for pair in """
    brazilian pt, chinese zh, dutch nl, french fr, german de, hindi hi, italian it, japanese ja, korean ko,
    mexican es, polish pl, russian ru, spanish es, swedish sv, turkish tr
    """.split(",")  # noqa: SIM905
)
"""Words in a name that give the voice's language; any other voice speaks every language."""

_FEMALE = re.compile(r"woman|lady|female|girl|princess|madame")

_LOTS: Mapping[Gender, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Gender.FEMALE: (
        ("f1", "f2", "f3", "f4", "f5", "alicia", "andrea", "steph"),
        ("af_heart", "af_bella", "af_sarah", "bf_emma", "af_nova", "af_aoede", "bf_isabella", "af_kore"),
    ),
    Gender.MALE: (
        ("m1", "m2", "m3", "m4", "m6", "m7", "m8", "denis"),
        ("am_michael", "am_fenrir", "bm_george", "am_puck", "am_echo", "am_onyx", "bm_fable", "am_liam"),
    ),
}
"""Parts for voices of which there are too many: the checksum of the name chooses."""


def _rows(table: str, language: str | None) -> Iterator[VendorVoice]:
    for line in table.split("\n")[1:-1]:
        name, gender, variant, *kokoro = line.split()
        yield VendorVoice(name, Gender(gender), language, (*kokoro, f"+{variant}"))


def _sonic() -> Iterator[VendorVoice]:
    for name in sorted([" ".join(name.split()) for name in _SONIC.split(",")] + [_SIDEKICK]):
        gender = Gender.FEMALE if _FEMALE.search(name) else Gender.MALE
        variants, kokoro = _LOTS[gender]
        at = zlib.crc32(name.encode()) % len(variants)
        language = next((_NATIONS[word] for word in re.split("[ -]", name) if word in _NATIONS), None)
        parts = (() if language else (kokoro[at],)) + (f"+{variants[at]}",)
        yield VendorVoice(name, gender, language, parts)


FAMILIES: Mapping[str, tuple[VendorVoice, ...]] = {
    "OpenAI": tuple(_rows(_OPENAI, None)),
    "Groq, PlayAI, English": tuple(_rows(_PLAYAI, "en")),
    "Groq, PlayAI, Arabic": tuple(_rows(_PLAYAI_ARABIC, "ar")),
    "Groq and Together, Orpheus, English": tuple(_rows(_ORPHEUS, "en")),
    "Groq, Orpheus, Arabic": tuple(_rows(_ORPHEUS_ARABIC, "ar")),
    "Together, Sonic": tuple(_sonic()),
}
"""The voices of each vendor and model, in alphabetical order."""

VENDOR_VOICES: Mapping[str, VendorVoice] = MappingProxyType(
    {each.name.casefold(): each for family in FAMILIES.values() for each in family}
)
"""Every voice by its name in lower case."""

NAMES = tuple(each.name for each in VENDOR_VOICES.values())
"""The names of them all, as their vendors spell them."""


def vendor_voice(name: str) -> VendorVoice | None:
    """Return a vendor's voice by its name, in any case; None where no vendor has one of that name."""
    return VENDOR_VOICES.get(" ".join(name.casefold().split()))
