"""Quality of hypotheses and segments: repetition, confidence, silence.

Knows no audio and no engine. Thresholds and their combination follow openai/whisper `transcribe.py`; flags
follow the hosted services' advice about the same numbers.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence

from hearsay.domain import DecodeSettings, Hypothesis, Segment

LOW_CONFIDENCE = -0.5
"""Mean log probability at or below which a segment is flagged."""

LIKELY_NO_SPEECH = 0.6
"""No-speech probability above which a segment is flagged; Whisper's threshold for skipping a window."""

REPETITIVE = 2.4
"""Compression ratio above which a segment is flagged; Whisper's threshold for temperature fallback."""

INCOMPRESSIBLE = 0.9
"""Compression ratio below which text is no plausible language: dense prose, Chinese or numbers, has 0.97 at
100 bytes, other languages 1.1."""

MIN_BYTES = 100
"""Least UTF-8 bytes for `INCOMPRESSIBLE`; zlib's overhead dominates in shorter texts."""


MIN_LOOP_BYTES = 30
"""Least UTF-8 bytes of a loop within a segment: numbers and laughter are shorter."""

MIN_REPEATED = 12
"""Least letters of a text whose repetition counts: answers and names are shorter."""

_NON_ALPHANUMERIC = re.compile(r"[\W_]+")

_LOOP = re.compile(r"(.{2,200}?)\1{3,}", re.DOTALL)
"""Four copies or more, one right after the other, of the shortest text that repeats."""


def compression_ratio(text: str) -> float:
    """Return a text's UTF-8 size divided by its zlib size: high for repetition, 0 for no text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))


def is_unsure(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether the mean log probability is below the threshold; False without one."""
    threshold = settings.logprob_threshold
    return threshold is not None and hypothesis.avg_logprob < threshold


def is_repetitive(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether the compression ratio is above the threshold; False without one."""
    threshold = settings.compression_ratio_threshold
    return threshold is not None and hypothesis.compression_ratio > threshold


def lacks_speech(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether the no-speech probability is above the threshold; False without one."""
    threshold = settings.no_speech_threshold
    return threshold is not None and hypothesis.no_speech_prob > threshold


def needs_fallback(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether to try a higher temperature: repetitive or unsure text, but not unsure silence."""
    unsure = is_unsure(hypothesis, settings)
    if unsure and lacks_speech(hypothesis, settings):
        return False
    return unsure or is_repetitive(hypothesis, settings)


def is_silence(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether to skip the window: no speech, and no text of a high probability."""
    threshold = settings.logprob_threshold
    likely = threshold is not None and hypothesis.avg_logprob > threshold
    return lacks_speech(hypothesis, settings) and not likely


def flags(segment: Segment) -> tuple[str, ...]:
    """Return the warnings that a segment's metadata imply; none where they are good or unknown.

    `low_confidence`: noise, several speakers at once, unclear speech or a strong accent. `likely_no_speech`:
    silence, music or noise. `repetitive`: stuttering or a loop. `incompressible`: no plausible language.
    """
    logprob, no_speech, ratio = segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio
    n_bytes = len(segment.text.encode())
    raised = {
        "low_confidence": logprob is not None and logprob <= LOW_CONFIDENCE,
        "likely_no_speech": no_speech is not None and no_speech > LIKELY_NO_SPEECH,
        "repetitive": ratio is not None and ratio > REPETITIVE,
        "incompressible": ratio is not None and ratio < INCOMPRESSIBLE and n_bytes >= MIN_BYTES,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)


def find_loops(text: str) -> Iterator[tuple[int, int]]:
    """Yield what follows the first copy of each loop: its first character, and the one after its last."""
    for loop in _LOOP.finditer(text):
        if len(loop[0].encode()) >= MIN_LOOP_BYTES:
            yield loop.end(1), loop.end()


def says_again(texts: Sequence[str]) -> bool:
    """Return whether one of the texts, if it is no mere word or two, occurs in those before it."""
    plain = [_NON_ALPHANUMERIC.sub("", text).casefold() for text in texts]
    return any(len(text) >= MIN_REPEATED and text in "".join(plain[:i]) for i, text in enumerate(plain))
