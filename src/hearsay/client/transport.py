"""Uploads to a transcription server, sent again while that may help.

Knows neither which server it is nor what the fields and answers mean.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from hearsay.client.http_errors import failure, pause
from hearsay.errors import EngineFailed, HearsayError

_CONNECT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to give up."""

    retries: int
    """New tries of one request."""
    waiting: float
    """Seconds that the tries of one request may wait altogether."""
    timeout: float
    """Seconds that the server may take to answer."""


class Transport:
    """A connection to a server."""

    def __init__(
        self,
        headers: Mapping[str, str],
        patience: RetryPolicy,
        *,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[None]],
        note: Callable[[str], None],
    ) -> None:
        """Prepare to send; `note` is told about every wait.

        Raises: `EngineFailed` where the environment names a proxy of a kind that is not supported.
        """
        self._patience, self._sleep, self._note = patience, sleep, note
        timeout = httpx.Timeout(patience.timeout, connect=_CONNECT_SECONDS)
        try:
            self._client = httpx.AsyncClient(headers=dict(headers), timeout=timeout, transport=transport)
        except (ImportError, ValueError) as error:
            text = f"The proxy that the environment names (HTTPS_PROXY, ALL_PROXY) cannot be used: {error}"
            raise EngineFailed(text, code="unreachable") from error

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def post(self, url: str, form: Mapping[str, Any], name: str, content: Path | bytes) -> Any:
        """Send a form with one file and give the JSON answer.

        Raises: the last failure, with the server's words.
        """
        waited = 0.0
        for attempt in range(self._patience.retries + 1):
            answer, wait = await self._try(url, form, name, content, attempt)
            if isinstance(answer, httpx.Response):
                return _json(answer)
            last = attempt == self._patience.retries
            if wait is None or last or waited + wait > self._patience.waiting:
                raise answer
            self._note(f"{answer.message} Trying again in {wait:.0f} s.")
            await self._sleep(wait)
            waited += wait
        raise AssertionError("unreachable: the last try returns or raises")

    async def _try(
        self, url: str, form: Mapping[str, Any], name: str, content: Path | bytes, attempt: int
    ) -> tuple[httpx.Response | HearsayError, float | None]:
        """Send once; give the answer, or the failure and the seconds to wait before the next try, if any."""
        host = urlsplit(url).netloc
        try:
            with _opened(content) as body:
                response = await self._client.post(url, data=form, files={"file": (name, body)})
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            backoff = pause(None, attempt) if attempt == 0 else None
            reason = str(error) or type(error).__name__
            return EngineFailed(f"{host} cannot be reached: {reason}.", code="unreachable"), backoff
        except httpx.TimeoutException:
            text = f"{host} did not answer within {self._patience.timeout:.0f} s."
            return EngineFailed(text, code="timeout"), None
        except httpx.TransportError as error:
            text = f"The connection to {host} broke: {error or type(error).__name__}."
            return EngineFailed(text, code="connection_broken"), pause(None, attempt)
        if response.is_success:
            return response, None
        return failure(response), pause(response, attempt)


def _opened(content: Path | bytes) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        kind = response.headers.get("content-type", "no type")
        raise EngineFailed(f"The server's answer is not JSON ({kind}): {response.text[:200]}") from error
