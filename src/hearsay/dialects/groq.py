"""Groq's dialect: OpenAI's, but for the path, the meaning of `language` on translations, and the sample rate.

Knows only flags. Source: Groq's OpenAPI document and speech guide.
"""

from __future__ import annotations

from dataclasses import replace

from hearsay.dialects.openai import OPENAI

GROQ = replace(OPENAI, name="groq", language_is_target=True, sample_rate=48_000)

PREFIX = "/openai/v1"
"""Where the vendor's API begins; a request below it is answered in this dialect."""
