"""Who plays when: contestants take turns on the same recordings, or answer many callers at once.

Knows no particular contestant and prints nothing. Turns are taken recording by recording, and whoever went
first goes last the next time, so that a machine that slows down or warms up does so for everybody.
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
    from bench.contestants import Contestant  # needs the extra


def in_turns(
    contestants: Sequence[Contestant],
    recordings: Sequence[Recording],
    rounds: Mapping[str, int],
    *,
    named: bool,
) -> dict[str, Score]:
    """Let each hear every recording alone, in as many rounds as are given for its name."""
    scores = {contestant.name: Score(contestant.name) for contestant in contestants}
    for number in range(max(rounds[name] for name in scores)):
        playing = [c for c in contestants if number < rounds[c.name]]
        for contestant in playing:
            scores[contestant.name].rounds.append(0.0)
        for turn, recording in enumerate(recordings):
            first = (number + turn) % len(playing)
            for contestant in playing[first:] + playing[:first]:
                score = scores[contestant.name]
                score.rounds[-1] += hear(contestant, recording, score, named=named)
    return scores


def at_once(
    contestant: Contestant, recordings: Sequence[Recording], n_callers: int, score: Score, *, named: bool
) -> None:
    """Let callers ask for the recordings in their order, each the next one as soon as it has an answer."""
    with ThreadPoolExecutor(n_callers) as callers:
        begin = time.perf_counter()
        work = [callers.submit(hear, contestant, each, score, named=named) for each in recordings]
        for asked in work:
            asked.result()
        score.rounds.append(time.perf_counter() - begin)


def hear(contestant: Contestant, recording: Recording, score: Score, *, named: bool) -> float:
    """Let one hear one recording; note it, and give the seconds."""
    begin = time.perf_counter()
    text = contestant.hear(recording.path, recording.language if named else None)
    seconds = time.perf_counter() - begin
    score.add(recording.path, seconds, text)
    return seconds


def alone(contestant: Contestant, recordings: Sequence[Recording], *, named: bool) -> dict[Path, str]:
    """Return what one hears in each recording when nobody else asks."""
    return {each.path: contestant.hear(each.path, each.language if named else None) for each in recordings}
