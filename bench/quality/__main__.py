"""Quality beside other systems: `python -m bench.quality --weights FOLDER --audio FOLDER`.

Derives recordings from the real ones in the audio folder, transcribes them as a server does by default, and
prints a table by group. Answers of others (`--answers NAME=FILE`) come from files that
`bench.quality.reference` wrote; of the first one, the words that it has right and another lacks are counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from whisper_normalizer.english import EnglishTextNormalizer

from bench.quality import recordings
from bench.quality.recordings import Entry
from bench.quality.reference import Answer
from bench.quality.scores import Score, score, total
from bench.scores import table
from hearsay.asr.transcription import Transcription
from hearsay.domain import DecodeSettings, TranscribeOptions
from hearsay.engines import registry
from hearsay.engines.silero import detector
from hearsay.engines.whisper import loading
from hearsay.media import decoding

OURS = "hearsay"
_NORMALIZER = EnglishTextNormalizer()

HEAD = ("group", "system", "WER %", "S/D/I", "loops", "words without speech", "lacks %", "seconds")


def main(arguments: Sequence[str]) -> None:
    """Transcribe, compare and print."""
    chosen = _parse(arguments)
    answers = {name: json.loads(Path(file).read_text("utf-8")) for name, file in chosen.answers}
    with TemporaryDirectory() as temporary:
        folder = chosen.recordings or Path(temporary)
        entries = [
            entry
            for entry in recordings.write(chosen.audio, folder)
            if any(part in entry.file or part in entry.group for part in chosen.only.split(","))
        ]
        answers[OURS] = transcribe(chosen.weights, folder, entries, decode_settings(chosen.set))
    if chosen.out:
        chosen.out.write_text(json.dumps(answers[OURS], indent=0, ensure_ascii=False) + "\n", "utf-8")
    print(table(HEAD, list(rows(entries, answers))))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder of a Whisper")
    parser.add_argument("--audio", type=Path, required=True, help="folder of the real recordings")
    parser.add_argument(
        "--recordings", type=Path, help="where to write the derived ones; default: nowhere kept"
    )
    parser.add_argument("--answers", type=_pair, action="append", default=[], metavar="NAME=FILE.json")
    parser.add_argument("--only", default="", help="parts of names of groups or recordings, with commas")
    parser.add_argument(
        "--set",
        type=_pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another decode setting: `beam_size=1`, `vad.threshold=0.5`",
    )
    parser.add_argument("--out", type=Path, help="where to write the answers, to serve as --answers later")
    return parser.parse_args(arguments)


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} has no `=`")
    return name, value


def decode_settings(pairs: Sequence[tuple[str, str]]) -> DecodeSettings:
    """Return the default settings with others in their place; values are Python literals.

    Raises: `TypeError` for a setting that does not exist.
    """
    settings = DecodeSettings()
    for key, text in pairs:
        value = literal_eval(text)
        if key.startswith("vad."):
            settings = replace(settings, vad=replace(settings.vad, **{key.removeprefix("vad."): value}))
        else:
            settings = replace(settings, **{key: value})
    return settings


def transcribe(
    weights: Path, folder: Path, entries: Sequence[Entry], settings: DecodeSettings
) -> dict[str, Answer]:
    """Return our answers with their times, one recording after the other, by file name."""
    recognizer = loading.load(weights)
    card = registry.describe(weights.name, weights)
    answers: dict[str, Answer] = {}
    for entry in entries:
        audio = decoding.load(folder / entry.file)
        began = time.perf_counter()
        found = Transcription(
            audio, TranscribeOptions(), recognizer, card, decode=settings, detector=detector.shared()
        ).transcript()
        segments = [[round(s.start, 2), round(s.end, 2), s.text] for s in found.segments]
        seconds = round(time.perf_counter() - began, 2)
        answers[entry.file] = {"language": found.language, "segments": segments, "time": seconds}
        print(f"{entry.file}: {entry.seconds:.0f} s in {seconds:.1f} s", file=sys.stderr, flush=True)
    return answers


def rows(entries: Sequence[Entry], answers: Mapping[str, Mapping[str, Answer]]) -> Iterator[Sequence[str]]:
    """Yield the lines of the table, for those recordings that all systems have answered."""
    common = [entry for entry in entries if all(entry.file in files for files in answers.values())]
    reference = next(iter(answers.values()))
    scores: dict[str, dict[str, list[Score]]] = {}
    for entry in common:
        said = normalized(entry.text)
        right = _text(reference[entry.file])
        for name, files in answers.items():
            answer = files[entry.file]
            found = score(said, _text(answer), right, answer.get("time", 0.0))
            for group in (entry.group, "all"):
                scores.setdefault(group, {}).setdefault(name, []).append(found)
    for group in [*(group for group in scores if group != "all"), "all"]:
        for name, found_scores in scores.get(group, {}).items():
            yield _row(group, name, total(found_scores))


def _row(group: str, name: str, added: Score) -> Sequence[str]:
    kinds = f"{added.substitutions}/{added.deletions}/{added.insertions}"
    words = (f"{added.word_errors:.1f}", kinds) if added.n_words else ("", "")
    lacks = f"{added.missing_share:.1f}" if added.n_right else ""
    seconds = f"{added.seconds:.1f}" if added.seconds else ""
    return group, name, *words, str(added.loops), str(added.without_speech), lacks, seconds


def _text(answer: Answer) -> str:
    return normalized(" ".join(text for _, _, text in answer["segments"]))


def normalized(text: str) -> str:
    """Return a text with spelling, numbers and contractions made equal, as Whisper compares English."""
    return str(_NORMALIZER(text))


if __name__ == "__main__":
    main(sys.argv[1:])
