"""Bodies → bytes.

Knows no field. JSON as every client's parser takes it: no NaN, no lone surrogates.
"""

from __future__ import annotations

import json


def encode(body: object) -> bytes:
    """Write `body` as JSON in UTF-8; half a surrogate pair, which JSON can smuggle in, becomes `?`."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )
