"""JSON bodies: of requests, one object read as it arrives, within a limit; of answers.

Knows no field. Source: RFC 8259; NaN and Infinity, which Python would take, are no JSON.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.responses import Response

from hearsay.api.request.exchange import collect, declared_length
from hearsay.dialects.rendering import encode_json
from hearsay.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

_IDLE_SECONDS = 60.0
"""How long a body may pause."""
_SMALL_BYTES = 16 << 10
"""Up to this size a document is parsed sooner than it is handed to a thread."""


class JsonResponse(Response):
    """An answer whose body is JSON."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return the bytes of a body."""
        return encode_json(content)


async def read_document(
    chunks: AsyncIterator[bytes], headers: Headers, *, max_bytes: int, idle_seconds: float = _IDLE_SECONDS
) -> dict[str, Any]:
    """Read a body into an object; of names that come twice, the last one counts.

    Raises:
        UnsupportedMediaType: a body of another type.
        PayloadTooLarge: over the limit, before the rest is read.
        InvalidRequest: what is no JSON, or no object.
    """
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType("Send the request as a JSON object, with content type application/json.")
    too_large = PayloadTooLarge(
        f"The body has more than {max_bytes} bytes, the most that this server accepts here."
    )
    if (declared_length(headers) or 0) > max_bytes:
        raise too_large
    body = await collect(chunks, max_bytes=max_bytes, idle_seconds=idle_seconds, too_large=too_large)
    if len(body) <= _SMALL_BYTES:
        return parse_document(body)
    # In a thread: a large document takes long enough to parse to hold up other requests.
    return await asyncio.to_thread(parse_document, body)


def parse_document(body: bytes) -> dict[str, Any]:
    """Parse an object. Raises: `InvalidRequest`."""
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
