"""The door: so many and no more, and nobody counted twice."""

from __future__ import annotations

import pytest

from hearsay.api.concurrency_limit import Door
from hearsay.errors import Overloaded


def test_so_many_and_no_more() -> None:
    door = Door(2)
    with door.passed(), door.passed(), pytest.raises(Overloaded, match="2 requests"), door.passed():
        pytest.fail("a third came in")
    with door.passed(), door.passed():
        pass


def test_who_fails_inside_is_outside_afterwards() -> None:
    door = Door(1)
    with pytest.raises(KeyError), door.passed():
        raise KeyError
    with door.passed():
        pass
