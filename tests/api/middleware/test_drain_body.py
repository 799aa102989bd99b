"""Early answers: the rest of the body is read, within bounds, after the answer and before its end."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from hearsay.api.middleware.drain_body import DrainBodyMiddleware
from tests.support.asgi import body_message, called, scope_of

PARTS = [body_message(b"x" * 100, more=True), body_message(b"x" * 100, more=True), body_message(b"x")]
CHUNKED = {"transfer-encoding": "chunked"}


class Early:
    """An app that reads some messages of the body, and answers in two pieces."""

    def __init__(self, n_read: int = 0) -> None:
        self.n_read = n_read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(self.n_read):
            await receive()
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no", "more_body": True})
        await send({"type": "http.response.body", "body": b"!", "more_body": False})


def bodies(sent: list[Message]) -> list[tuple[bytes, bool]]:
    return [(message["body"], message["more_body"]) for message in sent[1:]]


@pytest.mark.parametrize("headers", [CHUNKED, {"content-length": "201"}])
@pytest.mark.parametrize("n_read", [0, 1, 2])
def test_what_is_left_is_read_between_the_answer_and_its_end(headers: dict[str, str], n_read: int) -> None:
    parts = list(PARTS)
    sent = called(DrainBodyMiddleware(Early(n_read)), scope_of(headers=headers), parts)
    assert sent[0]["headers"] == [(b"connection", b"close")]
    assert bodies(sent) == [(b"no", True), (b"!", True), (b"", False)]


@pytest.mark.parametrize(
    ("headers", "n_read"),
    [(CHUNKED, 3), ({}, 0), ({"content-length": "0"}, 0)],
    ids=["read", "none", "empty"],
)
def test_nothing_changes_where_nothing_is_left(headers: dict[str, str], n_read: int) -> None:
    sent = called(DrainBodyMiddleware(Early(n_read)), scope_of(headers=headers), PARTS)
    assert sent[0]["headers"] == []
    assert bodies(sent) == [(b"no", True), (b"!", False)]


def test_no_more_is_read_than_the_limit() -> None:
    n_read = 0

    async def receive() -> Message:
        nonlocal n_read
        n_read += 1
        return body_message(b"x" * 100, more=True)

    async def send(message: Message) -> None:
        pass

    asyncio.run(DrainBodyMiddleware(Early(), max_bytes=1000)(scope_of(headers=CHUNKED), receive, send))
    assert n_read == 10


def test_a_client_that_sends_nothing_more_is_not_waited_for() -> None:
    sent = called(DrainBodyMiddleware(Early(), max_seconds=0.01), scope_of(headers=CHUNKED), PARTS[:1])
    assert bodies(sent)[-1] == (b"", False)


def test_websockets_have_no_body() -> None:
    sent = called(DrainBodyMiddleware(Early()), scope_of("websocket", headers=CHUNKED))
    assert bodies(sent) == [(b"no", True), (b"!", False)]
