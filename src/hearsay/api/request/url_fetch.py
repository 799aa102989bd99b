"""Recordings fetched from addresses in requests, without access to the private network of the server.

Knows neither forms nor audio. Every address, also of a redirect, is resolved once, all that it resolves to is
checked, and the connection goes to exactly the address that was checked. Source: OWASP, Server-Side Request
Forgery Prevention.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from hearsay.errors import FetchFailed, PayloadTooLarge

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the textual addresses of a host and port; raises OSError."""

_MEBIBYTE = 1 << 20
_CONNECT_SECONDS = 5.0
"""How long one of several addresses may take to be reached."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LOWEST_FREE_PORT, _HIGHEST_PORT = 1024, 65_535
_USER_AGENT = "hearsay"

_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in """
    0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.88.99.0/24 198.18.0.0/15
    64:ff9b:1::/48 100::/64 2001::/23 5f00::/16 fec0::/10
    """.split()  # noqa: SIM905
)
"""Special networks that `is_global` judges differently from one Python to the next (RFC 6890)."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched, and how much of it."""

    max_bytes: int = 100 * _MEBIBYTE
    timeout: float = 30.0
    """Seconds for everything together."""
    max_redirects: int = 5
    allow_private: bool = False
    """Whether addresses inside private, loopback and link-local networks may be fetched."""


def is_public(address: Address) -> bool:
    """Return whether an address, and any address hidden inside it, belongs to the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64 or compatible."""
    named = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
    if named:
        return named
    if address in _NAT64 or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class SystemResolver:
    """Resolves names by the system, in threads of its own: slow names must not hold up other work."""

    def __init__(self, n_threads: int = 4) -> None:
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="hearsay-names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses that `host` stands for. Raises OSError."""
        resolve = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, resolve)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Fetcher:
    """Fetches recordings under one policy."""

    def __init__(
        self,
        policy: FetchPolicy | None = None,
        *,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Fetch under `policy`; by default names are resolved and certificates trusted as the system does."""
        self._policy = policy or FetchPolicy()
        self._resolver = resolver or SystemResolver()
        self._tls = tls

    async def fetch(self, url: str, target: Path) -> None:
        """Fetch `url` into the file `target`.

        Raises:
            FetchFailed: refused by the policy, unreachable, too slow, or not a success.
            PayloadTooLarge: more bytes than the policy allows.
        """
        if self._tls is None:  # In a thread: reading all certificates takes long.
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)
        timeout = httpx.Timeout(self._policy.timeout, connect=_CONNECT_SECONDS)
        try:
            async with (
                asyncio.timeout(self._policy.timeout),
                httpx.AsyncClient(trust_env=False, verify=self._tls, timeout=timeout) as client,
            ):
                await self._follow(client, url, target)
        except TimeoutError as error:
            message = f"The url did not deliver the recording within {self._policy.timeout:g} seconds."
            raise FetchFailed(message) from error
        except httpx.TimeoutException as error:
            raise FetchFailed("The server of the url does not answer in time.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchFailed("The server of the url could not be reached, or broke off.") from error

    async def _follow(self, client: httpx.AsyncClient, text: str, target: Path) -> None:
        url = _parse(text)
        for _ in range(self._policy.max_redirects + 1):
            response = await self._open(client, url)
            try:
                if response.status_code not in _REDIRECTS:
                    await self._save(response, target)
                    return
                if not (location := response.headers.get("location")):
                    raise FetchFailed("The url redirects to nowhere.")
                url = _parse(location, url)
            finally:
                await response.aclose()
        raise FetchFailed("The url redirects too often.")

    async def _open(self, client: httpx.AsyncClient, url: httpx.URL) -> httpx.Response:
        """Open a url at the addresses of its host, in turn, until one can be reached."""
        addresses = await self._checked(url.host, url.port or (443 if url.scheme == "https" else 80))
        for address in addresses[:-1]:
            try:
                return await client.send(self._request(client, url, address), stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await client.send(self._request(client, url, addresses[-1]), stream=True)

    def _request(self, client: httpx.AsyncClient, url: httpx.URL, address: Address) -> httpx.Request:
        """Return a request that goes to a checked address only, yet names the host of the url."""
        return client.build_request(
            "GET",
            url.copy_with(host=str(address), fragment=None),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "User-Agent": _USER_AGENT,
            },
            extensions={"sni_hostname": url.raw_host.decode("ascii").strip("[]")},
        )

    async def _checked(self, host: str, port: int) -> list[Address]:
        if port not in (80, 443) and not _LOWEST_FREE_PORT <= port <= _HIGHEST_PORT:
            raise FetchFailed("The url names a port that recordings are not fetched from.")
        try:
            found = await self._resolver(host, port)
            addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
        except (OSError, ValueError) as error:
            raise FetchFailed("The host name of the url cannot be resolved.") from error
        allowed = [each for each in addresses if self._policy.allow_private or is_public(each)]
        if not allowed:
            message = "The url leads to an address that this server does not fetch from."
            raise FetchFailed(message, code="url_not_allowed")
        return allowed

    async def _save(self, response: httpx.Response, target: Path) -> None:
        if response.status_code != 200:
            raise FetchFailed(f"The server of the url answered with status {response.status_code}.")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise FetchFailed("The server of the url insists on compressing the recording in transit.")
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._policy.max_bytes:
            raise self._too_large()
        n_bytes = 0
        with target.open("wb") as file:
            async for chunk in response.aiter_raw():
                n_bytes += len(chunk)
                if n_bytes > self._policy.max_bytes:
                    raise self._too_large()
                file.write(chunk)
        if n_bytes == 0:
            raise FetchFailed("The url leads to an empty file.")

    def _too_large(self) -> PayloadTooLarge:
        size = self._policy.max_bytes / _MEBIBYTE
        return PayloadTooLarge(
            f"The url leads to more than {size:g} MB, the most that is fetched.", param="url"
        )


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Parse a url, or what `base` redirects to. Raises: `FetchFailed` for one that is not fetched."""
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, ValueError) as error:
        message = (
            "The url is not valid." if base is None else "The url redirects to an address that is not valid."
        )
        raise FetchFailed(message) from error
    if url.scheme not in ("http", "https"):
        raise FetchFailed("Only http and https addresses are fetched.", code="url_not_allowed")
    if not url.host:
        raise FetchFailed("The url names no host.")
    if url.userinfo:
        raise FetchFailed("An address with a user name or password is not fetched.", code="url_not_allowed")
    return url
