"""A stream of segments, or of sound → server-sent events.

Knows neither sockets nor engines. Events have no `event:` lines, which some clients drop. The deltas of a
stream, joined, are exactly the text of its last event; those of sound, decoded and joined, are the file.
Source: OpenAI's reference of streaming transcription and speech events, Together's of its speech chunks.
"""

from __future__ import annotations

import base64

from hearsay.dialects.rendering import serving, usage
from hearsay.dialects.schemas import (
    DeltaEvent,
    DoneEvent,
    ErrorBody,
    SpeechChunk,
    SpeechDeltaEvent,
    SpeechDoneEvent,
    encode_json,
)
from hearsay.domain import BytesLike, Transcript

DONE = b"data: [DONE]\n\n"
"""What ends every stream."""

PING = b": ping\n\n"
"""A comment that keeps an idle connection open and that clients skip."""

TOKEN_SECONDS = 0.02
"""Sound that counts as one token."""


class Deltas:
    """The text of one stream so far, without white space at its two ends."""

    def __init__(self) -> None:
        self.text = ""
        """All deltas joined."""
        self._space = ""

    def add(self, text: str) -> DeltaEvent | None:
        """Take the text of one segment; None where it adds nothing to see."""
        body = text.rstrip()
        if not body:
            self._space += text
            return None
        delta = self._space + body if self.text else body.lstrip()
        self._space = text[len(body) :]
        self.text += delta
        return {"type": "transcript.text.delta", "delta": delta}


def render_done(transcript: Transcript, text: str, request_id: str) -> DoneEvent:
    """Make the last event of a stream."""
    return {
        "type": "transcript.text.done",
        "text": text,
        "usage": usage(transcript.duration),
        "x_groq": {"id": request_id},
        "x_hearsay": serving(transcript),
    }


def render_speech_delta(sound: BytesLike) -> SpeechDeltaEvent:
    """Make an event of some bytes of sound."""
    return {"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode("ascii")}


def render_speech_done(*, n_characters: int, seconds: float) -> SpeechDoneEvent:
    """Make the last event of a stream of sound."""
    n_output = round(seconds / TOKEN_SECONDS)
    return {
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": n_characters,
            "output_tokens": n_output,
            "total_tokens": n_characters + n_output,
        },
    }


def render_speech_chunk(sound: BytesLike, model: str) -> SpeechChunk:
    """Make a chunk of some bytes of sound."""
    encoded = base64.b64encode(sound).decode("ascii")
    return {
        "object": "audio.tts.chunk",
        "model": model,
        "b64": encoded,
        "type": "conversation.item.audio_output.delta",
        "delta": encoded,
    }


Event = DeltaEvent | DoneEvent | SpeechDeltaEvent | SpeechDoneEvent | SpeechChunk | ErrorBody
"""Whatever a stream may hold."""


def frame(event: Event) -> bytes:
    """Put an event on one `data:` line."""
    return b"data: " + encode_json(event) + b"\n\n"
