"""Callers who go away or stop reading; the rest of this room is tested through the server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.types import Message

from hearsay.api.request.exchange import ClientDisconnected, Exchange
from hearsay.errors import Cancelled


async def never(*_: Message) -> Any:
    """Wait for a message that does not come, or to deliver one that is not taken."""
    await asyncio.Event().wait()


async def at_once(*_: Message) -> Any:
    """Hang up, or take a message, at once."""
    return {"type": "http.disconnect"}


def attend(exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(exchange.until_disconnect(work))


def test_a_caller_who_stops_reading_counts_as_gone() -> None:
    exchange = Exchange(never, never, patience=0.01)
    with pytest.raises(ClientDisconnected):
        attend(exchange, exchange.write(b"text"))
    assert exchange.gone()


def test_a_thread_that_notices_first_that_the_caller_has_gone_is_no_failure() -> None:
    exchange = Exchange(at_once, never)

    async def work() -> None:
        while not exchange.gone():
            await asyncio.sleep(0)
        raise Cancelled

    with pytest.raises(ClientDisconnected):
        attend(exchange, work())


def test_work_that_is_cancelled_for_another_reason_says_so() -> None:
    async def work() -> None:
        raise Cancelled

    with pytest.raises(Cancelled) as caught:
        attend(Exchange(never, never), work())
    assert type(caught.value) is Cancelled
