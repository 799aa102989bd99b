"""Fixtures for every test: a server with the fake engine, and the flag that renews golden files."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.golden import Golden
from tests.support import distribution

if TYPE_CHECKING:  # The whole server is imported by those tests only that use it.
    from tests.support.server import Running, Stage

os.environ["HEARSAY_DOWNLOADS"] = "off"
distribution.keep_to_own_cores()


@pytest.fixture(autouse=True, scope="session")
def only_this_machine() -> Iterator[None]:
    """Fail loudly where a test connects to another machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
            pytest.fail(f"a test tried to reach {address[0]}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# Machines that run these tests may be busy: being slow is no failure.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> distribution.ByModule:
    """Share tests out by module."""
    return distribution.ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest modules begin first."""
    items.sort(key=lambda item: distribution.rank(item.nodeid))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare bytes with a file in tests/golden."""
    return Golden(update=bool(request.config.getoption("--update-golden")))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return a server that is not yet started: change it, then `with stage.open() as server`."""
    from tests.support.server import Stage

    return Stage(tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve the fake engine without keys, shared by the tests of a module."""
    from tests.support.server import Stage

    with Stage(tmp_path_factory.mktemp("server")).open() as running:
        yield running
