"""The body of a request for speech, in any vendor's spelling, parsed into options.

Knows neither HTTP nor which models and voices there are. Types are those of JSON, but numbers and flags may
also come as text. Source: OpenAI's, Groq's and Together's API references and their clients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hearsay.dialects import vendor_voices
from hearsay.dialects.dialect import Dialect
from hearsay.domain import VendorVoice
from hearsay.errors import InvalidRequest
from hearsay.media.formats import RATES, AudioFormat, Container, Encoding, bit_rates, check
from hearsay.text import languages

SPEEDS = (0.25, 5.0)
"""Slowest and fastest speech that may be asked for; the vendors' ranges together."""

OCTETS = "application/octet-stream"
FORMATS: Mapping[str, tuple[Container, Encoding, str]] = {
    "mp3": (Container.MP3, Encoding.PCM_S16LE, "audio/mpeg"),
    # RFC 7845 has no other type for a file; audio/opus is for packets on a wire.
    "opus": (Container.OPUS, Encoding.PCM_S16LE, "audio/ogg"),
    "aac": (Container.AAC, Encoding.PCM_S16LE, "audio/aac"),
    "flac": (Container.FLAC, Encoding.PCM_S16LE, "audio/flac"),
    "wav": (Container.WAV, Encoding.PCM_S16LE, "audio/wav"),
    "pcm": (Container.RAW, Encoding.PCM_S16LE, "audio/pcm"),
    "ogg": (Container.OGG, Encoding.PCM_S16LE, "audio/ogg"),
    "mulaw": (Container.RAW, Encoding.MULAW, "audio/basic"),
    "raw": (Container.RAW, Encoding.PCM_S16LE, OCTETS),
}
"""What each `response_format` is: container, encoding of samples, content type."""

_ENCODED = frozenset({"wav", "raw", "pcm"})
"""Formats whose samples `response_encoding` chooses."""
_BASIC_RATE = 8000
"""The only rate of `audio/basic`, by RFC 2046."""
_KNOWN = frozenset(
    """
    bit_rate input instructions language model response_encoding response_format sample_rate speed stream
    stream_format voice
    """.split()  # noqa: SIM905
)
_TAG = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{1,8}){0,4}")
_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
_SHOWN = 40
_LONGEST_NAME = 200
_LARGEST = 10**9
_MOST_LISTED = 5


class Framing(StrEnum):
    """How the bytes of the audio are sent."""

    BYTES = "bytes"
    """As they are."""
    EVENTS = "events"
    """As base64 in events; the last one counts what was used."""
    CHUNKS = "chunks"
    """As base64 in chunks, until `[DONE]`."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One request for speech, parsed."""

    text: str
    """As it came, not normalised."""
    model: str | None
    """The name as the client spelt it; None for the default."""
    voice: str | None
    """The name as the client spelt it; None for the default."""
    vendor_voice: VendorVoice | None
    """The vendor's voice that the name means, if any."""
    language: str | None
    """BCP 47 tag in lower case; None leaves it to the voice and the text."""
    speed: float
    format: AudioFormat
    media_type: str
    """Content type of the bytes, without parameters."""
    framing: Framing = Framing.BYTES
    instructions: str | None = None
    warnings: tuple[str, ...] = ()
    """What was asked for that changes nothing, one sentence each."""


def parse_speech(body: Mapping[str, Any], *, dialect: Dialect, max_characters: int) -> SpeechRequest:
    """Parse a request for speech.

    Raises:
        InvalidRequest: a value that cannot be right; `param` names the field.
        UnsupportedOption: audio that cannot be encoded as asked for.
    """
    asked = {name: value for name, value in body.items() if value is not None}
    said = {name: value for name, value in asked.items() if dialect.unasked_fields.get(name) != value}
    voice = _voice(said, dialect)
    name, wanted, ignored = _format(asked, said, dialect)
    return SpeechRequest(
        text=_input(asked, max_characters),
        model=_name(asked, "model"),
        voice=voice,
        vendor_voice=None if voice is None else vendor_voices.vendor_voice(voice),
        language=_language(said),
        speed=_speed(asked),
        format=wanted,
        media_type=_media_type(name, wanted, dialect),
        framing=_framing(asked, dialect),
        instructions=_text(asked, "instructions"),
        warnings=(*ignored, *_ignored_fields(asked)),
    )


def _input(asked: Mapping[str, Any], most: int) -> str:
    if "input" not in asked:
        raise InvalidRequest(
            "input is missing: the text to be spoken.", param="input", code="missing_required_parameter"
        )
    text = asked["input"]
    if not isinstance(text, str):
        raise _wrong_type("input", "a string", text)
    if not text.strip():
        raise InvalidRequest("input is empty; there is nothing to speak.", param="input", code="empty_string")
    if len(text) > most:
        raise InvalidRequest(
            f"input is too long: it has {len(text)} characters, and this server speaks at most {most} "
            "for one request. Send the text in parts.",
            param="input",
            code="string_above_max_length",
        )
    return text


def _voice(asked: Mapping[str, Any], dialect: Dialect) -> str | None:
    value = asked.get("voice")
    if isinstance(value, dict):
        if not isinstance(value.get("id"), str):
            raise InvalidRequest(
                'voice must be the name of a voice, or an object such as {"id": "…"}.',
                param="voice",
                code="invalid_type",
            )
        asked = {"voice": value["id"]}
    voice = _name(asked, "voice")
    if voice is None and dialect.needs_voice:
        raise InvalidRequest(
            "voice is missing: the name of a voice. GET voices lists those that are installed.",
            param="voice",
            code="missing_required_parameter",
        )
    return voice


