"""A deterministic synthesizer: no weights, instant, and what it says can be read from the sound.

Knows nothing about speech: every word is a quarter second of a tone, a tenth of which is silence at its end;
the pitch tells the voice. For tests and for people who write clients.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hearsay.domain import Gender, Pcm, SynthesisOptions, Voice
from hearsay.engines.fake.recognizer import Faults
from hearsay.errors import Cancelled, EngineFailed, UnsupportedOption

SAMPLE_RATE = 24_000

WORD_SECONDS = 0.25
"""How long a word lasts at normal speed."""

PITCHES = {"high": 880.0, "low": 220.0}
"""Hertz, by voice."""

VOICES = (
    Voice("high", "High", ("en", "de", "es", "fr"), Gender.FEMALE),
    Voice("low", "Low", ("en", "de", "es", "fr"), Gender.MALE),
)

_LOUDNESS = 8000


class FakeSynthesizer:
    """A `Synthesizer` that speaks in tones."""

    sample_rate: int = SAMPLE_RATE
    voices: tuple[Voice, ...] = VOICES
    speeds: tuple[float, float] = (0.5, 2.0)
    utterance_characters: int = 400

    def __init__(self, mishaps: Faults | None = None) -> None:
        """Make one that works, or one on which mishaps befall each word."""
        self.mishaps = mishaps or Faults()
        self.is_closed = False

    def synthesize(
        self, text: str, options: SynthesisOptions, *, is_awaited: bool = True
    ) -> FakeSynthesisStream:
        if self.is_closed:
            raise EngineFailed("The fake synthesizer has been closed.")
        if options.voice not in PITCHES:
            raise UnsupportedOption(f"There is no voice {options.voice!r}.", param="voice")
        return FakeSynthesisStream(text, options, self.mishaps)

    def close(self) -> None:
        self.is_closed = True


class FakeSynthesisStream:
    """One piece of text being said, a word at a time."""

    def __init__(self, text: str, options: SynthesisOptions, mishaps: Faults) -> None:
        self._words = [word for word in text.split() if any(letter.isalnum() for letter in word)]
        self._tone = tone(options)
        self._mishaps = mishaps
        self._stopped = False

    def __iter__(self) -> Iterator[Pcm]:
        """Return a block for each word. Raises `Cancelled` once stopped, `EngineFailed` as told."""
        for _ in self._words:
            if self._stopped:
                raise Cancelled
            self._mishaps.pause()
            self._mishaps.step()
            yield self._tone

    def stop(self) -> None:
        self._stopped = True


def tone(options: SynthesisOptions) -> Pcm:
    """Return the sound of any word, in a voice at a speed."""
    n_samples = round(WORD_SECONDS / options.speed * SAMPLE_RATE)
    n_loud = round(0.9 * n_samples)
    phase = 2 * np.pi * PITCHES[options.voice] / SAMPLE_RATE * np.arange(n_loud)
    sound = np.zeros(n_samples, np.int16)
    sound[:n_loud] = np.round(np.sin(phase) * _LOUDNESS)
    return sound
