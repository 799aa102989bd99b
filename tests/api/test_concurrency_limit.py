"""The door: so many and no more, and nobody counted twice."""

from __future__ import annotations

import pytest

from hearsay.api.concurrency_limit import ConcurrencyLimit
from hearsay.errors import Overloaded


def test_so_many_and_no_more() -> None:
    door = ConcurrencyLimit(2)
    with door.slot(), door.slot(), pytest.raises(Overloaded, match="2 requests"), door.slot():
        pytest.fail("a third came in")
    with door.slot(), door.slot():
        pass


def test_who_fails_inside_is_outside_afterwards() -> None:
    door = ConcurrencyLimit(1)
    with pytest.raises(KeyError), door.slot():
        raise KeyError
    with door.slot():
        pass
