"""Admission: so many requests and no more, and none counted twice."""

from __future__ import annotations

import pytest

from hearsay.errors import Overloaded
from hearsay.scheduling.admission import Admission


def test_so_many_and_no_more() -> None:
    admission = Admission(max_requests=2)
    with admission.request(), admission.request(), pytest.raises(Overloaded, match="2 requests"):
        admission.request().__enter__()
    with admission.request(), admission.request():
        pass


def test_a_failed_request_gives_its_place_back() -> None:
    admission = Admission(max_requests=1)
    with pytest.raises(KeyError), admission.request():
        raise KeyError
    with admission.request():
        pass


def test_recordings_beyond_those_that_may_wait_for_a_decoder_are_refused() -> None:
    admission = Admission(max_decoding=2)
    with admission.decoding(), admission.decoding(), pytest.raises(Overloaded, match="2 recordings"):
        admission.decoding().__enter__()
    with admission.decoding():
        pass


def test_a_model_serves_one_and_lets_so_many_wait() -> None:
    admission = Admission(max_waiting=1)
    admission.enter_model("one", retry_after=3.0)
    admission.enter_model("one", retry_after=3.0)
    with pytest.raises(Overloaded, match="1 requests wait for one") as refused:
        admission.enter_model("one", retry_after=3.0)
    assert refused.value.retry_after == 3.0
    admission.enter_model("two", retry_after=3.0)
    admission.leave_model("one")
    admission.enter_model("one", retry_after=3.0)
    assert (admission.n_using("one"), admission.n_using("two")) == (2, 1)
