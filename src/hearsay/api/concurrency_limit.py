"""How many requests may be in hand at once.

Knows neither models nor HTTP: the pool's permits come once a body has been read, this comes before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hearsay.errors import Overloaded


class ConcurrencyLimit:
    """Counts who is inside, uploads included, so that bodies cannot fill the disk."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count one more for as long as the context lasts. Raises `Overloaded` at once where it is full."""
        if self._inside >= self._most:
            raise Overloaded(f"This server has {self._most} requests in hand already; try again shortly.")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
