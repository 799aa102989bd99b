"""Speech over HTTP against calling espeak-ng directly, in one run: `python -m bench.speech`.

Two measures: the added latency to first audio (target: 15 ms), and the throughput in seconds of speech per
second with 1 or 8 concurrent clients, relative to one process per core without a server (target: 0.9 with 8
clients). Same library, voice, speed and sample rate, uncompressed WAV; systems alternate, ratios are per
round. Texts are half a minute and four minutes long: many servers accept at most 4096 characters. Under Linux
it also prints processor time per second of speech, clients included, which depends less on other load than
wall time. `--formats` also times the server alone in other formats. Needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import httptools

from bench.recordings import ROOT
from bench.server import running

VOICE = "en-us"
RATE = 22_050
"""espeak-ng's own sampling rate."""

AIM_FIRST_MS, AIM_SHARE = 15.0, 0.9

PARAGRAPH = (
    "The station clock had stopped at ten past four, and nobody had troubled to wind it since the spring. "
    "Two travellers sat under it and shared a bag of cherries, counting the stones into a tin cup. "
    "When the train came at last it was the wrong one, though it carried them further than they had meant. "
    "They read the names of the villages aloud as they passed, and kept the ones that sounded like songs. "
    "By evening the cup was full, the bag was empty, and the sea lay flat and silver beyond the fields."
)
"""About half a minute of speech."""

LENGTHS = {"short": 1, "long": 8}
"""How many paragraphs a text has; a long one has four minutes."""

MOST_AT_ONCE = 8
"""Clients; each measurement synthesizes at least as many texts, so that all cores are used."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one text took."""

    first: float
    """Seconds until the first samples."""
    seconds: float
    """Seconds in all."""
    n_bytes: int


class Library:
    """A process that calls the library and does nothing else."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "bench.espeak_direct", VOICE]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        rate = json.loads(self._line())["rate"]
        if rate != RATE:
            raise SystemExit(f"espeak-ng speaks at {rate} Hz, not {RATE}")

    def fileno(self) -> int:
        """Where to wait for something to take."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def ask(self, text: str) -> None:
        """Synthesize a text."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()

    def take(self) -> Timing | None:
        """Wait for the end of the text."""
        told = json.loads(self._line())
        return Timing(told["first"], told["all"], told["bytes"])

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Client:
    """One client of the server, with its own connection and little processor time."""

    def __init__(self, address: str) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._memory = memoryview(bytearray(1 << 20))
        self._parser = httptools.HttpResponseParser(self)
        self._n_bytes = 0
        self._begin = self._first = 0.0
        self._is_complete = False

    def fileno(self) -> int:
        """Where to wait for something to take."""
        return self._socket.fileno()

    def ask(self, text: str, response_format: str = "wav", sample_rate: int = RATE) -> None:
        """Synthesize a text."""
        request = {"model": "espeak-ng", "voice": VOICE, "input": text, "response_format": response_format}
        self._send(request | {"sample_rate": sample_rate})

    def take(self) -> Timing | None:
        """Receive part of the response; return the timings at its end."""
        n_read = self._socket.recv_into(self._memory)
        if not n_read:
            raise SystemExit("the server hung up")
        self._parser.feed_data(self._memory[:n_read])
        if not self._is_complete:
            return None
        if self._parser.get_status_code() != 200:
            raise SystemExit(f"the server answers {self._parser.get_status_code()}; its log says why")
        return Timing(self._first - self._begin, time.perf_counter() - self._begin, self._n_bytes)

    def warm_up(self) -> None:
        """Wait for what the server gets ready while it serves: a text whose language it must guess."""
        self._send({"input": "Are you ready to tell languages apart?", "voice": "alloy"})
        _wait(self)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def on_body(self, body: bytes) -> None:
        """Count some of the answer (called by the parser); audio begins after a WAV's 44 bytes."""
        self._n_bytes += len(body)
        if not self._first and self._n_bytes > 44:
            self._first = time.perf_counter()

    def on_message_complete(self) -> None:
        """Take note of its end (called by the parser)."""
        self._is_complete = True

    def _send(self, request: Mapping[str, Any]) -> None:
        body = json.dumps(request).encode()
        head = (
            "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._begin, self._first = time.perf_counter(), 0.0
        self._n_bytes, self._is_complete = 0, False
        self._parser = httptools.HttpResponseParser(self)
        self._socket.sendall(head.encode() + body)


class ProcessorTime:
    """The processor's time that this process and its descendants have taken so far, by what they are."""

    def __init__(self, libraries: Sequence[Library]) -> None:
        me = os.getpid()
        direct = {library.pid for library in libraries}
        self.are_kept = Path("/proc/self/stat").exists()
        """Whether this system reports processor time."""
        self._pids: dict[str, list[int]] = {"callers": [me], "direct": [], "server": [], "engine": []}
        for pid, parent in _descendants(me) if self.are_kept else ():
            side = "direct" if pid in direct else "server" if parent == me else "engine"
            self._pids[side].append(pid)

    def read(self) -> dict[str, float]:
        """Return the seconds of each."""
        if not self.are_kept:
            return dict.fromkeys(self._pids, 0.0)
        return {side: sum(map(_processor_seconds, pids)) for side, pids in self._pids.items()}


@dataclass(frozen=True, slots=True)
class Round:
    """What one side did in one turn."""

    rtfx: float
    """Seconds of speech made a second."""
    spent: dict[str, float]
    """Milliseconds of the processor per second of speech."""
    first_ms: float
    """Median time from request to first audio."""
    text_ms: float
    """Until a text's end; median."""


def _descendants(pid: int) -> Iterator[tuple[int, int]]:
    """Yield each descendant of a process, and its parent."""
    for child in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]:
        with suppress(OSError):  # one that has ended meanwhile
            if int(_stat(child)[1]) == pid:
                yield child, pid
                yield from _descendants(child)


