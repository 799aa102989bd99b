"""HTTP uploads to a transcription server, with retries.

Knows neither which server it is nor what fields and responses mean.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from hearsay.client.http_errors import error_from_response, retry_delay
from hearsay.errors import EngineFailed, HearsayError

_CONNECT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits to the attempts for one request."""

    retries: int
    """Attempts after the first."""
    max_wait: float
    """Total delay between the attempts, seconds."""
    timeout: float
    """Read timeout, seconds."""


class Transport:
    """An HTTP client that posts one file at a time."""

    def __init__(
        self,
        headers: Mapping[str, str],
        policy: RetryPolicy,
        *,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[None]],
        note: Callable[[str], None],
    ) -> None:
        """Open a client; `note` receives a sentence about every delay.

        Raises: `EngineFailed` where the environment names a proxy of an unsupported kind.
        """
        self._policy, self._sleep, self._note = policy, sleep, note
        timeout = httpx.Timeout(policy.timeout, connect=_CONNECT_SECONDS)
        try:
            self._client = httpx.AsyncClient(headers=dict(headers), timeout=timeout, transport=transport)
        except (ImportError, ValueError) as error:
            text = f"The proxy that the environment names (HTTPS_PROXY, ALL_PROXY) cannot be used: {error}"
            raise EngineFailed(text, code="unreachable") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, url: str, form: Mapping[str, Any], name: str, content: Path | bytes) -> Any:
        """Post a form with one file and return the parsed JSON response.

        Raises: the error of the last attempt.
        """
        waited = 0.0
        for attempt in range(self._policy.retries + 1):
            result, delay = await self._try(url, form, name, content, attempt)
            if isinstance(result, httpx.Response):
                return _json(result)
            last = attempt == self._policy.retries
            if delay is None or last or waited + delay > self._policy.max_wait:
                raise result
            self._note(f"{result.message} Trying again in {delay:.0f} s.")
            await self._sleep(delay)
            waited += delay
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _try(
        self, url: str, form: Mapping[str, Any], name: str, content: Path | bytes, attempt: int
    ) -> tuple[httpx.Response | HearsayError, float | None]:
        """Post once; return the response, or the error and the delay before a retry (None: no retry)."""
        host = urlsplit(url).netloc
        try:
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as body:
                response = await self._client.post(url, data=form, files={"file": (name, body)})
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            backoff = retry_delay(None, attempt) if attempt == 0 else None
            reason = str(error) or type(error).__name__
            return EngineFailed(f"{host} cannot be reached: {reason}.", code="unreachable"), backoff
        except httpx.TimeoutException:
            text = f"{host} did not answer within {self._policy.timeout:.0f} s."
            return EngineFailed(text, code="timeout"), None
        except httpx.TransportError as error:
            text = f"The connection to {host} broke: {str(error) or type(error).__name__}."
            return EngineFailed(text, code="connection_broken"), retry_delay(None, attempt)
        if response.is_success:
            return response, None
        return error_from_response(response), retry_delay(response, attempt)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        kind = response.headers.get("content-type", "no type")
        raise EngineFailed(f"The server's answer is not JSON ({kind}): {response.text[:200]}") from error
