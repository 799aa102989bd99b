"""What the loops over a recording ask of a model: encode, detect the language, decode, align.

Knows neither queue nor thread: a job is a record, and `perform` does jobs of one kind in one call of the
model. Loops are generators that give jobs and are sent the results, so they can be driven by a queue shared
with others, by a plain function, or by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hearsay.domain import AlignedWord, Hypothesis, Window
from hearsay.engines.protocols import WindowRecognizer


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """Encode one window; the result is an opaque encoding."""

    features: NDArray[np.float32]
    """`float32[n_mels, n_frames]`."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectLanguage:
    """Return the probability of every language code."""

    encoding: Any


@dataclass(frozen=True, slots=True, eq=False)
class Decode:
    """Decode one window once, at its own temperature; the result is a `Hypothesis`."""

    window: Window


@dataclass(frozen=True, slots=True, eq=False)
class Align:
    """Time the words of one window; the result is a list of `AlignedWord`."""

    window: Window
    tokens: tuple[int, ...]
    """Text tokens only."""
    n_frames: int
    """Frames of real audio in the window."""


Job = Encode | DetectLanguage | Decode | Align
"""A piece of work for a model; jobs of one kind, of whatever request, may share a call."""

JobResult = Any | Mapping[str, float] | Hypothesis | list[AlignedWord]

Submit = Callable[[Job], "Future[Any]"]
"""Takes a job and promises its result; `futures.result()` raises what went wrong."""

T = TypeVar("T")

Jobs = Generator[Job, Any, T]
"""A loop: gives a job, is sent its result, and so on until it returns."""


def perform(recognizer: WindowRecognizer, jobs: Sequence[Job]) -> list[Any]:
    """Do jobs that are all of one kind in one call of the model, and give their results in order."""
    match jobs[0]:
        case Encode():
            return recognizer.encode([job.features for job in jobs if isinstance(job, Encode)])
        case DetectLanguage():
            return recognizer.detect_language([j.encoding for j in jobs if isinstance(j, DetectLanguage)])
        case Decode():
            return recognizer.recognize([job.window for job in jobs if isinstance(job, Decode)])
        case Align():
            aligned = [job for job in jobs if isinstance(job, Align)]
            return recognizer.align(
                [job.window for job in aligned],
                [job.tokens for job in aligned],
                [job.n_frames for job in aligned],
            )


def at_once(recognizer: WindowRecognizer) -> Submit:
    """Return a `Submit` that does each job in the caller's thread before it returns."""

    def submit(job: Job) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            (result,) = perform(recognizer, [job])
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return future

    return submit


def drive(loop: Jobs[T], submit: Submit) -> T:
    """Run a loop to its end, waiting for each job."""
    try:
        job = next(loop)
        while True:
            job = loop.send(submit(job).result())
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
