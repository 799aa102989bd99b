"""Recordings to measure with: clips of the tests, sentences stitched together, and the sample made longer.

Knows no server and no engine.
"""

from __future__ import annotations

import io
import json
import wave
import zlib
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay import samples
from hearsay.domain import SAMPLE_RATE
from hearsay.media import decoding

Samples = NDArray[np.int16]

ROOT = Path(__file__).resolve().parents[1]
FIXTURE = ROOT / "tests" / "data" / "fixture-whisper"
CLIPS = ROOT / "tests" / "data" / "clips"
PARITY = ROOT / "tests" / "data" / "parity"

_SHORT_SECONDS = (3.0, 10.0)
_PAUSE_SECONDS = (0.3, 1.5)
_CANDIDATES = 12
"""Sentences drawn, of which the one that repeats least is spoken next."""

_WINDOW_TEXTS = 14
"""More sentences than a window of 30 s holds."""

_MARGIN_SECONDS = 0.03
"""Padding before and after a sentence, so that no phoneme is cut off."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file and its reference text."""

    path: Path
    seconds: float
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One spoken sentence."""

    pcm: Samples
    """`int16[n]` at 16 kHz."""
    text: str


def long_recording(seconds: float) -> bytes:
    """Repeat the sample recording up to a length, with a short pause between; a WAV file."""
    sample = decoding.load(samples.HELLO).pcm
    piece = np.concatenate([sample, np.zeros(SAMPLE_RATE // 2, np.int16)])
    return wav(np.resize(piece, round(seconds * SAMPLE_RATE)))


def clips() -> list[Path]:
    """Return the recordings of the fixture's clips in the order of their manifest."""
    return [CLIPS / clip["file"] for clip in _manifest(CLIPS)]


def short(n_clips: int) -> list[Recording]:
    """Return recordings of 3 to 10 s with speech, the languages taking turns.

    Raises: `ValueError` if there are not as many.
    """
    found: dict[str, list[Recording]] = {}
    for folder in (CLIPS, PARITY):
        for entry in _manifest(folder):
            if entry["language"] and _SHORT_SECONDS[0] <= entry["seconds"] <= _SHORT_SECONDS[1]:
                clip = Recording(folder / entry["file"], entry["seconds"], entry["language"], entry["text"])
                found.setdefault(clip.language, []).append(clip)
    taken = [clip for turn in zip_longest(*found.values()) for clip in turn if clip]
    if len(taken) < n_clips:
        raise ValueError(f"there are only {len(taken)} such clips")
    return taken[:n_clips]


def real_short(audio: Path, n_clips: int) -> list[Recording]:
    """Return real recordings of a sentence, those of a manifest again and again until there are enough."""
    entries = [entry for entry in _manifest(audio) if "text" in entry]
    found = []
    for entry in entries:
        seconds = decoding.load(audio / entry["file"]).duration
        found.append(Recording(audio / entry["file"], seconds, entry["language"], entry["text"]))
    return [found[i % len(found)] for i in range(n_clips)]


def stitched(
    seconds: float, path: Path, *, language: str = "en", seed: int = 1, audio: Path | None = None
) -> Recording:
    """Write a WAV file of known sentences, with pauses of 0.3 to 1.5 s between them.

    They are those of a folder of real recordings, if one is given.

    It ends with the first sentence that reaches the length. The order is random, but keeps the text of any
    30 s about as varied as speech is: the language is so small that a window of it may look like a loop to
    Whisper's test of compression, which would be decoded again and again.
    """
    rng = np.random.default_rng(seed)
    known = real_sentences(audio, language) if audio else sentences(language)
    pieces: list[Samples] = []
    texts: list[str] = []
    left = seconds
    while left > 0:
        pause = np.zeros(round(rng.uniform(*_PAUSE_SECONDS) * SAMPLE_RATE), np.int16)
        order = [known[i] for i in rng.permutation(len(known))]
        sentence = min(order[:_CANDIDATES], key=lambda s: compression([*texts[-_WINDOW_TEXTS:], s.text]))
        pieces += [pause, sentence.pcm]
        texts.append(sentence.text)
        left -= (len(pause) + len(sentence.pcm)) / SAMPLE_RATE
    pcm = np.concatenate(pieces)
    path.write_bytes(wav(pcm))
    return Recording(path, len(pcm) / SAMPLE_RATE, language, " ".join(texts))


def sentences(language: str) -> list[Sentence]:
    """Cut every sentence of one language out of the tests' clips; short other recordings come whole."""
    found = []
    for entry in _of(CLIPS, language):
        pcm = decoding.load(CLIPS / entry["file"]).pcm
        for segment in entry["segments"]:
            begin = max(0, round((segment["start"] - _MARGIN_SECONDS) * SAMPLE_RATE))
            end = round((segment["end"] + _MARGIN_SECONDS) * SAMPLE_RATE)
            found.append(Sentence(pcm[begin:end], segment["text"]))
    whole = [entry for entry in _of(PARITY, language) if entry["seconds"] <= _SHORT_SECONDS[1]]
    return found + [Sentence(decoding.load(PARITY / e["file"]).pcm, e["text"]) for e in whole]


def real_sentences(audio: Path, language: str) -> list[Sentence]:
    """Return the sentences of real recordings in one language."""
    entries = [entry for entry in _of(audio, language) if "text" in entry]
    return [Sentence(decoding.load(audio / entry["file"]).pcm, entry["text"]) for entry in entries]


def compression(texts: list[str]) -> float:
    """Return how repetitive text is, as Whisper does: its bytes, by its bytes when compressed."""
    data = " ".join(texts).encode()
    return len(data) / len(zlib.compress(data))


def wav(pcm: Samples) -> bytes:
    """Wrap samples at 16 kHz in a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, len(pcm), "NONE", "not compressed"))
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def _of(folder: Path, language: str) -> list[dict[str, Any]]:
    return [entry for entry in _manifest(folder) if entry["language"] == language]


def _manifest(folder: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return entries
