"""The child's side of a supervised process: requests come in, one at a time, and responses go out in blocks.

Does not know what is asked of it (a `RequestRunner` does), and imports little, so that a process starts
quickly. Standard input is the socket, so what a library prints cannot be taken for a response. The process
ends when its parent hangs up.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hearsay.processes.protocol import (
    DATA,
    END,
    FAILED,
    MAX_PAYLOAD_BYTES,
    READY,
    REQUEST,
    SPENT,
    RequestFailed,
    receive_frame,
    send_frame,
)

MAX_DESCRIPTORS = 2
"""File descriptors that may come with a request."""

Emit = Callable[[bytes | memoryview], bool]
"""Takes a block of the response; False means that no more of it is wanted."""


class RequestRunner:
    """What a child process does; made once, from the settings that its parent sent."""

    about: Mapping[str, Any] = {}
    """What the parent should know once all is loaded, in plain values."""
    is_spent: bool = False
    """Whether the process should end after this request, and another take its place."""

    def run(self, request: bytes, descriptors: Sequence[int], emit: Emit) -> bytes:
        """Fulfil a request and return its result, after all blocks. Raises `RequestFailed`."""
        raise NotImplementedError


def serve(load: Callable[[dict[str, Any]], RequestRunner]) -> None:
    """Run the child process until its parent hangs up; `load` may raise `RequestFailed`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as channel:
        try:
            _serve(channel, load)
        except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
            return


def _serve(channel: socket.socket, load: Callable[[dict[str, Any]], RequestRunner]) -> None:
    try:
        runner = load(json.loads(receive_frame(channel).payload))
    except RequestFailed as error:
        send_frame(channel, FAILED, str(error).encode())
        return
    send_frame(channel, READY, json.dumps(dict(runner.about)).encode())
    emit = _emitter(channel)
    kind = READY
    while kind != SPENT:
        frame = receive_frame(channel, max_descriptors=MAX_DESCRIPTORS)
        if frame.kind != REQUEST:  # a cancellation that came after the end
            continue
        try:
            result = runner.run(bytes(frame.payload), frame.descriptors, emit)
            kind = SPENT if runner.is_spent else END
        except RequestFailed as error:
            kind, result = FAILED, str(error).encode()
        send_frame(channel, kind, result)


def _emitter(channel: socket.socket) -> Emit:
    incoming = select.poll()
    incoming.register(channel, select.POLLIN)

    def emit(block: bytes | memoryview) -> bool:
        rest = memoryview(block)
        while rest:
            send_frame(channel, DATA, rest[:MAX_PAYLOAD_BYTES])
            rest = rest[MAX_PAYLOAD_BYTES:]
        # In the middle of a request the parent sends nothing but `CANCEL`, or hangs up; the loop reads it.
        return not incoming.poll(0)

    return emit
