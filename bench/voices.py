"""Neural voices as a Whisper hears them: `python -m bench.voices --whisper FOLDER --voice FOLDER`.

Thirty sentences with numbers, dates, money, abbreviations and quotes through the first voice of each folder
(or `FOLDER=VOICE`); with `--own PYTHON`, an interpreter that has piper-tts and kokoro-onnx, also through the
voices' own projects. Word errors are those after OpenAI's normaliser for English (`whisper-normalizer`),
speeds are seconds of speech per second. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import wave
from contextlib import closing
from pathlib import Path
from typing import Any

import jiwer
import numpy as np

from hearsay.domain import SynthesisOptions
from hearsay.engines import registry
from hearsay.engines.engine_spec import Runtime
from hearsay.engines.onnx_tts import voice_folder
from hearsay.engines.protocols import as_synthesizer

SENTENCES = Path(__file__).with_name("voice_sentences.txt")
PROJECTS = Path(__file__).with_name("voice_projects.py")


def main() -> None:
    """Print a row for each voice and each program that speaks with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whisper", type=Path, required=True, help="a folder in CTranslate2's format")
    parser.add_argument("--voice", action="append", required=True, help="a folder, or FOLDER=VOICE")
    parser.add_argument("--own", help="an interpreter with the voices' own projects")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--errors", action="store_true", help="print what was heard otherwise than written")
    args = parser.parse_args()
    sentences = SENTENCES.read_text("utf-8").splitlines()
    listener = _Listener(args.whisper)
    print("| voice | through | word errors | speed |\n| --- | --- | --- | --- |")
    for each in args.voice:
        path, _, name = each.partition("=")
        found = voice_folder.examine(Path(path))
        voice = name or found.speakers[0].voice.id
        for program in ("hearsay", *([args.own] if args.own else [])):
            with tempfile.TemporaryDirectory() as folder:
                if program == "hearsay":
                    seconds = speak(Path(path), voice, sentences, Path(folder), args.threads)
                else:
                    seconds = speak_elsewhere(program, found, voice, sentences, folder)
                heard = [listener.hear(Path(folder, f"{n}.wav")) for n in range(len(sentences))]
                spoken = sum(_seconds(file) for file in Path(folder).iterdir())
            own = "kokoro-onnx" if found.styles else "piper-tts"
            label = program if program == "hearsay" else own
            errors = listener.word_errors(sentences, heard)
            print(f"| {voice} | {label} | {errors:.1f} % | {spoken / seconds:.1f} |", flush=True)
            if args.errors:
                for said, text in zip(sentences, heard, strict=True):
                    if listener.word_errors([said], [text]):
                        print(f"  {said}\n  {text}", file=sys.stderr)


def speak(folder: Path, voice: str, sentences: list[str], target: Path, n_threads: int) -> float:
    """Write each sentence to a file, and return the seconds that they took."""
    card = registry.describe("bench", folder)
    engine = as_synthesizer(registry.load(card, folder, Runtime(cpu_threads=n_threads)), card)
    taken = 0.0
    with closing(engine):
        for number, sentence in enumerate(sentences):
            begin = time.perf_counter()
            samples = np.concatenate(list(engine.synthesize(sentence, SynthesisOptions(voice))))
            taken += time.perf_counter() - begin
            with wave.open(str(target / f"{number}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(engine.sample_rate)
                file.writeframes(samples.astype("<i2").tobytes())
    return taken


def speak_elsewhere(
    python: str, found: voice_folder.VoiceFolder, voice: str, sentences: list[str], folder: str
) -> float:
    """Have the voice's own project write the files, and return the seconds that they took."""
    arguments = [str(found.model), str(found.styles or ""), voice, folder]
    done = subprocess.run(
        [python, str(PROJECTS), *arguments],
        input="\n".join(sentences),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


class _Listener:
    def __init__(self, folder: Path) -> None:
        import faster_whisper
        from whisper_normalizer.english import EnglishTextNormalizer

        self._whisper: Any = faster_whisper.WhisperModel(str(folder), device="cpu", compute_type="int8")
        self._plain: Any = EnglishTextNormalizer()

    def hear(self, file: Path) -> str:
        segments, _ = self._whisper.transcribe(str(file), language="en")
        return " ".join(str(segment.text).strip() for segment in segments)

    def word_errors(self, said: list[str], heard: list[str]) -> float:
        written, understood = ([self._plain(text) for text in texts] for texts in (said, heard))
        error_rate: float = jiwer.wer(written, understood)
        return 100 * error_rate


def _seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        n_samples, rate = file.getnframes(), file.getframerate()
    return float(n_samples / rate)


if __name__ == "__main__":
    main()
