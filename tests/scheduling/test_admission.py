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
