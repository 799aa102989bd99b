"""What is fetched from callers' addresses and what is not, against a real server on this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.api.request.url_fetch import Fetcher, FetchPolicy, is_public
from hearsay.errors import FetchFailed, HearsayError, PayloadTooLarge

Respond = Callable[[BaseHTTPRequestHandler], None]
OPEN = FetchPolicy(max_bytes=10_000, timeout=10, allow_private=True)


@dataclass
class Origin:
    """A server whose answer each test chooses, and what it was asked."""

    port: int
    respond: Respond
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str = "/a.wav", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


def body(content: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return respond


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Origin]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, dict(self.headers.items())))
            served.respond(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
            httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
        served = Origin(httpd.server_port, body(b"sound"))
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            httpd.shutdown()
            thread.join()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as running:
        yield running


class Names:
    """A resolver that knows what a test says, and counts how often it was asked."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        if host not in self.answers:
            raise socket.gaierror("unknown")
        return self.answers[host]


def fetch(url: str, target: Path, policy: FetchPolicy = OPEN, names: Names | None = None) -> bytes:
    asyncio.run(Fetcher(policy, resolver=names or Names()).fetch(url, target))
    return target.read_bytes()


def refused(url: str, target: Path, policy: FetchPolicy = OPEN, names: Names | None = None) -> HearsayError:
    with pytest.raises((FetchFailed, PayloadTooLarge)) as error:
        fetch(url, target, policy, names)
    assert error.value.param == "url"
    return error.value


def test_a_recording(origin: Origin, tmp_path: Path) -> None:
    assert fetch(origin.url("/a%20b.wav?x=1#part"), tmp_path / "a") == b"sound"
    path, headers = origin.asked[0]
    assert path == "/a%20b.wav?x=1"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Host"] == f"127.0.0.1:{origin.port}"


def test_the_host_is_named_as_the_caller_did(origin: Origin, tmp_path: Path) -> None:
    names = Names(media_example=["127.0.0.1"])
    assert fetch(origin.url(host="media.example"), tmp_path / "a", names=names) == b"sound"
    assert origin.asked[0][1]["Host"] == f"media.example:{origin.port}"


def test_redirects_are_followed(origin: Origin, tmp_path: Path) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/a.wav":
            body(b"", status=302, headers={"Location": "b.wav?y=2"})(handler)
        else:
            body(b"there")(handler)

    origin.respond = respond
    assert fetch(origin.url(), tmp_path / "a") == b"there"
    assert [path for path, _ in origin.asked] == ["/a.wav", "/b.wav?y=2"]


def test_redirects_without_end(origin: Origin, tmp_path: Path) -> None:
    origin.respond = body(b"", status=307, headers={"Location": "/a.wav"})
    error = refused(origin.url(), tmp_path / "a", FetchPolicy(allow_private=True, max_redirects=3))
    assert "too often" in error.message
    assert len(origin.asked) == 4