def _processor_seconds(pid: int) -> float:
    """Read how long a process has computed."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Read the fields of proc(5) `stat`, from the third on: its state, its parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


Endpoint = Library | Client
S = TypeVar("S", Library, Client)


def _synthesize(endpoint: Endpoint) -> Timing:
    """Synthesize a paragraph."""
    endpoint.ask(PARAGRAPH)
    return _wait(endpoint)


def _wait(endpoint: Endpoint) -> Timing:
    while (turn := endpoint.take()) is None:
        pass
    return turn


def main() -> int:
    """Measure both, then print the results."""
    options = _options()
    with ExitStack() as stack:
        settings = {"SPEECH_PROCESSES": str(options.processes or 0), "KEEPALIVE_SECONDS": "3600"}
        address = stack.enter_context(running(settings))
        libraries = [stack.enter_context(closing(Library())) for _ in range(os.cpu_count() or 1)]
        clients = [stack.enter_context(closing(Client(address))) for _ in range(MOST_AT_ONCE)]
        Client(address).warm_up()
        for library in libraries:
            _synthesize(library)
        for client in clients:
            _synthesize(client)
        processor_time = ProcessorTime(libraries)
        print(
            f"{platform.machine()}, {os.cpu_count()} cores; espeak-ng, {VOICE}, {RATE} Hz WAV; "
            f"{options.rounds} rounds"
        )
        _print_latency(libraries[0], clients[0], options.rounds)
        for length in LENGTHS if options.length is None else (options.length,):
            for n_callers in (1, MOST_AT_ONCE):
                _print_throughput(libraries, clients[:n_callers], processor_time, length, options)
        if options.formats:
            _print_formats(clients, options)
    return 0


def _print_latency(library: Library, client: Client, rounds: int) -> None:
    """Compare the time to first audio, one text at a time."""
    direct, ours = [], []
    for _ in range(10 * rounds):
        direct.append(1000 * _synthesize(library).first)
        ours.append(1000 * _synthesize(client).first)
    later = statistics.median(o - d for o, d in zip(ours, direct, strict=True))
    print(
        f"first sound: direct {statistics.median(direct):.1f} ms, over HTTP {statistics.median(ours):.1f} ms "
        f"(p95 {sorted(ours)[int(0.95 * len(ours))]:.1f}): {later:.1f} ms later (aim: {AIM_FIRST_MS:g})"
    )


def _print_throughput(
    libraries: Sequence[Library],
    clients: Sequence[Client],
    processor_time: ProcessorTime,
    length: str,
    options: argparse.Namespace,
) -> None:
    """Compare seconds of speech a second, all cores calling directly, and so many callers."""
    direct: list[Round] = []
    ours: list[Round] = []
    for number in range(options.rounds):
        turns: list[Callable[[], None]] = [
            lambda: direct.append(_round(libraries, processor_time, length, options.texts)),
            lambda: ours.append(_round(clients, processor_time, length, options.texts)),
        ]
        for turn in turns if number % 2 else reversed(turns):
            turn()
    shares = [o.rtfx / d.rtfx for o, d in zip(ours, direct, strict=True)]
    aim = f" (aim: {AIM_SHARE:g})" if len(clients) > 1 else ""
    print(
        f"{length} texts, {len(clients)} at once: RTFx direct, {len(libraries)} processes, "
        f"{statistics.median(d.rtfx for d in direct):.0f}; over HTTP "
        f"{statistics.median(o.rtfx for o in ours):.0f}; share {statistics.median(shares):.2f}{aim} "
        f"({min(shares):.2f} to {max(shares):.2f})"
    )
    # Whoever calls directly has to wait for a process, while as many texts as there are processes are said.
    n_before = max(len(clients) / len(libraries) - 1, 0)
    queued = statistics.median(d.first_ms + n_before * d.text_ms for d in direct)
    print(
        f"  first sound: over HTTP {statistics.median(o.first_ms for o in ours):.0f} ms; direct, with "
        f"{n_before:g} texts before one's own, {queued:.0f} ms"
    )
    if processor_time.are_kept:
        _print_processor_time(direct, ours)


def _print_processor_time(direct: Sequence[Round], ours: Sequence[Round]) -> None:
    """Print the processor time per second of speech, and the speed-up that it alone would explain."""

    def spent(rounds: Sequence[Round], side: str) -> float:
        return statistics.median(each.spent[side] for each in rounds)

    parts = ", ".join(f"{side} {spent(ours, side):.3f}" for side in ("engine", "server", "callers"))
    shares = [
        (d.spent["direct"] + d.spent["callers"])
        / sum(o.spent[side] for side in ("engine", "server", "callers"))
        for d, o in zip(direct, ours, strict=True)
    ]
    print(
        f"  processor ms per second of speech: direct {spent(direct, 'direct'):.3f}; over HTTP {parts}; "
        f"share {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
    )


def _print_formats(clients: Sequence[Client], options: argparse.Namespace) -> None:
    """Time the server in other formats, 8 callers at once."""
    seconds = 0.0
    for response_format, rate in (
        ("wav", RATE),
        ("wav", 24_000),
        ("pcm", 24_000),
        ("mp3", 24_000),
        ("mp3", 48_000),
        ("opus", 24_000),
        ("aac", 24_000),
        ("flac", 24_000),
    ):
        ask = partial(Client.ask, response_format=response_format, sample_rate=rate)
        begin = time.perf_counter()
        turns = _all(clients, options.texts, ask)
        wall = time.perf_counter() - begin
        if response_format == "wav":
            seconds = sum(turn.n_bytes - 44 for turn in turns) / 2 / rate
        first = 1000 * statistics.median(turn.first for turn in turns)
        print(f"{response_format} at {rate} Hz: RTFx {seconds / wall:.0f}, first bytes after {first:.0f} ms")


def _round(endpoints: Sequence[S], processor_time: ProcessorTime, length: str, n_texts: int) -> Round:
    """Synthesize texts with all clients concurrently; long texts are fewer."""
    paragraphs = LENGTHS[length]
    before, begin = processor_time.read(), time.perf_counter()
    turns = _all(
        endpoints,
        max(n_texts // paragraphs, MOST_AT_ONCE),
        lambda endpoint, text: endpoint.ask(" ".join([text] + [PARAGRAPH] * (paragraphs - 1))),
    )
    wall, after = time.perf_counter() - begin, processor_time.read()
    seconds = sum(turn.n_bytes - 44 for turn in turns) / 2 / RATE
    return Round(
        seconds / wall,
        {side: 1000 * (after[side] - before[side]) / seconds for side in after},
        1000 * statistics.median(turn.first for turn in turns),
        1000 * statistics.median(turn.seconds for turn in turns),
    )


def _all(endpoints: Sequence[S], n_texts: int, ask: Callable[[S, str], None]) -> list[Timing]:
    """Distribute texts to clients, each of which takes the next when it has finished one."""
    texts = (f"{number}. {PARAGRAPH}" for number in range(n_texts))
    turns: list[Timing] = []
    with selectors.DefaultSelector() as selector:
        for endpoint, text in zip(endpoints, texts, strict=False):
            selector.register(endpoint, selectors.EVENT_READ)
            ask(endpoint, text)
        while selector.get_map():
            for key, _ in selector.select():
                endpoint = cast(S, key.fileobj)
                if (turn := endpoint.take()) is None:
                    continue
                turns.append(turn)
                following = next(texts, None)
                if following is None:
                    selector.unregister(endpoint)
                else:
                    ask(endpoint, following)
    return turns


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speech", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--texts", type=int, default=24, help="texts of half a minute in each measurement")
    parser.add_argument("--length", choices=list(LENGTHS), help="of the texts; default: one after the other")
    parser.add_argument("--processes", type=int, help="of the server's engine; default: its own choice")
    parser.add_argument("--formats", action="store_true", help="also time the server in other formats")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
