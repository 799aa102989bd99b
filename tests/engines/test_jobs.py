"""Jobs: run together in order, and inline where no queue is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pytest

from hearsay.engines.jobs import Job, Stage, run_inline, run_jobs


@dataclass(frozen=True, slots=True)
class Halve(Job):
    """Halves a number; the model notes what was asked of it in one call."""

    stage: ClassVar[Stage] = Stage.ENCODE
    number: int

    def kind(self, model: Any) -> Hashable:
        return self.number % 2

    @classmethod
    def run(cls, model: list[list[int]], jobs: Sequence[Self]) -> list[int]:
        model.append([job.number for job in jobs])
        if any(job.number % 2 for job in jobs):
            raise ValueError("an odd number")
        return [job.number // 2 for job in jobs]


def test_stages_are_in_the_order_of_service() -> None:
    assert list(Stage) == [Stage.DETECT, Stage.ALIGN, Stage.ENCODE, Stage.DECODE]


def test_jobs_of_one_kind_are_one_call_in_order() -> None:
    calls: list[list[int]] = []
    assert run_jobs(calls, [Halve(8), Halve(2), Halve(4)]) == [4, 1, 2]
    assert calls == [[8, 2, 4]]


def test_inline_a_job_is_done_when_submit_returns() -> None:
    calls: list[list[int]] = []
    future = run_inline(calls)(Halve(8))
    assert future.done()
    assert future.result() == 4


def test_inline_what_goes_wrong_is_in_the_future() -> None:
    future = run_inline([])(Halve(3))
    with pytest.raises(ValueError, match="odd"):
        future.result()
