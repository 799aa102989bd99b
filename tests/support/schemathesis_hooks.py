"""What schemathesis loads beside our document: real recordings, so that made-up fields reach the engine.

Knows no test. Every other made-up request keeps its random file, or its random voice.
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
    """Put a recording in the place of every other random file, and names that exist into wishes to hear."""
    if not isinstance(case.body, dict) or next(_number) % 2:
        return
    if "file" in case.body:
        case.body["file"] = recording()
    if "input" in case.body and "voice" in case.body:
        case.body |= {"model": "fake-voice", "voice": "high"}
