"""What the tests of the vendors' clients share: recordings, servers in several moods, clients."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
import numpy as np
import pytest

from hearsay.api.app import Limits
from hearsay.domain import SAMPLE_RATE
from tests.compat import neighbours
from tests.compat.clients import ALL, Client, Process, Session, applies
from tests.compat.serving import Gate, Scene
from tests.support.server import serving

RIGHT_KEY = "sk-the-right-one"


@dataclass(frozen=True)
class Script:
    """What the fake engine hears in the recording."""

    slots: tuple[bool, ...] = (True, True, False, True, True, True)
    """Which half seconds are loud."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.slots) / 2

    @property
    def words(self) -> tuple[tuple[str, float, float], ...]:
        """Word, start, end."""
        return tuple((f"word{k}", k / 2, k / 2 + 0.5) for k, loud in enumerate(self.slots) if loud)

    @property
    def text(self) -> str:
        """Everything."""
        return " ".join(word for word, _, _ in self.words)

    @property
    def segments(self) -> tuple[str, ...]:
        """The text between silences."""
        return "word0 word1", "word3 word4 word5"

    def write(self, path: Path) -> Path:
        """Make a WAV file of it."""
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE)
        pcm = np.concatenate([tone * loud for loud in self.slots]) * 32767
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "not compressed"))
            file.writeframes(pcm.astype("<i2").tobytes())
        return path


RECORDING = Script()


@dataclass(frozen=True)
class Recorded:
    """Files to send."""

    path: Path
    url: str
    """Where a neighbour serves the same recording."""
    garbage: Path
    """Bytes that are no recording."""
    empty: Path
    huge: Path
    """More than the server accepts."""


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("recordings")
    path = RECORDING.write(folder / "speech.wav")
    garbage, empty, huge = folder / "garbage.wav", folder / "empty.wav", folder / "huge.wav"
    garbage.write_bytes(b"This is not a recording. " * 100)
    empty.write_bytes(b"")
    with huge.open("wb") as file:
        file.truncate(27 << 20)
    with neighbours.files({"/speech.wav": path}) as address:
        yield Recorded(path, f"{address}/speech.wav", garbage, empty, huge)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the fake engine that lets everybody in."""
    with serving(Scene(tmp_path_factory.mktemp("server")).app()) as found:
        yield found


@pytest.fixture(scope="session")
def breaking_address(address: str) -> str:
    """A server that has the models `breaks` and `breaks-later`."""
    return address


@pytest.fixture(scope="session")
def right_key() -> str:
    return RIGHT_KEY


@pytest.fixture(scope="session")
def locked_address(tmp_path_factory: pytest.TempPathFactory, right_key: str) -> Iterator[str]:
    """A server that wants a key."""
    with serving(Scene(tmp_path_factory.mktemp("locked"), key=right_key).app()) as found:
        yield found


@pytest.fixture(scope="session")
def pulsing_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a drowsy model that shows signs of life while it works."""
    folder = tmp_path_factory.mktemp("pulsing")
    with serving(Scene(folder, default="drowsy", limits=Limits(keepalive_seconds=0.005)).app()) as found:
        yield found


@dataclass(frozen=True)
class Busy:
    """A server whose only model is at work, with no room to wait."""

    address: str
    gate: Gate
    retry_after: float = 1.0
    """The least seconds that it tells callers to wait."""

    def let_go(self) -> Event:
        """Return the event that lets the work in progress end."""
        return self.gate.opened


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    gate = Gate()
    app = Scene(tmp_path_factory.mktemp("busy"), gate=gate, max_waiting=0, default="slow").app()
    with serving(app) as found:
        yield Busy(found, gate)


@pytest.fixture
def busy(slow: Busy, recorded: Recorded) -> Iterator[Busy]:
    """The slow server, given something to do until the test is over or lets it go."""
    slow.gate.close()
    statuses: list[int] = []

    def occupy() -> None:
        files = {"file": recorded.path.read_bytes()}
        url = f"{slow.address}/v1/audio/transcriptions"
        statuses.append(httpx.post(url, files=files, timeout=60, trust_env=False).status_code)

    thread = Thread(target=occupy)
    thread.start()
    assert slow.gate.reached.wait(timeout=30)
    yield slow
    slow.gate.opened.set()
    thread.join()
    assert statuses == [200]


OpenSession = Callable[..., Session]


@pytest.fixture(scope="session")
def open_session() -> Iterator[OpenSession]:
    """Open a client on an address; its process is started once and skipped for where it cannot run."""
    processes: dict[str, Process] = {}
    with ExitStack() as stack:

        def open_(client: Client, address: str, *, key: str = "test-key", is_async: bool = False) -> Session:
            if reason := client.absent():
                pytest.skip(f"{client}: {reason}")
            if client.name not in processes:
                processes[client.name] = Process(client)
                stack.callback(processes[client.name].close)
            return Session(processes[client.name], address, key, is_async)

        yield open_


KINDS = [(c, False) for c in ALL] + [(c, True) for c in ALL if c.is_async_capable]


"""Each client in each of its classes: whether it is the async one."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test with a `kind` by every one that `only` does not exclude."""
    if "kind" in metafunc.fixturenames:
        kinds = [kind for kind in KINDS if applies(metafunc.function, *kind)]
        ids = [f"{client}-async" if is_async else str(client) for client, is_async in kinds]
        metafunc.parametrize("kind", kinds, ids=ids)


@pytest.fixture
def session(kind: tuple[Client, bool], open_session: OpenSession, address: str) -> Session:
    return open_session(kind[0], address, is_async=kind[1])


@pytest.fixture
def session_to_breaking(
    kind: tuple[Client, bool], open_session: OpenSession, breaking_address: str
) -> Session:
    return open_session(kind[0], breaking_address, is_async=kind[1])


@pytest.fixture
def session_to_locked(kind: tuple[Client, bool], open_session: OpenSession, locked_address: str) -> Session:
    return open_session(kind[0], locked_address, key="sk-a-wrong-one", is_async=kind[1])


@pytest.fixture
def session_to_pulsing(kind: tuple[Client, bool], open_session: OpenSession, pulsing_address: str) -> Session:
    return open_session(kind[0], pulsing_address, is_async=kind[1])


@pytest.fixture
def session_to_busy(kind: tuple[Client, bool], open_session: OpenSession, busy: Busy) -> Session:
    return open_session(kind[0], busy.address, is_async=kind[1])
