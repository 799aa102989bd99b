"""Recordings derived from real ones: dialogues, noise, telephone, quiet, clipped, between other sounds.

`python -m bench.quality.recordings AUDIO FOLDER` writes WAV files at 16 kHz and `manifest.json`. Each is
drawn from a seed of its own, so that it stays what it is when others are added.
"""

from __future__ import annotations

import json
import sys
import wave
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.recordings import wav
from hearsay.domain import SAMPLE_RATE
from hearsay.media import decoding

Signal = NDArray[np.float32]
"""`float32[n]` at 16 kHz, 1.0 is full scale."""

CONVERSATION = (
    "Hello? Hello? Oh, hello. I didn't know you were there. Neither did I. Okay. I thought, you know, I "
    "heard a beep. This is Diane in New Jersey. And I'm Sheila in Texas, originally from Chicago. Oh, I'm "
    "originally from Chicago also. I'm in New Jersey now though. Well, there isn't that much difference. "
    "At least, you know, they all call me a Yankee down here, so what can I say? Oh, I don't hear that in "
    "New Jersey now."
)
MEETING = (
    "Okay. Well, I think we're ready to begin. Right. My name's Adam Duguid. We're here because of Real "
    "Reaction. We have a new group. Um, Ebenezer Ademesoye. Would you like to spell it? Um, yeah, go for "
    "it. A, D, E, M, E, S, O, Y, E. Ebenezer. And your role is? I'm the marketing expert. You're the "
    "marketing expert."
)
LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and "
    "associated documentation files to deal in the software without restriction, including without "
    "limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell "
    "copies of the software, and to permit persons to whom the software is furnished to do so, subject to "
    "the following conditions: The above copyright notice and this permission notice shall be included in "
    "all copies or substantial portions of the software."
)
TRANSCRIPTS = {"conversation-2spk.wav": CONVERSATION, "meeting-dev00.wav": MEETING}
"""Of the recordings whose transcript the manifest of the real recordings lacks; names are as heard."""

ENGLISH_SECONDS = 38.2
"""Where the English half of `english-german.mp3` ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Speech, and what is said."""

    signal: Signal
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the manifest."""

    file: str
    group: str
    seconds: float
    language: str
    text: str


def utterances(audio: Path) -> dict[str, Utterance]:
    """Return the short real recordings in English whose exact words are known, by file name."""
    found = {}
    for entry in json.loads((audio / "manifest.json").read_text("utf-8")):
        if entry["language"] == "en" and "text" in entry:
            found[entry["file"]] = Utterance(read(audio / entry["file"]), entry["text"])
        elif "left" in entry:
            left, right = read_channels(audio / entry["file"])
            found["left"], found["right"] = Utterance(left, entry["left"]), Utterance(right, entry["right"])
    return found


def read(path: Path) -> Signal:
    """Return a recording as the server decodes it."""
    return decoding.load(path).samples()


def read_channels(path: Path) -> list[Signal]:
    """Return the channels of a WAV file of 16-bit samples at 16 kHz."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(
            32768
        )
        assert file.getframerate() == SAMPLE_RATE
        return list(samples.reshape(-1, file.getnchannels()).T.copy())


def silence(seconds: float) -> Signal:
    """Return digital silence."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def _normalised(signal: NDArray[np.float64]) -> Signal:
    normalised: Signal = (signal / np.sqrt(np.mean(signal**2))).astype(np.float32)
    return normalised


def noise(rng: np.random.Generator, seconds: float, colour: float) -> Signal:
    """Return noise of 1.0 RMS whose power falls with frequency to the power of `colour`: 0 white, 1 pink."""
    n = round(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequencies = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    spectrum /= np.maximum(frequencies, 50.0) ** (colour / 2)
    shaped = np.fft.irfft(spectrum, n)
    return _normalised(shaped)


def hum(rng: np.random.Generator, seconds: float) -> Signal:
    """Return mains hum with its harmonics, 1.0 RMS."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return _normalised(
        sum((np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6)) / k for k in range(1, 9)), 0 * t)
    )


