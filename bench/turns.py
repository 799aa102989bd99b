"""Measurement loops: systems alternate on the same recordings, or serve many concurrent clients.

Knows no particular system and prints nothing. Systems alternate recording by recording, the first one going
last the next time, so that a machine that slows down or warms up affects all alike.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from bench.recordings import Recording
from bench.scores import Score

if TYPE_CHECKING:
    from bench.contestants import System  # needs the extra


def in_turns(
    candidates: Sequence[System],
    recordings: Sequence[Recording],
    rounds: Mapping[str, int],
    *,
    named: bool,
) -> dict[str, Score]:
    """Measure each system on every recording alone, in the number of rounds of its name."""
    scores = {system.name: Score(system.name) for system in candidates}
    for number in range(max(rounds[name] for name in scores)):
        systems = [c for c in candidates if number < rounds[c.name]]
        for system in systems:
            scores[system.name].rounds.append(0.0)
        for turn, recording in enumerate(recordings):
            first = (number + turn) % len(systems)
            for system in systems[first:] + systems[:first]:
                score = scores[system.name]
                score.rounds[-1] += measure(system, recording, score, named=named)
    return scores


def at_once(
    system: System, recordings: Sequence[Recording], n_callers: int, score: Score, *, named: bool
) -> None:
    """Send the recordings in order from concurrent clients, each the next one after a response."""
    with ThreadPoolExecutor(n_callers) as callers:
        begin = time.perf_counter()
        work = [callers.submit(measure, system, each, score, named=named) for each in recordings]
        for asked in work:
            asked.result()
        score.rounds.append(time.perf_counter() - begin)


def measure(system: System, recording: Recording, score: Score, *, named: bool) -> float:
    """Transcribe one recording, record the time and return it in seconds."""
    begin = time.perf_counter()
    text = system.transcribe(recording.path, recording.language if named else None)
    seconds = time.perf_counter() - begin
    score.add(recording.path, seconds, text)
    return seconds


def alone(system: System, recordings: Sequence[Recording], *, named: bool) -> dict[Path, str]:
    """Return a system's text of each recording without concurrent load."""
    return {each.path: system.transcribe(each.path, each.language if named else None) for each in recordings}
