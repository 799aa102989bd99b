"""What sets one vendor's dialect apart from another's, as data.

Knows no request and no answer: the parsers and the renderers read these flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Dialect:
    """One vendor's dialect; the defaults are the base that the others vary."""

    name: str
    language_codes: bool = False
    """Whether verbose answers have `en` rather than `english`."""
    keeps_segments: bool = False
    """Whether verbose answers carry segments even when only words were asked for."""
    bare_model_list: bool = False
    """Whether the list of models is an array rather than an object that holds one."""
    language_is_target: bool = False
    """Whether `language` on translations names what is written (English) rather than what is spoken."""
    speech_format: str = "mp3"
    """The `response_format` of speech where none is named."""
    sample_rate: int = 24_000
    """Samples per second of speech where none are named."""
    needs_voice: bool = True
    """Whether a request for speech that names no voice is refused."""
    chunks_speech: bool = False
    """Whether `stream: true` asks for speech as base64 in events rather than as bytes."""
    opaque_audio: bool = False
    """Whether audio other than wav and mp3 must have the type `application/octet-stream`."""
    unasked_fields: Mapping[str, str] = field(default_factory=dict)
    """Fields of a request for speech that the client sends by itself; with these values they mean nothing."""
