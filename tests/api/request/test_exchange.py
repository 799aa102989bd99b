"""Clients that disconnect or stop reading; the rest is tested through the server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.types import Message

from hearsay.api.request.exchange import ClientDisconnected, Exchange
from hearsay.domain import RequestContext
from hearsay.errors import Cancelled


async def never(*_: Message) -> Any:
    """Wait for a message that does not come, or to deliver one that is not taken."""
    await asyncio.Event().wait()


async def at_once(*_: Message) -> Any:
    """Disconnect, or take a message, at once."""
    return {"type": "http.disconnect"}


def attend(exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(exchange.until_disconnect(work))


def test_a_client_that_stops_reading_counts_as_disconnected() -> None:
    context = RequestContext("req_1")
    exchange = Exchange(context, never, never, send_timeout=0.01)
    with pytest.raises(ClientDisconnected):
        attend(exchange, exchange.write(b"text"))
    assert context.is_cancelled()


def test_a_thread_that_notices_the_disconnect_first_is_no_failure() -> None:
    context = RequestContext("req_1")
    exchange = Exchange(context, at_once, never)

    async def work() -> None:
        while not context.is_cancelled():
            await asyncio.sleep(0)
        raise Cancelled

    with pytest.raises(ClientDisconnected):
        attend(exchange, work())


def test_work_that_is_cancelled_for_another_reason_says_so() -> None:
    async def work() -> None:
        raise Cancelled

    with pytest.raises(Cancelled) as caught:
        attend(Exchange(RequestContext("req_1"), never, never), work())
    assert type(caught.value) is Cancelled