def _language(asked: Mapping[str, Any]) -> str | None:
    text = (_text(asked, "language") or "").lower()
    return text.replace("_", "-") if _TAG.fullmatch(text) else languages.parse(text)


def _speed(asked: Mapping[str, Any]) -> float:
    value = _number(asked, "speed")
    slowest, fastest = SPEEDS
    if value is None:
        return 1.0
    if not slowest <= value <= fastest:
        raise InvalidRequest(
            f"speed must lie between {slowest:g} and {fastest:g}, not {value:g}.", param="speed"
        )
    return value


def _format(
    asked: Mapping[str, Any], said: Mapping[str, Any], dialect: Dialect
) -> tuple[str, AudioFormat, list[str]]:
    """Return the name of the format, the format, and warnings about options that change nothing."""
    name = _choice(asked, "response_format", tuple(FORMATS)) or dialect.speech_format
    container, encoding, _ = FORMATS[name]
    ignored = []
    # Bare samples do not say what they are: there even the values that a client sends by itself count.
    named = _choice(asked if container is Container.RAW else said, "response_encoding", tuple(Encoding))
    if named is not None and name in _ENCODED:
        encoding = Encoding(named)
    elif named is not None and encoding != named and "response_encoding" in said:
        ignored.append(f"response_encoding was ignored; {name} has no choice of it.")
    rate, bit_rate = _whole(asked, "sample_rate"), _whole(asked, "bit_rate")
    if bit_rate is not None and not bit_rates(container, dialect.sample_rate):
        ignored.append(f"bit_rate was ignored; {name} has no choice of it.")
        bit_rate = None
    wanted = AudioFormat(container, dialect.sample_rate if rate is None else rate, encoding, bit_rate)
    if rate is None:
        wanted = _fitted_to_bit_rate(wanted)
    check(wanted)
    return name, wanted, ignored


def _fitted_to_bit_rate(wanted: AudioFormat) -> AudioFormat:
    """Raise a sample rate that was not asked for to one that the bit rate goes with, if there is one."""
    if wanted.bit_rate is None:
        return wanted
    rates = (rate for rate in RATES[wanted.container] if rate >= wanted.sample_rate)
    fitting = (rate for rate in rates if wanted.bit_rate in bit_rates(wanted.container, rate))
    return replace(wanted, sample_rate=next(fitting, wanted.sample_rate))


def _media_type(name: str, wanted: AudioFormat, dialect: Dialect) -> str:
    if dialect.opaque_audio and wanted.container not in (Container.WAV, Container.MP3):
        return OCTETS
    if name == "mulaw" and wanted.sample_rate != _BASIC_RATE:
        return OCTETS
    if name == "pcm" and wanted.encoding is not Encoding.PCM_S16LE:
        return OCTETS
    return FORMATS[name][-1]


def _framing(asked: Mapping[str, Any], dialect: Dialect) -> Framing:
    stream = _flag(asked, "stream")
    stream_format = _choice(asked, "stream_format", ("audio", "sse"))
    if stream and dialect.chunks_speech:
        return Framing.CHUNKS
    return Framing.EVENTS if stream_format == "sse" else Framing.BYTES


def _ignored_fields(asked: Mapping[str, Any]) -> list[str]:
    """Return a warning that lists the fields that are not read, if there are any."""
    names = sorted(name for name in asked if name not in _KNOWN)
    if not names:
        return []
    listed = ", ".join(name[:_SHOWN] for name in names[:_MOST_LISTED]).encode("utf-8", "replace").decode()
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return [f"{listed}{more}: not supported and ignored."]


def _text(asked: Mapping[str, Any], name: str) -> str | None:
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong_type(name, "a string", value)
    return value.strip() or None


def _name(asked: Mapping[str, Any], name: str) -> str | None:
    text = _text(asked, name)
    if text is not None and len(text) > _LONGEST_NAME:
        raise InvalidRequest(f"{name} must be a name of at most {_LONGEST_NAME} characters.", param=name)
    return text


def _choice(asked: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    text = _text(asked, name)
    if text is not None and text.lower() not in known:
        raise InvalidRequest(f"{name} must be one of {', '.join(known)}, not {text[:_SHOWN]!r}.", param=name)
    return None if text is None else text.lower()


def _number(asked: Mapping[str, Any], name: str) -> float | None:
    value = asked.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong_type(name, "a number", value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequest(f"{name} must be a number, not {str(value)[:_SHOWN]!r}.", param=name)
    return number


def _whole(asked: Mapping[str, Any], name: str) -> int | None:
    number = _number(asked, name)
    if number is not None and not (number.is_integer() and abs(number) < _LARGEST):
        raise InvalidRequest(f"{name} must be a whole number of usual size, not {number:g}.", param=name)
    return None if number is None else int(number)


def _flag(asked: Mapping[str, Any], name: str) -> bool:
    value = asked.get(name, False)
    text = value.strip().lower() if isinstance(value, str) else value
    if text in (True, "true"):
        return True
    if text in (False, "false", ""):
        return False
    raise InvalidRequest(f"{name} must be true or false.", param=name)


def _wrong_type(name: str, wanted: str, value: object) -> InvalidRequest:
    found = _KINDS.get(type(value), "a string")
    return InvalidRequest(f"{name} must be {wanted}, not {found}.", param=name, code="invalid_type")
