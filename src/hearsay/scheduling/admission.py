"""Admission: how many requests are served at once, and how many may wait for each model.

Knows neither models nor HTTP. A request that finds no place is refused at once, while a refusal still costs
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hearsay.errors import Overloaded


class Admission:
    """Counts requests, those whose bodies are still being uploaded included; used on one event loop."""

    def __init__(self, *, max_requests: int = 256) -> None:
        self._max_requests = max_requests
        self._n_requests = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold a place for one request inside the context. Raises: `Overloaded` where there is none."""
        if self._n_requests >= self._max_requests:
            raise Overloaded(
                f"This server has {self._max_requests} requests in hand already; try again shortly."
            )
        self._n_requests += 1
        try:
            yield
        finally:
            self._n_requests -= 1
