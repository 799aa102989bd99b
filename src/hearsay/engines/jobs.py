"""Jobs: the pieces of work that a request asks of a loaded model, and that requests may share a call for.

Knows no model, no queue and no thread. Each engine defines its own jobs: their stage says when they are done,
their kind which of them may share a call, `run` does them. A loop over a recording is a generator that yields
jobs and is sent their results, so it can be driven by a queue shared with others, by a plain function, or by
a test.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from concurrent.futures import Future
from enum import Enum
from typing import Any, ClassVar, Self, TypeVar


class Stage(Enum):
    """Stages of recognition, in the order in which a model serves them."""

    DETECT = "detect"
    """Short; the first step of a recording, on which all others depend (language detection)."""
    ALIGN = "align"
    """Short; the last step of a window (word times)."""
    ENCODE = "encode"
    """Costs the same whenever it is done; its results wait in memory to be decoded."""
    DECODE = "decode"
    """Long, token by token; cheaper by the window the more windows share it."""


class Job(ABC):
    """A piece of work for one model; jobs of one stage and kind, of whatever request, may share a call."""

    __slots__ = ()
    stage: ClassVar[Stage]

    @abstractmethod
    def kind(self, model: Any) -> Hashable:
        """Return what jobs of this stage must have in common to share a call. Raises: `UnsupportedOption`."""

    @classmethod
    @abstractmethod
    def run(cls, model: Any, jobs: Sequence[Self]) -> list[Any]:
        """Return the results of jobs of one kind, in order, by one call of the model."""


Submit = Callable[[Job], "Future[Any]"]
"""Submits a job and returns the future of its result; `Future.result` raises what went wrong."""

T = TypeVar("T")

Jobs = Generator[Job, Any, T]
"""A loop: yields a job, is sent its result, and so on until it returns."""


def run_jobs(model: Any, jobs: Sequence[Job]) -> list[Any]:
    """Return the results of jobs that are all of one stage and kind, in order."""
    return type(jobs[0]).run(model, jobs)


def run_inline(model: Any) -> Submit:
    """Return a `Submit` that runs each job in the calling thread before it returns."""

    def submit(job: Job) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            (result,) = run_jobs(model, [job])
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        return future

    return submit


Item = TypeVar("Item")
Result = TypeVar("Result")


def run_in_groups(
    items: Iterable[Item], kind: Callable[[Item], Hashable], run: Callable[[list[Item]], Sequence[Result]]
) -> list[Result]:
    """Run items of one kind together, and return the results in the order of the items."""
    groups: defaultdict[Hashable, dict[int, Item]] = defaultdict(dict)
    for index, item in enumerate(items):
        groups[kind(item)][index] = item
    results: dict[int, Result] = {}
    for group in groups.values():
        results.update(zip(group, run(list(group.values())), strict=True))
    return [results[index] for index in sorted(results)]
