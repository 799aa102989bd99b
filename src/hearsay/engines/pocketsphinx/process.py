"""The far side of `sphinx`: a process with the PocketSphinx decoder that recognises utterances one by one.

Knows no recording and no time but the utterance's own. A request on standard input is a line with a number of
bytes and then so many bytes of `s16le` at 16 kHz; the answer on standard output is a line of JSON: a list of
words, each `[text, start, end, probability]`, in seconds from the start of the utterance.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import Any, BinaryIO

READY = b"[]\n"
"""What the process says once the model is loaded."""

FRAME_SECONDS = 0.01
_FILLER = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+")
_VARIANT = re.compile(r"\(\d+\)$")


def main() -> None:
    """Load the model and serve until standard input ends."""
    from pocketsphinx import Decoder

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Decoder(loglevel="FATAL", cmn="batch"), sys.stdin.buffer, sys.stdout.buffer)


def serve(decoder: Any, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer every request."""
    answers.write(READY)
    answers.flush()
    while line := requests.readline():
        words = recognize(decoder, requests.read(int(line)))
        answers.write(json.dumps(words).encode() + b"\n")
        answers.flush()


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
    main()
