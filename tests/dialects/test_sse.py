"""Events: deltas that joined are the text or the audio, and the frame around them."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from hearsay.dialects.schemas import DoneEvent
from hearsay.dialects.sse import (
    Deltas,
    frame,
    render_done,
    render_speech_chunk,
    render_speech_delta,
    render_speech_done,
)
from tests.support.bodies import fits, transcript


@given(st.lists(st.text(alphabet=" \n\tab", max_size=6), max_size=8))
def test_deltas_joined_are_the_text_without_its_edges(texts: list[str]) -> None:
    deltas = Deltas()
    events = [event for text in texts if (event := deltas.add(text)) is not None]
    assert "".join(event["delta"] for event in events) == "".join(texts).strip() == deltas.text
    assert all(event["delta"].strip() for event in events)


def test_events() -> None:
    done = render_done(transcript(warnings=("Cut.",)), "Hi.", "req_1")
    assert fits(DoneEvent, done)
    assert done["x_hearsay"]["warnings"] == ["Cut."]
    framed = frame({"type": "transcript.text.delta", "delta": "a\n\nb: ü"})
    assert framed.startswith(b"data: ") and framed.endswith(b"\n\n")
    assert framed.count(b"\n") == 2
    assert json.loads(framed[6:])["delta"] == "a\n\nb: ü"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_sound_in_events_is_the_sound(parts: list[bytes]) -> None:
    deltas = [json.loads(frame(render_speech_delta(part)).removeprefix(b"data: ")) for part in parts]
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == b"".join(parts)
    chunks = [json.loads(frame(render_speech_chunk(part, "m")).removeprefix(b"data: ")) for part in parts]
    assert b"".join(base64.b64decode(chunk["b64"]) for chunk in chunks) == b"".join(parts)
    assert all(chunk["delta"] == chunk["b64"] for chunk in chunks)


def test_the_last_event_counts() -> None:
    assert render_speech_done(n_characters=12, seconds=1.5) == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 12, "output_tokens": 75, "total_tokens": 87},
    }
