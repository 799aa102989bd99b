"""Window recognisers that stop before every call until a test lets them go on, and tell what they were asked.

Knows no test. Results say which job they belong to, so that a mix-up shows.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Audio, Hypothesis, Window
from hearsay.engines.whisper.jobs import Align, Decode, DetectLanguage, Encode
from hearsay.errors import EngineFailed
from tests.support.scripted_recognizer import ScriptedFeatures
from tests.support.whisper_double import WhisperDouble

WAIT = 10.0
"""Seconds after which a test that waits for a thread has failed."""

Call = tuple[str, list[Any]]
"""What was called, and with which jobs by name."""


def encode(name: float) -> Encode:
    """Make a job whose encoding is the name."""
    return Encode(np.array([name], np.float32))


def detect(name: float) -> DetectLanguage:
    """Make a job that hears a language of that name."""
    return DetectLanguage(name)


def window(name: Any, *, n_steps: int = 1, temperature: float = 0.0) -> Window:
    """Make a window that takes some steps to decode."""
    return Window(name, duration=float(n_steps), language="en", temperature=temperature)


def decode(name: Any, *, n_steps: int = 1, temperature: float = 0.0) -> Decode:
    """Make a job whose text is the name."""
    return Decode(window(name, n_steps=n_steps, temperature=temperature))


def align(name: Any) -> Align:
    """Make a job that finds one word, the name."""
    return Align(window(name), (1,), 100)


def text_of(window: Window) -> Hypothesis:
    """Return what a window holds: its name."""
    return Hypothesis((), str(window.encoding), -0.1, 0.0, window.temperature, 1.0)


@dataclass
class Machine(WhisperDouble):
    """A recogniser for batches; names in `broken` make every call that holds them fail."""

    running: bool = False
    """Whether it goes on by itself."""
    broken: set[Any] = field(default_factory=set)
    n_replicas: int = 1

    timestamp_begin = 50364
    end_of_text = 50257
    multilingual = True
    languages: tuple[str, ...] = ("en", "de")

    def __post_init__(self) -> None:
        self.called: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self.permits = threading.Semaphore(0)
        self.closed = False

    def next_call(self) -> Call:
        """Wait for the next call to begin."""
        return self.called.get(timeout=WAIT)

    def is_idle(self) -> bool:
        """Return whether nothing was called since."""
        return self.called.empty()

    def go(self) -> None:
        """Let one call end."""
        self.permits.release()

    def one_call(self) -> Call:
        """Wait for a call and let it end."""
        call = self.next_call()
        self.go()
        return call

    def perform(self, kind: str, names: Sequence[Any]) -> None:
        """Note a call, wait until it may end, and fail if it shall."""
        self.called.put((kind, list(names)))
        if not self.running and not self.permits.acquire(timeout=WAIT):
            raise AssertionError("a call that the test did not let go on")
        if self.broken.intersection(names):
            raise EngineFailed(f"cannot {kind} {sorted(self.broken.intersection(names))}")

    def features(self, audio: Audio) -> ScriptedFeatures:
        """Count frames."""
        return ScriptedFeatures(audio.n_samples // 160)

    def encode(self, inputs: Sequence[NDArray[np.float32]]) -> list[Any]:
        """Return the names."""
        names = [float(one[0]) for one in inputs]
        self.perform("encode", names)
        return names

    def detect_language(self, encodings: Sequence[Any]) -> list[Mapping[str, float]]:
        """Hear the names."""
        self.perform("detect", encodings)
        return [{str(name): 1.0} for name in encodings]

    def recognize(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """Return the names as texts."""
        self.perform("decode", [one.encoding for one in windows])
        return [text_of(one) for one in windows]

    def decode_kind(self, window: Window) -> Hashable:
        """Put windows of one temperature together."""
        return window.temperature

    def align(
        self, windows: Sequence[Window], tokens: Sequence[Sequence[int]], n_frames: Sequence[int]
    ) -> list[list[AlignedWord]]:
        """Return the names as words."""
        self.perform("align", [one.encoding for one in windows])
        return [[AlignedWord(str(one.encoding), 1, 0.0, 1.0, 1.0)] for one in windows]

    def encode_text(self, text: str) -> tuple[int, ...]:
        """Return one token a character."""
        return tuple(map(ord, text))

    def decode_text(self, tokens: Sequence[int]) -> str:
        """Take one character a token."""
        return "".join(map(chr, tokens))

    def close(self) -> None:
        """Note it."""
        self.closed = True


@dataclass
class SteppingMachine(Machine):
    """A recogniser that decodes in steps; a window takes as many of them as it has seconds."""

    n_rows: int = 100
    """Windows that a decoding has room for."""

    def continuous_batch(self) -> Steps:
        """Begin with none."""
        return Steps(self)


class Steps:
    """A decoding in which every window counts its steps."""

    def __init__(self, machine: SteppingMachine) -> None:
        self._machine = machine
        self._left: dict[int, tuple[Window, int]] = {}
        self._n_joined = 0

    @property
    def n_windows(self) -> int:
        """Count the windows in it."""
        return len(self._left)

    def has_room(self, job: Decode) -> bool:
        """Return whether there are rows left, and whether the temperature is that of the others."""
        alike = all(one.temperature == job.window.temperature for one, _ in self._left.values())
        return alike and len(self._left) < self._machine.n_rows

    def join(self, job: Decode) -> int:
        """Add a window, but for those whose language is unknown."""
        if job.window.encoding == "unknown":
            raise EngineFailed("cannot begin with this one")
        self._n_joined += 1
        self._left[self._n_joined] = (job.window, int(job.window.duration))
        return self._n_joined

    def step(self) -> list[tuple[int, Hypothesis]]:
        """Count one for every window."""
        self._machine.perform("step", [one.encoding for one, _ in self._left.values()])
        self._left = {number: (one, left - 1) for number, (one, left) in self._left.items()}
        done = [number for number, (_, left) in self._left.items() if left <= 0]
        return [(number, text_of(self._left.pop(number)[0])) for number in done]

    def leave(self, number: int) -> None:
        """Forget a window."""
        self._left.pop(number, None)
