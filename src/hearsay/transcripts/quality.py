"""Whether a hypothesis is good enough: repetition, confidence, silence; and which segments to look at again.

Knows no audio and no engine. The thresholds and how they combine follow openai/whisper `transcribe.py`; the
flags follow what hosted services advise about the same numbers.
"""

from __future__ import annotations

import zlib

from hearsay.domain import DecodeSettings, Hypothesis, Segment

LOW_CONFIDENCE = -0.5
"""Mean log probability from which down a transcript is worth checking."""

LIKELY_NO_SPEECH = 0.6
"""Probability of no speech above which there may be none: the model's own threshold for skipping a window."""

REPETITIVE = 2.4
"""Compression ratio above which text is likely to repeat itself: the model's own threshold for a new try."""

INCOMPRESSIBLE = 0.9
"""Compression ratio below which text of some length looks like no language: dense prose, Chinese or numbers,
has 0.97 at 100 bytes, other languages 1.1."""

LEAST_BYTES = 100
"""UTF-8 bytes from which a low compression ratio means something: what zlib adds outweighs shorter texts."""


def compression_ratio(text: str) -> float:
    """Divide the bytes of a text by those of its zlib compression: high for repetition, 0 for no text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))


def is_unsure(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether the mean log probability is below the threshold; never so without one."""
    threshold = settings.logprob_threshold
    return threshold is not None and hypothesis.avg_logprob < threshold


def is_repetitive(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether the text compresses too well; never so without a threshold."""
    threshold = settings.compression_ratio_threshold
    return threshold is not None and hypothesis.compression_ratio > threshold


def lacks_speech(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether the model thinks that nobody speaks; never so without a threshold."""
    threshold = settings.no_speech_threshold
    return threshold is not None and hypothesis.no_speech_prob > threshold


def needs_fallback(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether to try a higher temperature: repetitive or unsure text, but not unsure silence."""
    unsure = is_unsure(hypothesis, settings)
    if unsure and lacks_speech(hypothesis, settings):
        return False
    return unsure or is_repetitive(hypothesis, settings)


def is_silence(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Return whether to skip the window: no speech, and no text that is likely enough to prove otherwise."""
    threshold = settings.logprob_threshold
    likely = threshold is not None and hypothesis.avg_logprob > threshold
    return lacks_speech(hypothesis, settings) and not likely


def flags(segment: Segment) -> tuple[str, ...]:
    """Return what the metadata of a segment warn of; nothing where they are fine or unknown.

    `low_confidence`: noise, several speakers at once, unclear speech or a strong accent. `likely_no_speech`:
    silence, music or noise. `repetitive`: stuttering or a loop. `incompressible`: no plausible language.
    """
    logprob, no_speech, ratio = segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio
    n_bytes = len(segment.text.encode())
    raised = {
        "low_confidence": logprob is not None and logprob <= LOW_CONFIDENCE,
        "likely_no_speech": no_speech is not None and no_speech > LIKELY_NO_SPEECH,
        "repetitive": ratio is not None and ratio > REPETITIVE,
        "incompressible": ratio is not None and ratio < INCOMPRESSIBLE and n_bytes >= LEAST_BYTES,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)
