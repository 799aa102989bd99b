"""The skeleton of endpoints that stream: admission, upload, keepalive, errors, disconnect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Scope

from hearsay.api.request.exchange import ClientDisconnected
from hearsay.api.request.streaming import StreamedResponse
from hearsay.dialects import DIALECTS
from hearsay.domain import RequestContext
from hearsay.errors import EngineFailed, Overloaded, UnsupportedMediaType
from hearsay.scheduling.admission import Admission
from tests.support.asgi import body_message, called, scope_of

BODY = [body_message(b"ab", more=True), body_message(b"c")]


class Toy(StreamedResponse):
    """Reads a body and answers with it, after doing what a test wants."""

    media_type = "text/plain"

    def __init__(
        self,
        first: Callable[[Toy], Coroutine[Any, Any, None]] | None = None,
        *,
        admission: Admission | None = None,
        keepalive_seconds: float = 20.0,
    ) -> None:
        super().__init__(admission or Admission(), keepalive_seconds=keepalive_seconds)
        self._first = first
        self.is_closed = False

    async def read(self, headers: Headers, resources: ExitStack) -> None:
        resources.callback(setattr, self, "is_closed", True)
        self.text = b"".join([chunk async for chunk in self.exchange.body()])

    async def work(self) -> None:
        assert not self.is_closed
        if self._first is not None:
            await self.with_keepalive(self._first(self))
        await self.start(("content-length", str(len(self.text))))
        await self.exchange.end(self.text)


def scope(**headers: str) -> Scope:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return scope_of(headers=named, state={"context": RequestContext("req_1"), "dialect": DIALECTS["openai"]})


def test_the_answer_and_its_head() -> None:
    toy = Toy()
    start, body = called(toy, scope(), BODY)
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"content-length", b"3")]
    assert (body["body"], body["more_body"]) == (b"abc", False)
    assert list(toy.trace.stages) == ["upload"]
    assert toy.is_closed


def test_an_event_stream_has_a_head_of_its_own() -> None:
    toy = Toy()
    toy.is_event_stream = True
    start, _ = called(toy, scope(), BODY)
    assert start["headers"] == [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


def test_no_place_no_upload() -> None:
    admission = Admission(max_requests=1)
    with admission.request(), pytest.raises(Overloaded):
        called(Toy(admission=admission), scope())
    assert len(called(Toy(admission=admission), scope(), BODY)) == 2


def test_compressed_bodies_are_refused() -> None:
    with pytest.raises(UnsupportedMediaType):
        called(Toy(), scope(content_encoding="gzip"))


async def pause(toy: Toy) -> None:
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("keepalive", [b"\n", b""])
def test_a_silent_answer_begins_early_where_something_may_be_sent(keepalive: bytes) -> None:
    toy = Toy(pause, keepalive_seconds=0.01)
    toy.keepalive = keepalive
    start, *early, last = called(toy, scope(), BODY)
    assert {message["body"] for message in early} == ({keepalive} if keepalive else set())
    assert ((b"content-length", b"3") in start["headers"]) is not bool(keepalive)
    assert last["body"] == b"abc"


async def fail_late(toy: Toy) -> None:
    await toy.start()
    raise EngineFailed


async def fail_early(toy: Toy) -> None:
    raise EngineFailed


def test_an_error_before_the_beginning_is_raised() -> None:
    toy = Toy(fail_early)
    toy.is_event_stream = True
    with pytest.raises(EngineFailed):
        called(toy, scope(), BODY)
    assert toy.is_closed


def test_an_error_in_an_event_stream_is_its_last_event() -> None:
    toy = Toy(fail_late)
    toy.is_event_stream = True
    _, last = called(toy, scope(), BODY)
    assert json.loads(last["body"].removeprefix(b"data: "))["error"]["code"] == "engine_failed"
    assert not last["more_body"]
    assert toy.trace.failure == "engine_failed"


def test_an_error_in_any_other_answer_is_raised() -> None:
    with pytest.raises(EngineFailed):
        called(Toy(fail_late), scope(), BODY)


def test_a_disconnect_ends_the_work() -> None:
    ended: list[bool] = []

    async def forever(toy: Toy) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(toy.context.is_cancelled())

    toy = Toy(forever)
    disconnect: Message = {"type": "http.disconnect"}
    with pytest.raises(ClientDisconnected):
        called(toy, scope(), [*BODY, disconnect])
    assert ended == [True]
    assert toy.is_closed


def test_a_disconnect_during_the_upload() -> None:
    toy = Toy()
    with pytest.raises(ClientDisconnected):
        called(toy, scope(), [BODY[0], {"type": "http.disconnect"}])
    assert toy.context.is_cancelled()
    assert toy.is_closed
