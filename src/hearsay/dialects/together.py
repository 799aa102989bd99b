"""Together AI's dialect: language codes, segments always, bare lists of models, and speech in chunks.

Knows only flags. Source: Together's speech guide and its Python clients 1.6 to 3.1.
"""

from __future__ import annotations

from dataclasses import replace

from hearsay.dialects.openai import OPENAI

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

USER_AGENT = "Together/"
"""What every HTTP client of this vendor has in its `User-Agent`, and no other vendor's has."""

USER_AGENT_1 = "Together/v1 "
"""What only its client 1.x has there."""
