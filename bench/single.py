"""Our server against calling faster-whisper directly, one request at a time: `python -m bench.single`.

Same weights (the fixture, or `--weights`), same files, same beam, arithmetic, number of threads and
temperatures, in one run: each round lets both do every file, taking turns at who is first. Wall times are
what a caller sees: for us from sending the file over HTTP to having the words, for the library from the
path to having them. Prints the ratio of the medians (aim: 1.1 or less), how far the texts agree, and where
our time goes. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ctranslate2
import faster_whisper
import httpx
import jiwer

from bench.recordings import FIXTURE, clips
from bench.server import running

AIM = 1.1
NAME = "bench"
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
STAGE = re.compile(r"([\w-]+);dur=([\d.]+)")


@dataclass
class System:
    """One of the two, and what it took and gave."""

    name: str
    transcribe: Callable[[Path], str]
    rounds: list[float] = field(default_factory=list)
    """Seconds for all files, one number a round."""
    texts: dict[Path, str] = field(default_factory=dict)

    def measure(self, files: list[Path]) -> None:
        """Do every file once."""
        begin = time.perf_counter()
        self.texts = {file: self.transcribe(file) for file in files}
        self.rounds.append(time.perf_counter() - begin)


class Server:
    """Our server as its callers see it, and the sum of the stages that it reports."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=None, trust_env=False)
        self.stages: dict[str, float] = defaultdict(float)

    def transcribe(self, file: Path) -> str:
        """Send one file and read the words."""
        with file.open("rb") as stream:
            answer = self._client.post(
                "/v1/audio/transcriptions",
                data={"model": NAME, "response_format": "verbose_json"},
                files={"file": stream},
            )
        answer.raise_for_status()
        for stage, milliseconds in STAGE.findall(answer.headers.get("server-timing", "")):
            self.stages[stage] += float(milliseconds) / 1000
        return str(answer.json()["text"]).strip()

    def close(self) -> None:
        """Hang up."""
        self._client.close()


class Library:
    """The library called in this process, without a server."""

    def __init__(self, weights: Path, compute_type: str, n_threads: int, beam: int) -> None:
        self._beam = beam
        self._model = faster_whisper.WhisperModel(
            str(weights),
            device="cpu",
            compute_type=compute_type,
            cpu_threads=n_threads,
            local_files_only=True,
        )

    def transcribe(self, file: Path) -> str:
        """Read one file's words."""
        segments, _ = self._model.transcribe(
            str(file), beam_size=self._beam, temperature=list(TEMPERATURES), vad_filter=False
        )
        return "".join(segment.text for segment in segments).strip()


def main() -> int:
    """Measure both, then print the results."""
    options = _options()
    files = options.files or clips()
    settings = {
        "MODELS": f"{NAME}={options.weights}",
        "MODEL": NAME,
        "DEVICE": "cpu",
        "COMPUTE_TYPE": options.compute_type,
        "CPU_THREADS": str(options.threads),
        "BEAM_SIZE": str(options.beam),
        "TEMPERATURES": ",".join(map(str, TEMPERATURES)),
    }
    with running(settings) as address:
        server = Server(address)
        ours = System("hearsay over HTTP", server.transcribe)
        library = Library(options.weights, options.compute_type, options.threads, options.beam)
        theirs = System("faster-whisper direct", library.transcribe)
        for system in (ours, theirs):
            system.transcribe(files[0])  # the first call loads and warms up
        server.stages.clear()
        for number in range(options.rounds):
            for system in (ours, theirs) if number % 2 else (theirs, ours):
                system.measure(files)
        server.close()
    tell(options, files, ours, theirs, server.stages)
    return 0


def tell(
    options: argparse.Namespace,
    files: list[Path],
    ours: System,
    theirs: System,
    stages: dict[str, float],
) -> None:
    """Print machine, medians, ratio, agreement and stages."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {options.weights.name}, {options.compute_type}, beam "
        f"{options.beam}, {options.threads} threads; {len(files)} files, {options.rounds} rounds; "
        f"faster-whisper {faster_whisper.__version__}, ctranslate2 {ctranslate2.__version__}"
    )
    for system in (ours, theirs):
        spread = f"{min(system.rounds):.2f} to {max(system.rounds):.2f}"
        print(f"{system.name}: median {statistics.median(system.rounds):.2f} s a round ({spread})")
    ratio = statistics.median(ours.rounds) / statistics.median(theirs.rounds)
    pairs = [left / right for left, right in zip(ours.rounds, theirs.rounds, strict=True)]
    print(f"ratio of medians {ratio:.3f} (aim {AIM}); round by round {min(pairs):.3f} to {max(pairs):.3f}")
    same = sum(ours.texts[file] == theirs.texts[file] for file in files)
    spoken = [file for file in files if theirs.texts[file]]
    error = jiwer.wer([theirs.texts[f] for f in spoken], [ours.texts[f] for f in spoken]) if spoken else 0.0
    print(f"texts equal on {same} of {len(files)} files; word error rate between the two {error:.3f}")
    total = sum(ours.rounds)
    shares = dict(sorted(stages.items(), key=lambda item: -item[1]))
    shares["outside the server"] = total - sum(shares.values())
    print("where our time goes: " + ", ".join(f"{s} {t / total:.1%}" for s, t in shares.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="recordings; by default the clips of the tests")
    parser.add_argument("--weights", type=Path, default=FIXTURE, help="folder in CTranslate2 format")
    parser.add_argument("--compute-type", default="int8", help="arithmetic of both")
    parser.add_argument("--beam", type=int, default=5, help="beam width of both")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of both")
    parser.add_argument("--rounds", type=int, default=7, help="how often each does all files")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
