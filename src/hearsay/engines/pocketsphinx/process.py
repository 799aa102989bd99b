"""The child process with the PocketSphinx decoder, which recognises utterances one by one.

Does not know any recording, and no time but the utterance's own. A request is `s16le` at 16 kHz; its result
is JSON: a list of words, each `[text, start, end, probability]`, in seconds from the start of the utterance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from hearsay.processes.child import Emit, RequestRunner, serve

FRAME_SECONDS = 0.01
_FILLER = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+")
_VARIANT = re.compile(r"\(\d+\)$")


class PocketSphinx(RequestRunner):
    """The decoder with its model."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(loglevel="FATAL", cmn="batch")

    def run(self, request: bytes, descriptors: Sequence[int], emit: Emit) -> bytes:
        """Recognise one utterance."""
        return json.dumps(recognize(self._decoder, request)).encode()


def recognize(decoder: Any, pcm: bytes) -> list[tuple[str, float, float, float]]:
    """Recognise one utterance as a whole, so that its own cepstral mean is known from its first frame on.

    The features begin anew each time: what was heard before would colour them, and the answer with them.
    """
    duration = len(pcm) / 2 / 16_000
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(pcm, False, True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return []
    return [
        (
            _VARIANT.sub("", segment.word),
            min(segment.start_frame * FRAME_SECONDS, duration),
            min((segment.end_frame + 1) * FRAME_SECONDS, duration),
            min(segment.prob, 1.0),
        )
        for segment in decoder.seg()
        if not _FILLER.fullmatch(segment.word)
    ]


if __name__ == "__main__":
    serve(lambda settings: PocketSphinx())
