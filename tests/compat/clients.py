"""The eight clients of the contract as processes that do one job at a time, and what each of them can do.

Knows no test: a job is a dictionary that the drivers in `drivers/` and `js/` understand. Versions are pinned
in requirements/, js/package-lock.json and, for those in the project's own environment, in its requirements.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.compat.setup import CLIENTS, JS, python_of

Test = TypeVar("Test", bound=Callable[..., Any])

ROOT = CLIENTS.parent

FOREIGN = ("OPENAI_", "GROQ_", "TOGETHER_")
"""How variables begin that would tell a client where to go and as whom."""

QUIET = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "TOGETHER_NO_BANNER": "1"}

NO_CERTIFICATES = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": str(Path(__file__).parent)}
"""Nothing here is encrypted, and to read all authorities takes longer than most calls of a new client."""

TIME_LIMIT = 60.0
"""Seconds that a client may take for one request before it gives up."""


@dataclass(frozen=True)
class Client:
    """One vendor's client in one version, and the ways in which it differs from the others."""

    name: str
    vendor: str
    prefix: str
    """What the user appends to the server's address to make the base URL."""
    wrong_prefixes: tuple[str, ...]
    """Other base URLs that users have been seen to set, and that must work as well."""
    files: tuple[str, ...]
    """Every form of local file that the client takes."""
    url: str
    """How a URL is given: by the argument `url`, a nameless tuple (`text`), a string (`str`), or never."""
    formats: tuple[str, ...] = ("json", "verbose_json")
    """Response formats that the client documents, or that work in it."""
    streams: bool = False
    language: str = "python"
    environment: str = ""
    """Name of the environment in `.compat` that holds it; empty for the project's own."""
    retries: bool = True
    """Whether it honours `x-should-retry` and retries the usual statuses twice."""

    def __str__(self) -> str:
        return self.name

    @property
    def is_async_capable(self) -> bool:
        """Whether it has a second, async class."""
        return self.language == "python"

    def command(self) -> list[str]:
        """Return the command line of its driver."""
        if self.language == "js":
            return [shutil.which("node") or "node", str(JS / "driver.mjs"), self.vendor]
        python = str(python_of(self.environment)) if self.environment else sys.executable
        driver = "together_v1" if self.name == "together-py-1" else "generated"
        return [python, "-m", f"tests.compat.drivers.{driver}", self.vendor]

    def absent(self) -> str | None:
        """Return why it cannot be run on this machine, or None."""
        group = "js" if self.language == "js" else self.environment
        if not group or (CLIENTS / f"{group}.stamp").exists():
            return None
        reason = CLIENTS / f"{group}.absent"
        return reason.read_text() if reason.exists() else "not set up: run `make compat`"


PYTHON_FILES = ("path", "open", "bytes", "bytesio", "tuple", "typed_tuple")
JS_FILES = ("stream", "file", "blob", "buffer", "response")
ALL_FORMATS = ("json", "verbose_json", "text", "srt", "vtt")

PLAIN_FORMATS = ("json", "verbose_json", "text")

ALL = (
    Client(
        "openai-py", "openai", "/v1", ("/openai/v1", "/v1/v1", "/v1/"), (*PYTHON_FILES, "nameless"), "text",
        formats=ALL_FORMATS, streams=True,
    ),
    Client(
        "openai-js", "openai", "/v1", ("/openai/v1", "/v1/"), JS_FILES, "",
        formats=ALL_FORMATS, streams=True, language="js",
    ),
    Client("groq-py", "groq", "", ("/openai/v1", "/"), PYTHON_FILES, "url", formats=PLAIN_FORMATS),
    Client("groq-js", "groq", "", ("/openai/v1",), JS_FILES, "url", formats=PLAIN_FORMATS, language="js"),
    Client(
        "together-py-1", "together", "/v1", ("/v1/",), ("path", "path_str", "open"), "str",
        environment="together1", retries=False,
    ),
    Client(
        "together-py-2", "together", "/v1", ("/openai/v1",), PYTHON_FILES, "text",
        formats=PLAIN_FORMATS, environment="together2",
    ),
    Client("together-py-3", "together", "", ("/v1", "/"), PYTHON_FILES, "text", formats=PLAIN_FORMATS),
    Client(
        "together-js", "together", "/v1", ("/v1/",), JS_FILES, "str", formats=PLAIN_FORMATS, language="js"
    ),
)  # fmt: skip


Condition = Callable[[Client], bool]
_CONDITIONS: dict[Callable[..., Any], tuple[Condition, Condition]] = {}


def always(_: Client) -> bool:
    """Accept every client."""
    return True


def only(condition: Condition, *, if_async: Condition = always) -> Callable[[Test], Test]:
    """Keep a test to the clients for which it means something; async classes must meet both conditions."""

    def keep(test: Test) -> Test:
        _CONDITIONS[test] = (condition, if_async)
        return test

    return keep


def applies(test: Callable[..., Any], client: Client, is_async: bool) -> bool:
    """Return whether a test is for a client."""
    condition, if_async = _CONDITIONS.get(test, (always, always))
    return condition(client) and (not is_async or if_async(client))


class Process:
    """A running driver; one job at a time."""

    def __init__(self, client: Client) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        environment |= QUIET | NO_CERTIFICATES
        self.client = client
        self._process = subprocess.Popen(
            client.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        """Send a job and wait for its outcome."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the driver of {self.client} ended with {self._process.wait()}"
        outcome: dict[str, Any] = json.loads(line)
        return outcome

    def close(self) -> None:
        """End the driver by closing its input."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


@dataclass(frozen=True)
class Session:
    """A client that talks to one server with one key."""

    process: Process
    address: str
    """`http://host:port` of the server."""
    key: str = "test-key"
    is_async: bool = False

    @property
    def client(self) -> Client:
        """The client that is driven."""
        return self.process.client

    def call(
        self,
        call: str,
        *,
        file: Path | str | None = None,
        how: str | None = None,
        prefix: str | None = None,
        retries: int = 0,
        arguments: dict[str, Any] | None = None,
        **job: Any,
    ) -> dict[str, Any]:
        """Do one call; `file` is a path, or a URL where `how` is `text` or `str`; the rest joins the job."""
        base = self.address + (self.client.prefix if prefix is None else prefix)
        job |= {"call": call, "client": self._options(base, retries), "async": self.is_async}
        job["arguments"] = arguments or {}
        if file is not None:
            form = how or self.client.files[0]
            job["file"] = {"as": form, "url" if form in ("text", "str") else "path": str(file)}
        return self.process.do(job)

    def _options(self, base: str, retries: int) -> dict[str, Any]:
        if self.client.language == "js":
            return {"baseURL": base, "apiKey": self.key, "maxRetries": retries, "timeout": TIME_LIMIT * 1000}
        return {"base_url": base, "api_key": self.key, "max_retries": retries, "timeout": TIME_LIMIT}
