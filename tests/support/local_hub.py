"""A model hub on this machine for tests: what pulling asks for, with interruptions and damage on demand.

Knows no model; it serves whatever files it is given. Follows the hub's `api/models` and `resolve` endpoints.
"""

from __future__ import annotations

import hashlib
import json
import random
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"


def toy_model(n_bytes: int = 700_000, multilingual: bool = True) -> dict[str, bytes]:
    """Make files that look like a CTranslate2 Whisper from outside; no engine could load them."""
    name = b"WhisperSpec\0"
    head = struct.pack("<IH", 6, len(name)) + name
    tokens = [
        "!",
        "" if multilingual else "x",
        "<|startoftranscript|>",
        "<|en|>",
        "<|de|>",
        "<|haw|>",
        "<|translate|>",
    ]
    return {
        "config.json": b'{"alignment_heads": [[0, 0]]}',
        "model.bin": head + random.Random(0).randbytes(n_bytes),
        "tokenizer.json": b"{}",
        "vocabulary.json": json.dumps(tokens).encode(),
        "README.md": b"# not wanted",
    }


def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass
class LocalHub:
    """What the hub serves, what it does wrong, and what it was asked."""

    files: dict[str, dict[str, bytes]]
    """Repository -> file name -> contents; those over 1 kB are listed with a SHA-256, as large files are."""
    address: str = ""
    break_after: int | None = None
    """The next answer with more bytes than this is cut off there, once."""
    stall_after: int | None = None
    """The next answer with more bytes than this stops there and waits until the hub is closed, once."""
    broken_answers: int = 0
    """So many answers with contents are cut off at once, before the first byte."""
    corrupt: set[str] = field(default_factory=set)
    """Files that arrive with one wrong byte."""
    ignore_ranges: bool = False
    status: int | None = None
    """Answer everything with this."""
    token: str | None = None
    """Required of callers."""
    redirect_to: str | None = None
    """Address of a content server that `resolve` sends callers to."""
    closing: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def ranges(self, name: str = "model.bin") -> list[str | None]:
        """Return the Range headers of all requests for a file."""
        return [
            headers.get("range")
            for method, path, headers in self.requests
            if path.endswith(name) and method == "GET"
        ]


@contextmanager
def serving(hub: LocalHub, certificate: Path | None = None, key: Path | None = None) -> Iterator[LocalHub]:
    """Serve on a free port of this machine; with a certificate, over TLS."""

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            self.answer(*self.found())

        def found(self) -> tuple[int, bytes]:
            path = unquote(urlsplit(self.path).path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            hub.requests.append((self.command, path, headers))
            if hub.status is not None:
                return hub.status, b"no"
            if hub.token and headers.get("authorization") != f"Bearer {hub.token}":
                return 401, b"no"
            if path == "/api/models":
                return 200, b"[]"
            for repository, files in hub.files.items():
                if path == f"/api/models/{repository}":
                    return 200, json.dumps(listing(repository, files)).encode()
                prefix = f"/{repository}/resolve/{REVISION}/"
                if path.startswith(prefix) and path.removeprefix(prefix) in files:
                    return self.contents(path, path.removeprefix(prefix), files)
            return 404, b"no"

        def contents(self, path: str, name: str, files: dict[str, bytes]) -> tuple[int, bytes]:
            if hub.redirect_to is not None:
                return 302, (hub.redirect_to + path).encode()
            data = files[name]
            if name in hub.corrupt:
                data = bytes([data[0] ^ 1]) + data[1:]
            begin, status = 0, 200
            if (wanted := self.headers.get("Range")) and not hub.ignore_ranges:
                begin, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
                if begin >= len(data):
                    return 416, b""
            return status, data[begin:]

        def answer(self, status: int, data: bytes) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", data.decode())
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                return
            large = len(data) > 1000
            if large and hub.broken_answers > 0:
                hub.broken_answers -= 1
                self.close_connection = True
                return
            if large and hub.break_after is not None and len(data) > hub.break_after:
                data, hub.break_after = data[: hub.break_after], None
                self.close_connection = True
            if large and hub.stall_after is not None and len(data) > hub.stall_after:
                self.wfile.write(data[: hub.stall_after])
                hub.stall_after = None
                hub.closing.wait()
                self.close_connection = True
                return
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    hub.address = f"http{'s' * (certificate is not None)}://127.0.0.1:{server.server_address[1]}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # refused
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def listing(repository: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Describe a repository as the hub does."""
    return {
        "id": repository,
        "sha": REVISION,
        "siblings": [
            {"rfilename": name, "size": len(data), "blobId": git_id(data)}
            | (
                {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
                if len(data) > 1000
                else {}
            )
            for name, data in files.items()
        ],
    }
