"""Frames over a socket: whole ones are received, however they were cut, and open files come along."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.processes.protocol import DATA, END, HEADER, REQUEST, receive_frame, send_frame

FRAMES = st.lists(st.tuples(st.sampled_from([DATA, END, REQUEST]), st.binary(max_size=300)), max_size=8)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@given(FRAMES, st.integers(1, 400))
def test_frames_are_received_wherever_they_were_cut(sent: list[tuple[bytes, bytes]], n_bytes: int) -> None:
    data = b"".join(HEADER.pack(kind, len(payload)) + payload for kind, payload in sent)
    cuts = [data[start : start + n_bytes] for start in range(0, len(data), n_bytes)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        waiting = iter(cuts)
        received = [receive_frame(ours, wait=lambda: theirs.sendall(next(waiting, b""))) for _ in sent]
    assert [(frame.kind, bytes(frame.payload)) for frame in received] == sent


def test_payloads_of_any_size_arrive(pair: Pair) -> None:
    ours, theirs = pair
    payload = os.urandom(1 << 20)
    sender = threading.Thread(target=send_frame, args=(theirs, DATA, payload))
    sender.start()
    frame = receive_frame(ours)
    sender.join()
    assert (frame.kind, bytes(frame.payload), frame.descriptors) == (DATA, payload, [])


def test_not_a_byte_beyond_a_frame_is_read(pair: Pair) -> None:
    ours, theirs = pair
    send_frame(theirs, DATA, b"12345678")
    send_frame(theirs, END)
    assert receive_frame(ours).payload == b"12345678"
    assert ours.recv(100) == HEADER.pack(END, 0)


def test_what_makes_no_sense_takes_no_memory(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(HEADER.pack(DATA, (1 << 20) + 1))
    with pytest.raises(ValueError, match="1048577 bytes"):
        receive_frame(ours)


@pytest.mark.parametrize("n_bytes", [0, 1, HEADER.size, HEADER.size + 2])
def test_a_frame_without_its_last_byte_is_none(pair: Pair, n_bytes: int) -> None:
    ours, theirs = pair
    theirs.sendall((HEADER.pack(DATA, 3) + b"abc")[:n_bytes])
    theirs.close()
    with pytest.raises(EOFError):
        receive_frame(ours)


def test_open_files_come_with_a_frame(pair: Pair, tmp_path: Path) -> None:
    ours, theirs = pair
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        send_frame(theirs, REQUEST, b"read this", [file.fileno()])
    frame = receive_frame(ours, max_descriptors=2)
    assert frame.payload == b"read this"
    with os.fdopen(frame.descriptors[0], "rb") as received:
        assert received.read() == b"content"


def test_nothing_is_opened_here_by_the_other_side(pair: Pair, tmp_path: Path) -> None:
    ours, theirs = pair
    with (tmp_path / "file").open("wb") as file:
        send_frame(theirs, DATA, b"", [file.fileno()] * 3)
        n_open = len(list(Path("/dev/fd").iterdir()))
        assert receive_frame(ours).descriptors == []
        assert len(list(Path("/dev/fd").iterdir())) == n_open
