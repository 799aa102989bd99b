"""The queue of a model: priorities and their bound, fairness between keys and requests, spare places."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.domain import Priority
from hearsay.engines.jobs import Job, Stage
from hearsay.errors import Cancelled, ConfigurationError
from hearsay.scheduling.queue import (
    AGING_SECONDS,
    OVERTAKING_SECONDS,
    BatchLimits,
    JobQueue,
    PendingJob,
    RequestQueue,
)

LIVE, INTERACTIVE, BATCH = Priority


@dataclass(frozen=True, slots=True)
class Named(Job):
    """A job with a name, of a stage that a test chooses."""

    stage: ClassVar[Stage] = Stage.DECODE
    name: str
    sort: Hashable = None

    def kind(self, model: Any) -> Hashable:
        """Return what the test says."""
        return self.sort

    @classmethod
    def run(cls, model: Any, jobs: Sequence[Self]) -> list[str]:
        """Return the names."""
        return [job.name for job in jobs]


class NamedEncode(Named):
    """The same in another stage."""

    stage = Stage.ENCODE


class Requests:
    """A queue whose clock a test moves, and requests that submit jobs to it."""

    def __init__(self, limits: BatchLimits | None = None) -> None:
        self.now = 100.0
        self.queue = JobQueue(None, limits or BatchLimits(4, 4), clock=lambda: self.now, linger=0.0)
        self.open: dict[str, RequestQueue] = {}

    def submit(
        self,
        name: str,
        *,
        key: str | None = None,
        priority: Priority = INTERACTIVE,
        sort: Hashable = None,
        job: type[Named] = Named,
    ) -> None:
        """Submit the job `a1` for the request `a`."""
        request = name.rstrip("0123456789")
        if request not in self.open:
            self.open[request] = RequestQueue(self.queue, lambda: False, key=key, priority=priority)
        self.open[request].submit(job(name, sort))

    def take(self, stage: Stage = Stage.DECODE) -> list[str]:
        """Take a batch."""
        return names(self.queue.take(stage))


def names(jobs: Sequence[PendingJob]) -> list[str]:
    return [pending.job.name for pending in jobs if isinstance(pending.job, Named)]


def test_live_requests_go_before_interactive_ones_and_those_before_batches() -> None:
    requests = Requests(BatchLimits(2, 2))
    for name, priority in (("batch1", BATCH), ("chat1", INTERACTIVE), ("mic1", LIVE), ("batch2", BATCH)):
        requests.submit(name, priority=priority)
    assert [requests.take(), requests.take()] == [["mic1", "chat1"], ["batch1", "batch2"]]


def test_spare_places_of_a_batch_go_to_lower_priorities_of_the_same_kind() -> None:
    requests = Requests()
    requests.submit("batch1", priority=BATCH, sort="long")
    requests.submit("other1", priority=BATCH, sort="short")
    requests.submit("mic1", priority=LIVE, sort="long")
    assert [requests.take(), requests.take()] == [["mic1", "batch1"], ["other1"]]


def test_a_priority_that_is_passed_over_gets_a_place_when_its_time_has_come() -> None:
    requests = Requests(BatchLimits(1, 1))
    requests.submit("batch1", priority=BATCH)
    requests.submit("batch2", priority=BATCH)
    served = []
    for i in range(8):
        requests.submit(f"mic{i}", priority=LIVE)
        served += requests.take()
        requests.now += AGING_SECONDS / 2
    assert served == ["mic0", "mic1", "batch1", "mic2", "batch2", "mic3", "mic4", "mic5"]


def test_waiting_since_long_ago_does_not_turn_priorities_around() -> None:
    requests = Requests(BatchLimits(1, 1))
    for i in range(5):
        requests.submit(f"batch{i}", priority=BATCH)
    requests.now += 100 * AGING_SECONDS
    requests.submit("mic1", priority=LIVE)
    requests.submit("mic2", priority=LIVE)
    assert [requests.take()[0] for _ in range(4)] == ["batch0", "mic1", "mic2", "batch1"]


@given(st.lists(st.sampled_from(Priority), min_size=1, max_size=60), st.integers(1, 4))
def test_no_priority_is_passed_over_for_longer_than_the_bound(arrivals: list[Priority], size: int) -> None:
    requests = Requests(BatchLimits(size, size))
    step = AGING_SECONDS / 4
    since: dict[Priority, float] = {}
    waiting: dict[str, Priority] = {}
    for i, priority in enumerate([*arrivals, *[LIVE] * 40]):
        name = f"{priority.name.lower()}{i}"
        requests.submit(name, priority=priority)
        if priority not in waiting.values():
            since[priority] = requests.now
        waiting[name] = priority
        for taken in requests.take():
            since[waiting.pop(taken)] = requests.now
        for other in set(waiting.values()):
            # Each of the others may be overdue at the same moment, and one is served at a time.
            assert requests.now - since[other] <= AGING_SECONDS + 2 * step
        requests.now += step


def test_keys_share_a_model_whatever_the_number_of_their_requests() -> None:
    requests = Requests(BatchLimits(2, 2))
    for i in range(10):
        requests.submit(f"many{'abcdefghij'[i]}1", key="many")
    requests.submit("few1", key="few")
    requests.submit("few2", key="few")
    assert [requests.take() for _ in range(3)] == [
        ["manya1", "few1"],
        ["manyb1", "few2"],
        ["manyc1", "manyd1"],
    ]


def test_requests_of_one_key_share_its_places() -> None:
    requests = Requests(BatchLimits(1, 1))
    for name in ("a1", "a2", "a3", "b1"):
        requests.submit(name, key="one")
    requests.submit("c1", key="two")
    assert [requests.take()[0] for _ in range(5)] == ["a1", "c1", "b1", "a2", "a3"]


def test_a_job_that_does_not_fit_is_overtaken_for_a_while_only() -> None:
    requests = Requests()
    for name, sort in (("a1", "other"), ("b1", "same"), ("c1", "same")):
        requests.submit(name, sort=sort)

    def fits(pending: PendingJob) -> bool:
        return isinstance(pending.job, Named) and pending.job.sort == "same"

    first = requests.queue.take_fitting(fits)
    assert first is not None and names([first]) == ["b1"]
    requests.now += OVERTAKING_SECONDS
    assert requests.queue.take_fitting(fits) is None
    last = requests.queue.take_fitting(lambda _: True)
    assert last is not None and names([last]) == ["a1"]


def test_no_more_is_encoded_than_decoding_has_room_for() -> None:
    requests = Requests(BatchLimits(windows=3, encodes=2))
    for name in ("a1", "b1"):
        requests.submit(name)
    for name in ("c1", "d1"):
        requests.submit(name, job=NamedEncode)
    assert requests.take(Stage.ENCODE) == ["c1"] and requests.take(Stage.ENCODE) == ["d1"]
    requests.submit("e1", job=NamedEncode)
    assert requests.queue.take(Stage.ENCODE, n_running=1) == []


def test_a_closed_request_waits_no_more_and_gets_nothing() -> None:
    requests = Requests()
    requests.submit("a1")
    future = requests.open["a"].submit(Named("a2"))
    requests.open["a"].close()
    assert isinstance(future.exception(0), Cancelled)
    assert isinstance(requests.open["a"].submit(Named("a3")).exception(0), Cancelled)
    assert requests.take() == []


def test_a_closed_queue_fails_what_waits_and_what_comes() -> None:
    requests = Requests()
    requests.submit("a1")
    waiting = requests.open["a"].submit(Named("a2"))
    reason = ConfigurationError("gone")
    requests.queue.close(reason)
    assert waiting.exception(0) is reason and requests.open["a"].submit(Named("a3")).exception(0) is reason
    assert requests.queue.closed and not requests.queue.wait()


@pytest.mark.parametrize("limits", [(0, 1), (1, 0), (-1, 4)])
def test_limits_that_hold_nothing_are_refused(limits: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BatchLimits(*limits)
