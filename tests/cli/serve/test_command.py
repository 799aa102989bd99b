"""`hearsay serve`: a real process that answers as announced, ends cleanly, and refuses what is not safe."""

from __future__ import annotations

import json
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
from typing import IO, Any

import httpx
import pytest

from hearsay.cli.serve.banner import address, banner_text
from hearsay.cli.serve.command import bind, check_exposure, install_default, is_loopback
from hearsay.engines import registry
from hearsay.engines.hardware import GIB, Machine
from hearsay.engines.pocketsphinx import cards as pocketsphinx_cards
from hearsay.engines.whisper.recommendation import RECOMMENDATIONS
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.errors import ConfigurationError, ModelNotInstalled
from hearsay.media import decoding
from hearsay.models.catalogue import Catalogue
from hearsay.models.hub import Hub
from hearsay.settings import Settings
from tests.support import toy_whisper
from tests.support.local_hub import LocalHub, serving, toy_model

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
def started(environment: dict[str, str], *arguments: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "hearsay", "serve", *arguments]
    popen = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
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


@pytest.mark.slow
def test_a_fresh_server_serves_at_once_and_switches_over(environment: dict[str, str], tmp_path: Path) -> None:
    toy_whisper.write(tmp_path / "hf")
    convert(tmp_path / "hf", tmp_path / "converted")
    files = {path.name: path.read_bytes() for path in (tmp_path / "converted").iterdir()}
    suited = [
        card for card in registry.recognizer_cards() if card.id in {row.model for row in RECOMMENDATIONS}
    ]
    for name in ("HEARSAY_OFFLINE", "HEARSAY_MODEL", "HEARSAY_FAKE_ENGINE"):
        del environment[name]
    with serving(LocalHub({card.repository or "": files for card in suited})) as local:
        environment |= {"HEARSAY_HUB_ENDPOINT": local.address, "HF_HUB_CACHE": str(tmp_path / "hub")}
        with started(environment | {"HEARSAY_DEVICE": "cpu"}) as process:
            assert (
                f"Model: {pocketsphinx_cards.POCKETSPHINX}." in process.announced
                and "hearsay models pull" in process.announced
            )
            assert process.popen.stderr is not None
            log = [json.loads(line) for line in iter_until(process.popen.stderr, "switched over")]
            switched = log[-1]
            assert switched["before"] == pocketsphinx_cards.POCKETSPHINX
            assert switched["serving"] in {card.id for card in suited}
            said = httpx.get(f"{process.url}/ready", timeout=WAIT).json()
            assert said["model"] == switched["serving"] and switched["serving"] in said["loaded"]
            assert process.stop()[0] == 0


def iter_until(stream: IO[str], words: str) -> Iterator[str]:
    for line in stream:
        yield line
        if words in line:
            return
    raise AssertionError(f"{words!r} was never said")


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
        (("--model", "whisper-tiny"), 3, "hearsay models pull whisper-tiny"),
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


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("::1", "http://[::1]:1"),
        ("[::1]", "http://[::1]:1"),
        ("myhost", "http://myhost:1"),
    ],
)
def test_the_address_is_one_that_can_be_reached(host: str, url: str) -> None:
    assert address(host, 1) == url


def test_awkward_paths_are_quoted_in_the_examples() -> None:
    sample = Path('/a b/"q"/é.flac')
    text = banner_text("http://h:1", sample, needs_key=True, model="m", upgrade_hint="Get better.")
    curl = next(line for line in text.splitlines() if "curl" in line)
    assert f"file=@{sample}" in shlex.split(curl)
    speech, _, python = text.partition("from text to speech:")[2].partition("or in Python")
    script = "\n".join(line.strip() for line in python.splitlines()[1:])
    compile(script, "announcement", "exec")
    assert (
        '"/a b/\\"q\\"/é.flac"' in script
        and 'os.environ["HEARSAY_API_KEY"]' in script
        and "import os" in script
    )
    assert "Model: m. Get better." in text
    assert "Authorization: Bearer $HEARSAY_API_KEY" in shlex.split(speech)


# What goes on beside serving


@pytest.fixture
def local() -> Iterator[LocalHub]:
    with serving(LocalHub({BASE: toy_model(50_000)})) as hub:
        yield hub


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


def catalogue(tmp_path: Path, hub: Hub, **wanted: Any) -> Catalogue:
    machine = Machine(cores=2, memory_bytes=4 * GIB)
    return Catalogue(models_folder=tmp_path / "models", hub=hub, machine=machine, **wanted)


def test_a_named_default_is_downloaded_first(tmp_path: Path, local: LocalHub) -> None:
    models = catalogue(tmp_path, Hub(local.address, cache=tmp_path / "hub"), default="base")
    install_default(models)
    assert models.installed(models.card())
    install_default(models)
    offline = catalogue(tmp_path, Hub(local.address, allowed=False, cache=tmp_path / "hub"), default="tiny")
    with pytest.raises(ModelNotInstalled, match="cannot be downloaded now"):
        install_default(offline)
