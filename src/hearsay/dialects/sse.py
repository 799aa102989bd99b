"""Server-sent events of a stream of segments, or of audio.

Knows neither sockets nor engines. Events have no `event:` lines, which some clients drop. The deltas of a
stream, joined, are exactly the text of its last event; those of audio, decoded and joined, are the file.
Source: OpenAI's reference of streaming transcription and speech events, Together's of its speech chunks.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from hearsay.dialects import schemas
from hearsay.dialects.rendering import encode_json, serving, usage
from hearsay.domain import BytesLike, Transcript

DONE = b"data: [DONE]\n\n"
"""What ends a stream whose last event does not say itself that it is the last."""

PING = b": ping\n\n"
"""A comment that keeps an idle connection open and that clients skip."""

TOKEN_SECONDS = 0.02
"""Audio that counts as one token."""


class Deltas:
    """The text of one stream so far, without white space at its two ends."""

    def __init__(self) -> None:
        self.text = ""
        """All deltas joined."""
        self._space = ""

    def add(self, text: str) -> schemas.DeltaEvent | None:
        """Return the event that adds the text of one segment; None where that is only white space."""
        body = text.rstrip()
        if not body:
            self._space += text
            return None
        delta = self._space + body if self.text else body.lstrip()
        self._space = text[len(body) :]
        self.text += delta
        return {"type": "transcript.text.delta", "delta": delta}


def render_done(transcript: Transcript, text: str, request_id: str) -> schemas.DoneEvent:
    """Return the last event of a stream of text."""
    return {
        "type": "transcript.text.done",
        "text": text,
        "usage": usage(transcript.duration),
        "x_groq": {"id": request_id},
        "x_hearsay": serving(transcript),
    }


def render_speech_delta(block: BytesLike) -> schemas.SpeechDeltaEvent:
    """Return the event that adds a block of audio."""
    return {"type": "speech.audio.delta", "audio": base64.b64encode(block).decode("ascii")}


def render_speech_done(*, n_characters: int, seconds: float) -> schemas.SpeechDoneEvent:
    """Return the last event of a stream of audio."""
    n_output = round(seconds / TOKEN_SECONDS)
    return {
        "type": "speech.audio.done",
        "usage": {
            "input_tokens": n_characters,
            "output_tokens": n_output,
            "total_tokens": n_characters + n_output,
        },
    }


def render_speech_chunk(block: BytesLike, model: str) -> schemas.SpeechChunk:
    """Return the chunk that adds a block of audio."""
    encoded = base64.b64encode(block).decode("ascii")
    return {
        "object": "audio.tts.chunk",
        "model": model,
        "b64": encoded,
        "type": "conversation.item.audio_output.delta",
        "delta": encoded,
    }


def frame(event: Mapping[str, object]) -> bytes:
    """Return an event on one `data:` line."""
    return b"data: " + encode_json(event) + b"\n\n"
