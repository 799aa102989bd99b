"""The child's side: answers one request after the other, in frames, and ends when its parent hangs up."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hearsay.processes.protocol import (
    CANCEL,
    DATA,
    END,
    FAILED,
    MAX_PAYLOAD_BYTES,
    READY,
    REQUEST,
    SPENT,
    START,
    receive_frame,
    send_frame,
)
from hearsay.processes.supervisor import start_module
from tests.support.paths import ROOT


@contextmanager
def toy(**settings: str) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = start_module("tests.support.toy_runner", stdin=theirs.fileno())
        try:
            send_frame(ours, START, json.dumps(settings).encode())
            yield ours, process
        finally:
            process.kill()
            process.wait()


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def ask(channel: socket.socket, text: str) -> None:
    send_frame(channel, REQUEST, json.dumps({"text": text}).encode())


def answer(channel: socket.socket) -> list[tuple[bytes, int]]:
    """Return kind and length of each frame of a response."""
    frames = [receive_frame(channel)]
    while frames[-1].kind == DATA:
        frames.append(receive_frame(channel))
    return [(frame.kind, len(frame.payload)) for frame in frames]


def failure(channel: socket.socket) -> str:
    frame = receive_frame(channel)
    assert frame.kind == FAILED
    return frame.payload.decode()


def test_answers_in_blocks_and_ends_with_its_parent() -> None:
    with toy() as (channel, process):
        kind, about, _ = receive_frame(channel)
        assert (kind, json.loads(about)["sample_rate"]) == (READY, 8000)
        ask(channel, "ab c")
        assert answer(channel) == [(DATA, 4), (DATA, 2), (END, 1)]
        channel.shutdown(socket.SHUT_RDWR)
        assert process.wait(10) == 0


def test_a_long_block_goes_in_parts() -> None:
    with toy() as (channel, _):
        receive_frame(channel)
        ask(channel, "y" * 600_000)
        assert answer(channel) == [(DATA, MAX_PAYLOAD_BYTES), (DATA, 1_200_000 - MAX_PAYLOAD_BYTES), (END, 1)]


def test_a_cancellation_ends_its_request_and_no_other() -> None:
    with toy() as (channel, _):
        receive_frame(channel)
        ask(channel, "ENDLESS")
        assert receive_frame(channel).kind == DATA
        send_frame(channel, CANCEL)
        assert answer(channel)[-1] == (END, 1)
        send_frame(channel, CANCEL)  # too late
        ask(channel, "LONG LONG")
        assert answer(channel) == [(DATA, 200_000), (DATA, 200_000), (END, 1)]


def test_a_failure_says_why_and_a_spent_process_ends() -> None:
    with toy() as (channel, process):
        receive_frame(channel)
        ask(channel, "FAIL")
        assert failure(channel) == "It hurts."
        ask(channel, "SPEND")
        assert answer(channel)[-1][0] == SPENT
        assert process.wait(10) == 0
    with toy(refuse="No model.") as (channel, process):
        assert failure(channel) == "No model."
        assert process.wait(10) == 0


def test_imports_little() -> None:
    program = (
        "import sys, hearsay.processes.worker; sys.exit(not {'numpy', 'subprocess'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
