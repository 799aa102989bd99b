"""Request bodies that are one JSON object, read as they arrive, within a limit.

Knows no field. Source: RFC 8259; NaN and Infinity, which Python would take, are no JSON.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from starlette.datastructures import Headers

from hearsay.api.request.multipart_form import with_idle_timeout
from hearsay.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

_IDLE_SECONDS = 60.0
"""How long a body may pause."""


_SMALL_BYTES = 16 << 10
"""Up to this size a document is read sooner than it is handed to a thread."""


async def read_document(
    chunks: AsyncIterator[bytes], headers: Headers, *, max_bytes: int, idle_seconds: float = _IDLE_SECONDS
) -> dict[str, Any]:
    """Read a body into an object; of names that come twice, the last one counts.

    Raises:
        UnsupportedMediaType: a body of another type, or compressed.
        PayloadTooLarge: over the limit, before the rest is read.
        InvalidRequest: what is no JSON, or no object.
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without a content encoding.")
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType("Send the request as a JSON object, with content type application/json.")
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    async for chunk in with_idle_timeout(chunks, idle_seconds):
        body += chunk
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    if len(body) <= _SMALL_BYTES:
        return parse_document(bytes(body))
    # In a thread: a large document takes long enough to read for other callers to notice.
    return await asyncio.to_thread(parse_document, bytes(body))


def parse_document(body: bytes) -> dict[str, Any]:
    """Read an object from its bytes. Raises: `InvalidRequest`."""
    if not body.strip():
        raise InvalidRequest("The body is empty; send the request as a JSON object.")
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON.") from error
    if not isinstance(found, dict):
        raise InvalidRequest("The JSON body must be an object.")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The body has more than {max_bytes} bytes, the most that this server accepts here."
    )
