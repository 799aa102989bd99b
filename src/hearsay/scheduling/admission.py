"""Admission: how many requests are served at once, wait for a model, and have their recordings decoded.

Knows neither models nor HTTP. A request that finds no place is refused at once, while a refusal still costs
nothing. For use on one event loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hearsay.errors import Overloaded


class Admission:
    """The limits of a server, and the requests that count towards them."""

    def __init__(self, *, max_requests: int = 256, max_waiting: int = 32, max_decoding: int = 64) -> None:
        """Set the limits.

        `max_requests`: requests being served, those included that are still being uploaded, so that bodies
        cannot fill the disk; `max_waiting`: requests that wait for a model beside the one that it serves;
        `max_decoding`: recordings that are being decoded or wait for that.
        """
        self._max_requests = max_requests
        self._max_waiting = max_waiting
        self._max_decoding = max_decoding
        self._n_requests = 0
        self._n_decoding = 0
        self._n_using: Counter[str] = Counter()

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

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Hold a place for decoding one recording. Raises: `Overloaded` where there is none."""
        if self._n_decoding >= self._max_decoding:
            raise Overloaded(f"{self._n_decoding} recordings are waiting to be decoded; try again shortly.")
        self._n_decoding += 1
        try:
            yield
        finally:
            self._n_decoding -= 1

    def enter_model(self, model: str, *, retry_after: float) -> None:
        """Take a place at a model for one request; `leave_model` gives it back.

        Raises: `Overloaded`, with the seconds after which to try again, where there is none.
        """
        if self._n_using[model] > self._max_waiting:
            raise Overloaded(
                f"{self._max_waiting} requests wait for {model} already; try again in {retry_after:.0f} s.",
                retry_after=retry_after,
            )
        self._n_using[model] += 1

    def leave_model(self, model: str) -> None:
        self._n_using[model] -= 1

    def n_using(self, model: str) -> int:
        """Return how many requests hold or await a model."""
        return self._n_using[model]
