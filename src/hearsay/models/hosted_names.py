"""Names of vendors' hosted models, each of which means a default model here.

Data alone: knows no vendor's API.
"""

from __future__ import annotations

HOSTED_RECOGNIZERS = tuple(
    """
    whisper-1 gpt-4o-transcribe gpt-4o-mini-transcribe gpt-4o-mini-transcribe-2025-03-20
    gpt-4o-mini-transcribe-2025-12-15 gpt-transcribe
    """.split()  # noqa: SIM905
)
"""Names of hosted recognisers, whose weights are not published."""

HOSTED_SYNTHESIZERS = tuple(
    """
    tts-1 tts-1-hd tts-1-1106 tts-1-hd-1106 gpt-4o-mini-tts gpt-4o-mini-tts-2025-03-20
    gpt-4o-mini-tts-2025-12-15 playai-tts playai-tts-arabic canopylabs/orpheus-v1-english
    canopylabs/orpheus-arabic-saudi canopylabs/orpheus-3b-0.1-ft cartesia/sonic cartesia/sonic-2
    cartesia/sonic-3
    """.split()  # noqa: SIM905
)
"""Names of hosted synthesizers; weights of some are published, but no engine here runs them."""

HOSTED_LANGUAGES = {"playai-tts-arabic": "ar", "canopylabs/orpheus-arabic-saudi": "ar"}
"""Code of the language that such a name implies."""
