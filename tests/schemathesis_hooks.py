"""What schemathesis loads beside our document: real recordings, so that made-up fields reach the engine.

Knows no test. Every other made-up form with a file keeps its random bytes.
"""

from __future__ import annotations

import io
import wave
from itertools import count
from typing import Any

import schemathesis

_number = count()


def recording() -> bytes:
    """Make half a second of loud sound as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(b"\x00\x40\x00\xc0" * 4000)
    return buffer.getvalue()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Put a recording in the place of every other random file."""
    if isinstance(case.body, dict) and "file" in case.body and next(_number) % 2 == 0:
        case.body["file"] = recording()
