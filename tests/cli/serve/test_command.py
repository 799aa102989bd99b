"""`hearsay serve`: a real process that answers as announced, ends cleanly, and refuses what is not safe."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import pytest

from hearsay.cli.serve.command import bind, check_exposure, is_loopback
from hearsay.engines import registry
from hearsay.engines.whisper.recommendation import RECOMMENDATIONS
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import ConfigurationError
from hearsay.media import decoding
from hearsay.settings import Settings
from tests.support import toy_whisper
from tests.support.local_hub import LocalHub, serving

WAIT = 60.0
BASE = "Systran/faster-whisper-base"


@dataclass
class Process:
    """A server process and its output."""

    popen: subprocess.Popen[str]
    announced: str

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.announced)
        assert found, self.announced
        return found[0]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.popen.send_signal(how)
        _, said = self.popen.communicate(timeout=WAIT)
        return self.popen.returncode, said


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(tmp_path),
        "HEARSAY_FAKE_ENGINE": "on",
        "HEARSAY_MODEL": "fake",
        "HEARSAY_OFFLINE": "on",
        "HEARSAY_PORT": "0",
    }


@contextmanager
def started(environment: dict[str, str], *arguments: str, stderr: int = subprocess.PIPE) -> Iterator[Process]:
    command = [sys.executable, "-m", "hearsay", "serve", *arguments]
    popen = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        assert popen.stdout is not None
        lines = []
        for line in popen.stdout:
            lines.append(line)
            if "print(" in line:
                break
        yield Process(popen, "".join(lines))
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.communicate()


def refused(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "hearsay", "serve", *arguments]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=WAIT, check=False
    )
    return result.returncode, result.stderr


@pytest.mark.slow
def test_what_is_printed_works_as_printed(environment: dict[str, str], tmp_path: Path) -> None:
    with started(environment) as process:
        assert "Model: fake" in process.announced
        said = httpx.get(f"{process.url}/ready", timeout=WAIT).json()
        assert said["model"] == "fake"
        curl = next(line.strip() for line in process.announced.splitlines() if line.startswith("  curl"))
        if shutil.which("curl"):
            result = subprocess.run(
                shlex.split(curl), capture_output=True, text=True, check=True, timeout=WAIT
            )
            assert "word0" in result.stdout
            speech = process.announced.partition("from text to speech:")[2].partition("or in Python")[0]
            subprocess.run(["bash", "-ec", speech], check=True, timeout=WAIT, cwd=tmp_path)
            assert decoding.load(tmp_path / "hello.mp3").duration > 1
        python = process.announced.partition("or in Python")[2]
        script = "\n".join(line.removeprefix("  ") for line in python.splitlines()[1:])
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            text=True,
            check=True,
            timeout=WAIT,
            env={"PATH": environment["PATH"], "HOME": str(tmp_path)},
        )
        assert "word0" in result.stdout
        status, log = process.stop()
        assert status == 0, log
        assert '"event": "model loaded"' in log


@pytest.mark.slow
def test_an_interrupt_ends_it_cleanly_and_keys_are_announced(environment: dict[str, str]) -> None:
    with started(environment | {"HEARSAY_API_KEY": "secret", "HEARSAY_LOG_FORMAT": "console"}) as process:
        assert "$HEARSAY_API_KEY" in process.announced and "secret" not in process.announced
        assert httpx.get(f"{process.url}/v1/models", timeout=WAIT).status_code == 401
        allowed = httpx.get(
            f"{process.url}/v1/models", headers={"Authorization": "Bearer secret"}, timeout=WAIT
        )
        assert allowed.status_code == 200
        status, log = process.stop(signal.SIGINT)
        assert status == 0 and "Traceback" not in log and "secret" not in log


@pytest.fixture
def fresh(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a first start, with a hub that has the models that are recommended."""
    toy_whisper.write(tmp_path / "hf")
    convert(tmp_path / "hf", tmp_path / "converted")
    files = {path.name: path.read_bytes() for path in (tmp_path / "converted").iterdir()}
    suited = {row.model for row in RECOMMENDATIONS}
    repositories = [card.repository or "" for card in registry.recognizer_cards() if card.id in suited]
    for name in ("HEARSAY_OFFLINE", "HEARSAY_MODEL", "HEARSAY_FAKE_ENGINE"):
        del environment[name]
    with serving(LocalHub(dict.fromkeys(repositories, files))) as local:
        hub = {"HEARSAY_HUB_ENDPOINT": local.address, "HF_HUB_CACHE": str(tmp_path / "hub")}
        yield environment | hub | {"HEARSAY_DEVICE": "cpu"}


