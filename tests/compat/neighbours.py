"""Two small servers beside ours: one hands out recordings by URL, one stands in front and keeps count.

Knows neither clients nor our server's insides; only the standard library, one thread a connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@contextmanager
def serving(respond: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server on a free loopback port and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), respond)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def files(by_path: Mapping[str, Path]) -> Iterator[str]:
    """Serve files under their paths; anything else is 404."""

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = by_path.get(urlsplit(self.path).path)
            body = path.read_bytes() if path else b"nothing here"
            self.send_response(200 if path else 404)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with serving(Files) as address:
        yield address


@dataclass(frozen=True)
class Exchange:
    """One request that passed and what was answered."""

    at: float
    """Seconds on the monotonic clock when the request had come in."""
    path: str
    headers: Mapping[str, str]
    """Of the request, names in lower case."""
    status: int


@contextmanager
def recorder(target: str, *, then: Mapping[int, threading.Event] | None = None) -> Iterator[Recording]:
    """Pass requests of known length on to `target`; after the n-th answer set the event `then[n]`."""
    exchanges: list[Exchange] = []
    upstream = urlsplit(target)

    class Record(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            at = time.monotonic()
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            connection = HTTPConnection(upstream.hostname or "", upstream.port)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            exchanges.append(Exchange(at, self.path, headers, answer.status))
            if then and (event := then.get(len(exchanges))):
                event.set()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = pass_on  # noqa: N815  the names that the base class looks for

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with serving(Record) as address:
        yield Recording(address, exchanges)


@dataclass(frozen=True)
class Recording:
    """Where the recorder listens and what it has seen."""

    address: str
    exchanges: list[Exchange]
