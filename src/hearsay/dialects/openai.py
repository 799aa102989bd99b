"""OpenAI's dialect, the base of the others.

Knows only flags. Source: OpenAI's API reference and its Python client 3.52.
"""

from __future__ import annotations

from hearsay.dialects.dialect import Dialect

OPENAI = Dialect(name="openai")

PREFIX = "/v1"
"""Where the vendor's API begins."""
