"""The vendors' dialects: OpenAI's, the base of the others; Groq's; Together AI's.

Knows only flags. Sources: OpenAI's API reference and its Python client 3.52; Groq's OpenAPI document and
speech guide; Together's speech guide and its Python clients 1.6 to 3.1.
"""

from __future__ import annotations

from dataclasses import replace

from hearsay.dialects.dialect import Dialect

OPENAI = Dialect(name="openai")

GROQ = replace(OPENAI, name="groq", language_is_target=True, sample_rate=48_000)

TOGETHER = replace(
    OPENAI,
    name="together",
    language_codes=True,
    keeps_segments=True,
    bare_model_list=True,
    language_is_target=True,
    speech_format="wav",
    chunks_speech=True,
    opaque_audio=True,
)

TOGETHER_1 = replace(
    TOGETHER, needs_voice=False, unasked_fields={"language": "en", "response_encoding": "pcm_f32le"}
)
"""The same for its client 1.x, which sends fields that its user left out and may leave the voice out."""

TOGETHER_AGENT = "Together/"
"""What every HTTP client of this vendor has in its `User-Agent`, and no other vendor's has."""

TOGETHER_1_AGENT = "Together/v1 "
"""What only its client 1.x has there."""
