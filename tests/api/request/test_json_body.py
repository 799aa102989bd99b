"""JSON bodies: read within a limit, as objects only; written as every client parses them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from hearsay.api.request.json_body import JsonResponse, parse_document, read_document
from hearsay.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def read(*parts: bytes, max_bytes: int = 100_000, **headers: str) -> dict[str, Any]:
    named = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return asyncio.run(read_document(chunks(*parts), named, max_bytes=max_bytes))


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
def test_an_object_in_pieces(kind: str) -> None:
    assert read(b'{"a": [1,', b' "\xc3', b'\xa4"]}', content_type=kind) == {"a": [1, "ä"]}
    assert read(b'{"a": 1}') == {"a": 1}


def test_a_large_document_is_read_as_well() -> None:
    assert read(json.dumps({"a": "x" * 50_000}).encode()) == {"a": "x" * 50_000}


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "json", "text/x+json"])
def test_other_types(kind: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        read(b"{}", content_type=kind)


def test_the_limit_holds_for_what_is_declared_and_for_what_comes() -> None:
    assert read(b'{"a": 1}', max_bytes=8) == {"a": 1}
    for headers in ({"content_length": "9"}, {}):
        with pytest.raises(PayloadTooLarge, match="more than 7 bytes"):
            read(b'{"a"', b": 1}", max_bytes=7, **headers)


def test_a_body_that_pauses() -> None:
    async def pausing() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    with pytest.raises(InvalidRequest) as refused:
        asyncio.run(read_document(pausing(), Headers(), max_bytes=10, idle_seconds=0.01))
    assert refused.value.code == "request_timeout"


@pytest.mark.parametrize(
    "body", [b"", b" ", b"[]", b"1", b'{"a": NaN}', b'{"a": -Infinity}', b"\xff{}", b"{", b"{}{}"]
)
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_document(body)


def test_of_names_that_come_twice_the_last_counts() -> None:
    assert parse_document(b'\xef\xbb\xbf{"a": 1, "a": 2}') == {"a": 2}


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.integers()))
def test_what_is_written_is_read_again(body: dict[str, Any]) -> None:
    response = JsonResponse(body)
    assert response.headers["content-type"] == "application/json"
    assert parse_document(bytes(response.body)) == body
