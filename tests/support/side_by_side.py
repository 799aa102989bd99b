"""Many recordings at once through one recogniser, so that they share its calls as they do in the server.

Knows no test; what a test compares is the same as if every recording had been alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hearsay.domain import Segment
from hearsay.engines.jobs import Job, Stage, run_jobs
from hearsay.engines.whisper.jobs import Encode, WhisperModel
from hearsay.engines.whisper.window_loop import WindowLoop

MOST_TOGETHER = {Stage.DETECT: 16, Stage.ALIGN: 8, Stage.ENCODE: 8, Stage.DECODE: 1024}
"""Jobs of one call; a recogniser divides windows to be decoded by itself."""

_ORDER = tuple(Stage)


def segments_of_all(loops: Sequence[WindowLoop], model: WhisperModel) -> list[list[Segment]]:
    """Run loops to their ends in this thread and return their segments; equal windows are encoded once."""
    running = [loop.jobs() for loop in loops]
    waiting: dict[int, Job] = {}
    encodings: dict[bytes, Any] = {}

    def send(number: int, result: Any) -> None:
        with suppress(StopIteration):
            waiting[number] = running[number].send(result)

    for number in range(len(loops)):
        send(number, None)
    while waiting:
        for number, result in _run_some(waiting, model, encodings).items():
            send(number, result)
    return [[segment for window in loop.segments_by_window for segment in window] for loop in loops]


def _run_some(waiting: dict[int, Job], model: WhisperModel, encodings: dict[bytes, Any]) -> dict[int, Any]:
    """Run jobs of the first stage that any job waits for; return the results by the number of the loop."""
    stage = min((job.stage for job in waiting.values()), key=_ORDER.index)
    of_stage = {number: job for number, job in waiting.items() if job.stage is stage}
    kind = next(iter(of_stage.values())).kind(model)
    numbers = [number for number, job in of_stage.items() if job.kind(model) == kind]
    numbers = numbers[: MOST_TOGETHER[stage]]
    jobs = [waiting.pop(number) for number in numbers]
    keys = [_key(job) for job in jobs]
    new = {key: job for key, job in zip(keys, jobs, strict=True) if key not in encodings}
    results = dict(zip(new, run_jobs(model, list(new.values())), strict=True)) if new else {}
    if stage is Stage.ENCODE:
        encodings |= results
    return {number: encodings.get(key, results.get(key)) for number, key in zip(numbers, keys, strict=True)}


def _key(job: Job) -> bytes:
    """Return what is equal for equal windows to be encoded, and different for all other jobs."""
    if isinstance(job, Encode):
        return hashlib.sha256(job.features.tobytes()).digest()
    return id(job).to_bytes(8, "little")