def music(rng: np.random.Generator, seconds: float) -> Signal:
    """Return chords of plucked notes with a beat, 1.0 RMS."""
    n = round(seconds * SAMPLE_RATE)
    out = np.zeros(n + SAMPLE_RATE * 2, np.float64)
    t = np.arange(SAMPLE_RATE * 2) / SAMPLE_RATE
    roots = rng.choice([220.0, 246.9, 261.6, 293.7, 329.6, 196.0], size=64)
    for beat, start in enumerate(range(0, n, SAMPLE_RATE // 2)):
        root = roots[(beat // 4) % len(roots)]
        for ratio in (1.0, 1.26, 1.5, 2.0 * rng.choice([1.0, 1.122, 1.26])):
            note = sum(np.sin(2 * np.pi * root * ratio * k * t) / k**1.5 for k in range(1, 6))
            out[start : start + len(t)] += note * np.exp(-3.0 * t)
        out[start : start + 800] += rng.standard_normal(800) * np.exp(-np.arange(800) / 150) * 2
    out = out[:n]
    return _normalised(out)


def breath(rng: np.random.Generator, seconds: float) -> Signal:
    """Return breathing: bursts of filtered noise, 1.0 RMS."""
    body = noise(rng, seconds, 0.8)
    t = np.arange(len(body)) / SAMPLE_RATE
    envelope = (
        np.maximum(np.sin(2 * np.pi * t / 3.2), 0) ** 2
        + 0.6 * np.maximum(-np.sin(2 * np.pi * t / 3.2), 0) ** 3
    )
    shaped = body * envelope
    return _normalised(shaped)


def rms(signal: Signal) -> float:
    """Return the root mean square of the loud half of a signal: its level while something sounds."""
    blocks = signal[: len(signal) // 400 * 400].reshape(-1, 400)
    levels = np.sort(np.mean(blocks**2, axis=1))
    return float(np.sqrt(np.mean(levels[len(levels) // 2 :])) + 1e-9)


def levelled(signal: Signal, level: float = 0.08) -> Signal:
    """Return a signal whose loud half has an RMS of `level`."""
    return signal * np.float32(level / rms(signal))


def with_noise(signal: Signal, sound: Signal, decibels: float) -> Signal:
    """Return a signal with a sound of 1.0 RMS added that is `decibels` below it."""
    return signal + sound[: len(signal)] * np.float32(rms(signal) * 10 ** (-decibels / 20))


def telephone(signal: Signal) -> Signal:
    """Return a signal of 300 to 3,400 Hz in 8-bit µ-law steps."""
    spectrum = np.fft.rfft(signal)
    frequencies = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE)
    spectrum[(frequencies < 300) | (frequencies > 3400)] = 0
    band = np.fft.irfft(spectrum, len(signal))
    compressed = np.sign(band) * np.log1p(255 * np.abs(band)) / np.log(256)
    steps = np.round(compressed * 127) / 127
    expanded: Signal = (np.sign(steps) * (256 ** np.abs(steps) - 1) / 255).astype(np.float32)
    return expanded


def quiet(signal: Signal) -> Signal:
    """Return a signal at -40 dB, in the 16-bit steps that are left of it."""
    steps: Signal = np.round(signal * 0.01 * 32768).astype(np.float32) / np.float32(32768)
    return steps


def derived(audio: Path) -> Iterator[tuple[str, str, Signal, str, str]]:
    """Yield name, group, signal, language and text of every recording."""
    pool = utterances(audio)
    yield from _originals(audio, pool)
    names = sorted(pool)
    english = read(audio / "english-german.mp3")[: round(ENGLISH_SECONDS * SAMPLE_RATE)]

    def drawn(rng: np.random.Generator, n: int) -> list[Utterance]:
        return [pool[names[i]] for i in rng.permutation(len(names))[:n]]

    def joined(rng: np.random.Generator, n: int, low: float = 0.3, high: float = 1.2) -> Utterance:
        parts, texts = [silence(rng.uniform(0.1, 0.6))], []
        for each in drawn(rng, n):
            parts += [levelled(each.signal), silence(rng.uniform(low, high))]
            texts.append(each.text)
        return Utterance(np.concatenate(parts), " ".join(texts))

    for i in range(16):
        rng = _rng("dialogue", i)
        told = joined(rng, 6, 0.2, (1.0, 2.0, 4.0, 8.0)[i % 4])
        room = noise(rng, len(told.signal) / SAMPLE_RATE + 1, 1.0)
        yield f"dialogue-{i:02d}", "dialogue", with_noise(told.signal, room, 45), "en", told.text
    for decibels in (20, 10, 5, 0):
        for i in range(5):
            rng = _rng(f"noise{decibels}", i)
            told = joined(rng, 3)
            sound = noise(rng, len(told.signal) / SAMPLE_RATE + 1, (0.0, 1.0, 1.5, 0.5, 1.0)[i])
            name = f"noise-{decibels:02d}db-{i}"
            yield name, f"noise {decibels} dB", with_noise(told.signal, sound, decibels), "en", told.text
    effects: dict[str, Callable[[Signal], Signal]] = {
        "telephone": telephone,
        "quiet": quiet,
        "clipped": lambda signal: np.clip(signal * 12, -0.5, 0.5),
    }
    for effect, change in effects.items():
        for i in range(8):
            told = joined(_rng(effect, i), 3)
            yield f"{effect}-{i}", effect, change(told.signal), "en", told.text
    for i in range(6):
        rng = _rng("level", i)
        parts, texts = [], []
        for k, each in enumerate(drawn(rng, 6)):
            gain = np.float32(1.0 if (k + i) % 2 else 0.02)
            parts += [levelled(each.signal) * gain, silence(rng.uniform(0.3, 1.5))]
            texts.append(each.text)
        yield f"level-{i}", "loud and quiet", np.concatenate(parts), "en", " ".join(texts)
    yield from _surrounded(drawn)
    for name, sound in without_speech().items():
        yield f"without-{name}", "without speech", sound, "en", ""
    rng = _rng("long", 0)
    parts, texts, n = [], [], 0
    while n < 600 * SAMPLE_RATE:
        told = joined(rng, 5)
        parts.append(told.signal)
        texts.append(told.text)
        n += len(told.signal)
        if len(texts) == 6:
            parts.append(english)
            texts.append(LICENCE)
            n += len(english)
    yield "long", "ten minutes", np.concatenate(parts), "en", " ".join(texts)


def _originals(audio: Path, pool: dict[str, Utterance]) -> Iterator[tuple[str, str, Signal, str, str]]:
    for entry in json.loads((audio / "manifest.json").read_text("utf-8")):
        name = entry["file"]
        text = entry.get("text") or TRANSCRIPTS.get(name)
        if text is not None:
            kind = "sentence" if "text" in entry else name.partition("-")[0]
            yield Path(name).stem, kind, read(audio / name), entry["language"], text
    for side in ("left", "right"):
        yield f"stereo-{side}", "sentence", pool[side].signal, "en", pool[side].text


def _surrounded(
    drawn: Callable[[np.random.Generator, int], list[Utterance]],
) -> Iterator[tuple[str, str, Signal, str, str]]:
    """Yield short speech between long stretches of something else."""
    for kind in ("silence", "room", "noise", "music"):
        for i in range(5):
            rng = _rng(f"between {kind}", i)
            texts: list[str] = []
            parts: list[float | Utterance] = []
            for each in drawn(rng, 2):
                parts += [rng.uniform(6, 16), each]
                texts.append(each.text)
            parts.append(rng.uniform(6, 16))
            sounds = [silence(part) if isinstance(part, float) else levelled(part.signal) for part in parts]
            signal = np.concatenate(sounds)
            seconds = len(signal) / SAMPLE_RATE + 1
            if kind == "room":
                signal = with_noise(signal, noise(rng, seconds, 1.0), 40)
            elif kind == "noise":
                signal = with_noise(signal, noise(rng, seconds, 0.5), 15)
            elif kind == "music":
                mask = np.concatenate(
                    [
                        np.full(len(s), 1.0 if isinstance(p, float) else 0.03)
                        for p, s in zip(parts, sounds, strict=True)
                    ]
                )
                smooth = np.convolve(mask, np.ones(1600) / 1600, "same").astype(np.float32)
                signal = signal + music(rng, seconds)[: len(signal)] * smooth * np.float32(0.06)
            yield f"between-{kind}-{i}", f"between {kind}", signal, "en", " ".join(texts)


def without_speech() -> dict[str, Signal]:
    """Return sounds without speech, by name."""
    rng = _rng("without", 0)
    return {
        "zeros": silence(20),
        "zeros-short": silence(2),
        "room": noise(rng, 35, 1.0) * np.float32(0.0005),
        "white": noise(rng, 20, 0.0) * np.float32(0.05),
        "white-loud": noise(rng, 12, 0.0) * np.float32(0.3),
        "pink": noise(rng, 33, 1.0) * np.float32(0.05),
        "brown": noise(rng, 15, 2.0) * np.float32(0.1),
        "hum": hum(rng, 20) * np.float32(0.05),
        "music": music(rng, 40) * np.float32(0.08),
        "music-short": music(rng, 8) * np.float32(0.08),
        "breath": breath(rng, 20) * np.float32(0.02),
        "clicks": (rng.random(20 * SAMPLE_RATE) > 0.9998).astype(np.float32) * np.float32(0.5),
    }


def _rng(name: str, i: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), i])


def write(audio: Path, folder: Path) -> list[Entry]:
    """Write the recordings and their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, group, signal, language, text in derived(audio):
        pcm = np.round(np.clip(signal, -1.0, 1.0) * 32767).astype(np.int16)
        (folder / f"{name}.wav").write_bytes(wav(pcm))
        entries.append(Entry(f"{name}.wav", group, round(len(pcm) / SAMPLE_RATE, 2), language, text))
    (folder / "manifest.json").write_text(json.dumps([asdict(entry) for entry in entries], indent=1), "utf-8")
    return entries


def main(arguments: Sequence[str]) -> None:
    """Write the recordings, and say how many."""
    entries = write(Path(arguments[0]), Path(arguments[1]))
    print(f"{len(entries)} recordings, {sum(entry.seconds for entry in entries) / 60:.1f} minutes")


if __name__ == "__main__":
    main(sys.argv[1:])
