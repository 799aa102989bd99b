"""Together AI's accent: language codes, segments always, and bare lists of models.

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
)

USER_AGENT = "Together/"
"""What every HTTP client of this vendor has in its `User-Agent`, and no other vendor's has."""
