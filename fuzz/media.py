"""Damaged recordings by the thousand: every one must be decoded or refused, in time, with the pool unharmed.

Run by hand: `python -m fuzz.media --count 2000 --seed 1`, with `--base-url http://127.0.0.1:8000` to post
them to a running server instead. Every file is told by its seed and number alone; `--keep FOLDER` stores the
ones that broke something.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from tests.support.recordings import KINDS, tone, write

from hearsay.errors import HearsayError, InvalidAudio
from hearsay.media.worker_pool import MediaDecoderPool
from hearsay.samples import HELLO

TIMEOUT = 20.0
"""Seconds after which a file counts as a hang."""

FAILURES = ("hang", "error", "5xx")
"""Forbidden outcomes; a crashed worker affects only its own file, and is counted separately."""

_EXTREMES = (
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\x00\x00\x00\x01",
)


@dataclass(frozen=True, slots=True)
class Specimen:
    """One damaged file."""

    number: int
    kind: str
    """Which file it was made of."""
    damage: tuple[str, ...]
    """What was done to it, in order."""
    data: bytes


@dataclass(slots=True)
class Findings:
    """What became of the specimens."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many of each kind came to each outcome."""
    broken: list[tuple[Specimen, str]] = field(default_factory=list)
    """Those that broke something, and how."""
    slowest: float = 0.0
    """Seconds that the slowest took, waiting included."""

    def total(self, outcome: str) -> int:
        """Count the files of an outcome."""
        return sum(count for (_, what), count in self.outcomes.items() if what == outcome)

    @property
    def failed(self) -> bool:
        """Whether something happened that must not."""
        return any(self.total(outcome) for outcome in FAILURES)