@pytest.mark.parametrize(
    "location", ["", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[::1", "//user:pw@127.0.0.1/"]
)
def test_redirects_to_places_that_are_none(origin: Origin, tmp_path: Path, location: str) -> None:
    origin.respond = body(b"", status=301, headers={"Location": location})
    refused(origin.url(), tmp_path / "a")
    assert len(origin.asked) == 1


@pytest.fixture
def loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play that this machine is the public internet, so that something public can be fetched."""

    def judge(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return str(address) == "127.0.0.1" or is_public(address)

    monkeypatch.setattr("hearsay.api.request.url_fetch.is_public", judge)


@pytest.mark.usefixtures("loopback_is_public")
def test_a_redirect_into_the_private_network_is_refused(origin: Origin, tmp_path: Path) -> None:
    with serving() as private:
        origin.respond = body(b"", status=302, headers={"Location": private.url(host="inside.example")})
        names = Names(outside_example=["127.0.0.1"], inside_example=["10.0.0.7"])
        error = refused(origin.url(host="outside.example"), tmp_path / "a", FetchPolicy(timeout=10), names)
        assert error.code == "url_not_allowed"
        assert (len(origin.asked), len(private.asked)) == (1, 0)
        assert names.asked == ["outside.example", "inside.example"]


@pytest.mark.usefixtures("loopback_is_public")
def test_a_name_that_changes_its_mind_is_asked_once(origin: Origin, tmp_path: Path) -> None:
    """DNS rebinding: public when it is checked, private when it is connected to. There is no second time."""

    class Rebinding(Names):
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            found = await super().__call__(host, port)
            self.answers = {"rebind.example": ["10.0.0.1"]}
            return found

    names = Rebinding(rebind_example=["127.0.0.1"])
    assert fetch(origin.url(host="rebind.example"), tmp_path / "a", FetchPolicy(), names) == b"sound"
    assert names.asked == ["rebind.example"]
    assert (
        refused(origin.url(host="rebind.example"), tmp_path / "b", FetchPolicy(), names).code
        == "url_not_allowed"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1.2.3:8080/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://172.16.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://[ff02::1]/",
        "http://255.255.255.255/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://localhost.example/",
    ],
)
def test_addresses_inside_are_refused(url: str, tmp_path: Path) -> None:
    error = refused(url, tmp_path / "a", FetchPolicy(), Names(localhost_example=["127.0.0.1", "::1"]))
    assert error.code == "url_not_allowed"
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "file:///etc/passwd",
        "http://",
        "http:///a",
        "https://user:secret@93.184.216.34/",
        "http://93.184.216.34:22/",
        "http://[::1",
        "http://exa mple/",
        "http://nowhere.invalid/",
        "http://" + "a" * 300 + ".example/",
        "http://\x00/",
        "gopher://127.0.0.1:6379/_x",
        "http://93.184.216.34:99999/",
    ],
)
def test_addresses_that_are_none(url: str, tmp_path: Path) -> None:
    refused(url, tmp_path / "a", FetchPolicy())


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_judged_by_what_it_is(inner: ipaddress.IPv4Address) -> None:
    value = int(inner)
    for disguise in (0xFFFF << 32 | value, 0x64FF9B << 96 | value, 0x2002 << 112 | value << 80):
        assert is_public(ipaddress.IPv6Address(disguise)) == is_public(inner)


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("with_length", [True, False])
def test_too_large(origin: Origin, tmp_path: Path, with_length: bool) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if with_length:
            handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(b"x" * (1 if with_length else 20_000))

    origin.respond = respond
    assert isinstance(refused(origin.url(), tmp_path / "a"), PayloadTooLarge)


@pytest.mark.parametrize(
    "respond",
    [
        body(b"secret text", status=404),
        body(b"secret text", status=500),
        body(b"", status=200),
        body(b"", status=204),
        body(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
        body(b"short", headers={"Content-Length": "5000"}),
        lambda handler: handler.wfile.write(b"secret text\r\n\r\n"),
        lambda handler: handler.connection.close(),
    ],
)
def test_answers_that_are_no_recording(origin: Origin, tmp_path: Path, respond: Respond) -> None:
    origin.respond = respond
    assert "secret" not in refused(origin.url(), tmp_path / "a").message


def test_a_server_that_never_ends(origin: Origin, tmp_path: Path) -> None:
    done = threading.Event()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"x")
        handler.wfile.flush()
        assert done.wait(10)

    origin.respond = respond
    try:
        error = refused(origin.url(), tmp_path / "a", FetchPolicy(timeout=0.2, allow_private=True))
    finally:
        done.set()
    assert "0.2 seconds" in error.message


def test_the_system_is_asked_for_names(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address that it knows cannot be reached; the second can."""

    def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        if host != "media.example":
            raise socket.gaierror("unknown")
        kind = (socket.SOCK_STREAM, 6, "")
        return [
            (socket.AF_INET6, *kind, ("::1", port, 0, 0)),
            (socket.AF_INET, *kind, ("127.0.0.1", port)),
            (socket.AF_INET, *kind, ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    target = tmp_path / "a"
    asyncio.run(Fetcher(OPEN).fetch(origin.url(host="media.example"), target))
    assert target.read_bytes() == b"sound"
    with pytest.raises(FetchFailed, match="cannot be resolved"):
        asyncio.run(Fetcher(OPEN).fetch("http://other.example/", target))


@pytest.mark.usefixtures("loopback_is_public")
def test_only_the_public_addresses_of_a_name_are_asked(origin: Origin, tmp_path: Path) -> None:
    names = Names(mixed_example=["10.0.0.1", "127.0.0.1", "192.168.0.1"])
    assert fetch(origin.url(host="mixed.example"), tmp_path / "a", FetchPolicy(), names) == b"sound"


def test_nobody_is_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert isinstance(refused(f"http://127.0.0.1:{port}/", tmp_path / "a"), FetchFailed)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for media.example that has signed itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "media.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=media.example", "-addext", "subjectAltName=DNS:media.example"]
    command += ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_certificates_are_checked_against_the_name(origin: Origin, tmp_path: Path, certificate: Path) -> None:
    """The connection goes to an address, yet the certificate must be that of the name."""
    names = Names(media_example=["127.0.0.1"], other_example=["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(certificate) as secure:

        def get(host: str, tls: ssl.SSLContext | None) -> bytes:
            fetcher = Fetcher(OPEN, resolver=names, tls=tls)
            url = secure.url(host=host).replace("http:", "https:")
            asyncio.run(fetcher.fetch(url, tmp_path / "a"))
            return (tmp_path / "a").read_bytes()

        assert get("media.example", trusting) == b"sound"
        for host, tls in (("other.example", trusting), ("127.0.0.1", trusting), ("media.example", None)):
            with pytest.raises(FetchFailed):
                get(host, tls)
    assert len(secure.asked) == 1


def test_proxies_from_the_environment_are_not_used(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(origin.url(), tmp_path / "a") == b"sound"
