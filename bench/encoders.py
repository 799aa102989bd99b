"""Real-time factor of audio encoding by container and rate, one thread, processor time.

Knows no server and no voice: it takes a WAV file of 16 bits (`hearsay say -o speech.wav …`), in blocks of
60 ms, or as long as is said: espeak-ng's come in blocks of 0.5 to 6 s. Each figure is the best of the rounds
of one second.

    python -m bench.encoders speech.wav [BLOCK_SECONDS]
"""

from __future__ import annotations

import sys
import time
import wave
from pathlib import Path

import numpy as np

from hearsay.domain import Pcm
from hearsay.media.encoding import AudioEncoder, AudioFormat, Container

ROUND_SECONDS = 1.0
KINDS = [
    AudioFormat(container, rate)
    for container in (
        Container.MP3,
        Container.AAC,
        Container.OPUS,
        Container.OGG,
        Container.FLAC,
        Container.WAV,
    )
    for rate in (8000, 24_000, 48_000)
]


def read(path: Path) -> tuple[Pcm, int]:
    """Return the samples of a WAV file and their rate."""
    with wave.open(str(path)) as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise SystemExit("The file must be mono, with 16 bits a sample.")
        return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()


def seconds(wanted: AudioFormat, pcm: Pcm, rate: int, size: int) -> float:
    """Encode once, `size` samples at a time; return the seconds of processor time."""
    begin = time.process_time()
    encoder = AudioEncoder(wanted, source_rate=rate)
    for start in range(0, len(pcm), size):
        encoder.feed(pcm[start : start + size])
    encoder.finish()
    return time.process_time() - begin


def main() -> None:
    """Measure every kind and print a line for each."""
    pcm, rate = read(Path(sys.argv[1]))
    size = int(rate * (float(sys.argv[2]) if len(sys.argv) > 2 else 0.06))
    for wanted in KINDS:
        rounds: list[float] = []
        while sum(rounds) < ROUND_SECONDS or len(rounds) < 3:
            rounds.append(seconds(wanted, pcm, rate, size))
        print(f"{wanted.container:5}{wanted.sample_rate:7}{len(pcm) / rate / min(rounds):9.0f}", flush=True)


if __name__ == "__main__":
    main()
