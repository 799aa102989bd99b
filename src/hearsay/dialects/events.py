"""A stream of segments → server-sent events.

Knows neither sockets nor engines. Events have no `event:` lines, which some clients drop. The deltas of a
stream, joined, are exactly the text of its last event. Source: OpenAI's reference of streaming
transcription events.
"""

from __future__ import annotations

from hearsay.dialects.answers import serving, usage
from hearsay.dialects.bodies import DeltaEvent, DoneEvent, ErrorBody
from hearsay.dialects.wire import encode
from hearsay.domain import Transcript

DONE = b"data: [DONE]\n\n"
"""What ends every stream."""

PING = b": ping\n\n"
"""A comment that keeps an idle connection open and that clients skip."""


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


def frame(event: DeltaEvent | DoneEvent | ErrorBody) -> bytes:
    """Put an event on one `data:` line."""
    return b"data: " + encode(event) + b"\n\n"
