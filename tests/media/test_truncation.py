"""Detection of truncated files and of files that are no recording."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.media.truncation import is_truncated, rejection_reason
from tests.support.recordings import KINDS, tone, write


def cut(data: bytes, container: str, folder: Path) -> bool:
    path = folder / "file"
    path.write_bytes(data)
    with path.open("rb") as file:
        return is_truncated(container, file.fileno())


def sized(kind: str, declared: int) -> Callable[[bytes], bytes]:
    """Return a function that writes another size into the header of a RIFF or AIFF file."""
    order = ">I" if kind == "aiff" else "<I"
    return lambda data: data[:4] + struct.pack(order, declared) + data[8:]


@pytest.mark.parametrize(
    ("kind", "container"),
    [("wav", "wav"), ("w64", "w64"), ("aiff", "aiff"), ("caf", "caf"), ("avi", "avi"), ("ogg-opus", "ogg")],
)
def test_a_missing_end_is_seen(kind: str, container: str, tmp_path: Path) -> None:
    data = write(KINDS[kind], tone(1.5, rate=KINDS[kind].rate))
    assert not cut(data, container, tmp_path)
    assert cut(data[:-500], container, tmp_path)
    assert cut(data[: len(data) // 2], container, tmp_path)


@pytest.mark.parametrize("declared", [0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", ["wav", "aiff"])
def test_writers_that_did_not_know_the_size_are_believed(kind: str, declared: int, tmp_path: Path) -> None:
    data = write(KINDS[kind], tone(0.5, rate=KINDS[kind].rate))
    assert not cut(sized(kind, declared)(data), kind, tmp_path)
    assert cut(sized(kind, len(data))(data), kind, tmp_path)


def test_more_bytes_than_declared_are_no_cut(tmp_path: Path) -> None:
    data = write(KINDS["wav"], tone(0.5, rate=KINDS["wav"].rate))
    assert not cut(data + bytes(1000), "wav", tmp_path)


def test_a_large_wav_tells_its_size_in_a_chunk_of_its_own(tmp_path: Path) -> None:
    data = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, 992, 900, 450, 0) + bytes(952)
    assert len(data) == 1000
    assert not cut(data, "wav", tmp_path)
    assert cut(data[:-1], "wav", tmp_path)


def test_containers_that_tell_nothing_are_never_called_cut(tmp_path: Path) -> None:
    assert not cut(b"\xff\xfb" + bytes(100), "mp3", tmp_path)
    assert not cut(b"RIFF", "wav", tmp_path)


@given(st.binary(max_size=100))
def test_every_refusal_is_a_sentence(head: bytes) -> None:
    reason = rejection_reason(head)
    assert reason[0].isupper()
    assert reason.endswith(".")


@given(st.text(min_size=1, max_size=2000))
def test_text_cut_inside_a_letter_is_still_text(text: str) -> None:
    words = "".join(letter for letter in text if letter.isprintable())
    for cut_off in range(4):
        assert "text" in rejection_reason(f"Dear all, {words}€".encode()[: -cut_off or None])


@pytest.mark.parametrize(
    "head", [b"#EXTM3U\n", b"  \n#EXTM3U\n", b"FFCONCAT version 1.0", b"concat:a|b", b"<?XML "]
)
def test_playlists_are_called_by_their_name(head: bytes) -> None:
    assert "playlist" in rejection_reason(head)
