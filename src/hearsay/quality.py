"""Whether a hypothesis is good enough: repetition, confidence, silence.

Knows no audio and no engine. The thresholds and how they combine follow openai/whisper `transcribe.py`.
"""

from __future__ import annotations

import zlib

from hearsay.domain import DecodeSettings, Hypothesis


def compression_ratio(text: str) -> float:
    """Divide the bytes of a text by those of its zlib compression: high for repetition, 0 for no text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))


def is_unsure(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Say whether the mean log probability is below the threshold; never so without one."""
    threshold = settings.logprob_threshold
    return threshold is not None and hypothesis.avg_logprob < threshold


def is_repetitive(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Say whether the text compresses too well; never so without a threshold."""
    threshold = settings.compression_ratio_threshold
    return threshold is not None and hypothesis.compression_ratio > threshold


def lacks_speech(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Say whether the model thinks that nobody speaks; never so without a threshold."""
    threshold = settings.no_speech_threshold
    return threshold is not None and hypothesis.no_speech_prob > threshold


def needs_fallback(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Say whether a higher temperature is worth a try: repetitive or unsure text, but not unsure silence."""
    unsure = is_unsure(hypothesis, settings)
    if unsure and lacks_speech(hypothesis, settings):
        return False
    return unsure or is_repetitive(hypothesis, settings)


def is_silence(hypothesis: Hypothesis, settings: DecodeSettings) -> bool:
    """Say whether to skip the window: no speech, and no text that is likely enough to prove otherwise."""
    threshold = settings.logprob_threshold
    likely = threshold is not None and hypothesis.avg_logprob > threshold
    return lacks_speech(hypothesis, settings) and not likely