def _cut(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    return data[: chance.randrange(len(data))]


def _behead(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    return data[chance.randrange(min(len(data), 4096)) :]


def _flip(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    for _number in range(chance.choice((1, 4, 32, 256))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _scribble(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    start, end = _range(data, chance)
    data[start:end] = chance.randbytes(end - start)
    return data


def _zero(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    start, end = _range(data, chance)
    data[start:end] = bytes(end - start)
    return data


def _repeat(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    start, end = _range(data, chance)
    data[end:end] = data[start:end] * chance.choice((1, 2, 8))
    return data


def _remove(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    start, end = _range(data, chance)
    del data[start:end]
    return data


def _splice(data: bytearray, chance: random.Random, other: bytes) -> bytearray:
    start, end = _range(data, chance)
    begin = chance.randrange(len(other))
    data[start:end] = other[begin : begin + max(end - start, 64)]
    return data


def _head(data: bytearray, chance: random.Random, _: bytes) -> bytearray:
    """Edit the header: single bytes, or a number made as large or small as it can be."""
    size = min(len(data), chance.choice((48, 256, 2048)))
    for _number in range(chance.randint(1, 6)):
        place = chance.randrange(size)
        data[place : place + 1] = bytes([chance.randrange(256)])
    if chance.random() < 0.5:
        place = chance.randrange(size)
        data[place : place + 4] = chance.choice(_EXTREMES)
    return data


DAMAGES: dict[str, Callable[[bytearray, random.Random, bytes], bytearray]] = {
    "cut": _cut,
    "behead": _behead,
    "flip": _flip,
    "scribble": _scribble,
    "zero": _zero,
    "repeat": _repeat,
    "remove": _remove,
    "splice": _splice,
    "head": _head,
}
"""Ways to damage a file; the last argument is another file."""


def _range(data: bytearray, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data))
    return start, min(len(data), start + chance.choice((1, 16, 200, 4096, len(data) // 3 + 1)))


@cache
def originals() -> dict[str, bytes]:
    """Make what is damaged: speech, and a second and a half of a tone and of noise in every kind."""
    made = {"speech": HELLO.read_bytes()}
    for name, kind in KINDS.items():
        noise = np.random.default_rng(0).normal(0, 0.1, kind.rate // 2).astype(np.float32)
        made[name] = write(kind, np.concatenate([tone(1.0, rate=kind.rate), noise]))
    return made


def specimens(count: int, seed: int, first: int = 0) -> Iterator[Specimen]:
    """Damage files in one to three ways each; number and seed alone decide how."""
    made = originals()
    names = sorted(made)
    for number in range(first, first + count):
        chance = random.Random(f"{seed}:{number}")
        kind = names[number % len(names)]
        damage = tuple(chance.choices(sorted(DAMAGES), k=chance.randint(1, 3)))
        data = bytearray(made[kind])
        for way in damage:
            data = DAMAGES[way](data or bytearray(1), chance, made[chance.choice(names)])
        yield Specimen(number, kind, damage, bytes(data))


async def judge(pool: MediaDecoderPool, path: Path) -> str:
    """Decode one file and name what came of it."""
    try:
        heard = await pool.decode(path)
    except InvalidAudio as refused:
        lost = refused.message == "The file breaks the decoder."
        return "worker lost" if lost else "hang" if refused.code == "decode_timeout" else "refused"
    except (HearsayError, OSError, ValueError) as error:
        print(f"{path.name}: {error!r}", file=sys.stderr)
        return "error"
    if heard.duration < 0.01:
        return "error"
    return "decoded, warned" if heard.warnings else "decoded"


async def post(client: httpx.AsyncClient, path: Path) -> str:
    """Send one file to a server and name what it answered."""
    files = {"file": ("upload.bin", path.read_bytes())}
    try:
        answer = await client.post("/v1/audio/transcriptions", files=files)
    except httpx.TimeoutException:
        return "hang"
    except httpx.TransportError as error:
        print(f"{path.name}: {error!r}", file=sys.stderr)
        return "error"
    if answer.status_code >= 500:
        return "5xx"
    return f"answered {answer.status_code}"


async def examine(
    found: Iterator[Specimen], verdict: Callable[[Path], Awaitable[str]], *, at_once: int, folder: Path
) -> Findings:
    """Return every specimen to `verdict` as a file, so many at once, and count what it says."""
    findings = Findings()

    async def work() -> None:
        for specimen in found:
            path = folder / f"{specimen.number:06}-{specimen.kind}"
            path.write_bytes(specimen.data)
            begin = time.monotonic()
            outcome = await verdict(path)
            findings.slowest = max(findings.slowest, time.monotonic() - begin)
            path.unlink()
            findings.outcomes[specimen.kind, outcome] += 1
            if outcome in (*FAILURES, "worker lost"):
                findings.broken.append((specimen, outcome))

    await asyncio.gather(*(work() for _ in range(at_once)))
    return findings


async def decode_all(found: Iterator[Specimen], *, n_workers: int, folder: Path) -> Findings:
    """Decode every specimen in a pool, which must still work in the end."""
    pool = MediaDecoderPool(n_workers=n_workers, timeout=TIMEOUT)
    try:
        findings = await examine(found, lambda path: judge(pool, path), at_once=2 * n_workers, folder=folder)
        assert (await pool.decode(HELLO)).n_samples == 105_600, "the pool does not work any more"
    finally:
        await pool.close()
    return findings


async def post_all(found: Iterator[Specimen], base_url: str, *, at_once: int, folder: Path) -> Findings:
    """Post every specimen to a running server, which must still answer in the end."""
    async with httpx.AsyncClient(base_url=base_url, timeout=10 * TIMEOUT) as client:
        findings = await examine(found, lambda path: post(client, path), at_once=at_once, folder=folder)
        (await client.get("/health")).raise_for_status()
    return findings


def report(findings: Findings, seconds: float) -> None:
    """Print the table and what broke."""
    columns = sorted({outcome for _, outcome in findings.outcomes})
    table = Table("made of", *columns)
    for kind in sorted({kind for kind, _ in findings.outcomes}):
        table.add_row(kind, *(str(findings.outcomes[kind, column] or "") for column in columns))
    table.add_row("all", *(str(findings.total(column)) for column in columns), style="bold")
    console = Console()
    console.print(table)
    console.print(
        f"{findings.outcomes.total()} files in {seconds:.0f} s; the slowest took {findings.slowest:.1f} s."
    )
    for specimen, outcome in findings.broken:
        console.print(f"{outcome}: number {specimen.number}, {specimen.kind}, {', '.join(specimen.damage)}")


def main() -> int:
    """Run from the command line; 1 when something happened that must not."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.media", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--workers", type=int, default=2, help="decoder processes, or requests at once")
    parser.add_argument("--base-url", help="post to this server instead of decoding here")
    parser.add_argument("--keep", type=Path, help="store the files that broke something in this folder")
    chosen = parser.parse_args()
    begin = time.monotonic()
    found = specimens(chosen.count, chosen.seed, chosen.first)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.base_url:
            run = post_all(found, chosen.base_url, at_once=chosen.workers, folder=folder)
        else:
            run = decode_all(found, n_workers=chosen.workers, folder=folder)
        findings = asyncio.run(run)
    report(findings, time.monotonic() - begin)
    for specimen, _ in findings.broken if chosen.keep else ():
        chosen.keep.mkdir(parents=True, exist_ok=True)
        (chosen.keep / f"{chosen.seed}-{specimen.number:06}-{specimen.kind}").write_bytes(specimen.data)
    return int(findings.failed)


if __name__ == "__main__":
    sys.exit(main())