@pytest.mark.slow
def test_a_fresh_server_listens_and_pulls_its_model(fresh: dict[str, str]) -> None:
    with started(fresh) as process:
        assert "Nothing is transcribed yet: a model is being downloaded." in process.announced
        assert process.popen.stderr is not None
        assert is_said(process.popen.stderr, "model loaded", '"model": "whisper-')
        said = httpx.get(f"{process.url}/ready", timeout=WAIT).json()
        assert said["status"] == "ready" and said["model"].startswith("whisper-")
        assert process.stop()[0] == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_the_model_is_there_before_the_server_begins(fresh: dict[str, str]) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", 0) as screen, started(fresh, stderr=theirs) as process:
        os.close(theirs)
        assert re.search(r"^Model: whisper-", process.announced, re.MULTILINE)
        seen = screen.read(100_000).decode()
        assert "Downloading whisper-" in seen and "MB" in seen
        process.popen.terminate()
        while process.popen.poll() is None:
            with contextlib.suppress(OSError):  # what a terminal says when the other end is closed
                screen.read(100_000)
        assert process.popen.returncode == 0


def is_said(stream: IO[str], *words: str) -> bool:
    """Read up to a line with all of these words."""
    return any(all(word in line for word in words) for line in stream)


@pytest.mark.slow
def test_without_weights_it_starts_and_says_what_helps(environment: dict[str, str]) -> None:
    with started(environment | {"HEARSAY_MODEL": "whisper-tiny"}) as process:
        helps = "`hearsay models pull whisper-tiny` installs it."
        assert f"Nothing is transcribed yet: The model `whisper-tiny` is not installed. {helps}" in (
            process.announced
        )
        assert httpx.get(f"{process.url}/health", timeout=WAIT).status_code == 200
        said = httpx.get(f"{process.url}/ready", timeout=WAIT)
        assert said.status_code == 503 and helps in said.json()["error"]["message"]
        assert process.stop()[0] == 0


@pytest.mark.slow
def test_a_taken_port_is_an_error_in_a_sentence(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = refused(environment, "--port", str(port))
    assert status == 2
    assert f"Cannot listen on 127.0.0.1 port {port}: another program listens there already" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_other_machines_are_let_in_only_on_purpose(environment: dict[str, str]) -> None:
    status, said = refused(environment, "--host", "0.0.0.0")
    assert status == 2 and "hearsay keys add" in said and "--allow-anonymous" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--model", "whisper-larg"), 2, "Did you mean"),
        (("--models", "nofolder"), 2, "NAME=VALUE"),
        (("--models", "mine=/nowhere"), 2, "no such folder"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    environment: dict[str, str], arguments: tuple[str, ...], status: int, message: str
) -> None:
    found, said = refused(environment, *arguments)
    assert found == status and message in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", "")),
    ],
)
def test_only_loopback_is_open_without_keys(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    settings = Settings(host=host)
    check_exposure(settings, has_keys=True)
    check_exposure(settings.model_copy(update={"allow_anonymous": True}), has_keys=False)
    if loopback:
        check_exposure(settings, has_keys=False)
    else:
        with pytest.raises(ConfigurationError, match="no API keys"):
            check_exposure(settings, has_keys=False)


@pytest.mark.parametrize("host", ["203.0.113.77", "not a host name"])
def test_addresses_that_are_not_ours_are_explained(host: str) -> None:
    with pytest.raises(ConfigurationError, match="Cannot listen on"):
        bind(host, 0)


def test_listens_on_a_free_port() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0
