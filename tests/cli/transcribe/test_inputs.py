"""Inputs: what arguments stand for, and that each can be read from a path while it is needed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread

import pytest

from hearsay.cli.transcribe import inputs
from hearsay.cli.transcribe.inputs import Source, collect, open_source
from hearsay.errors import FetchFailed, InvalidAudio


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def labels(*arguments: str, recursive: bool = False) -> list[str]:
    return [source.label for source in collect(arguments, recursive=recursive)]


def test_a_file_by_name_is_tried_whatever_its_suffix() -> None:
    (source,) = collect(["notes/talk.docx"], recursive=False)
    assert source == Source("notes/talk.docx", Path("notes/talk.docx"), None, PurePosixPath("talk.docx"))
    assert source.default_folder == Path("notes")


def test_a_folder_stands_for_its_recordings(tmp_path: Path) -> None:
    make(tmp_path, "b.MP3", "a.wav", "notes.txt", ".hidden.mp3", "deep/c.flac", ".cache/d.mp3")
    found = collect([str(tmp_path)], recursive=False)
    assert [source.path for source in found] == [tmp_path / "a.wav", tmp_path / "b.MP3"]
    assert [source.output_path for source in found] == [PurePosixPath("a.wav"), PurePosixPath("b.MP3")]


def test_recursive_goes_into_folders_but_hidden_ones(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "deep/er/c.flac", ".cache/d.mp3")
    found = collect([str(tmp_path)], recursive=True)
    assert [str(source.output_path) for source in found] == ["a.wav", "deep/er/c.flac"]


@pytest.mark.parametrize(("inner", "hint"), [("deep", "--recursive"), (None, "")])
def test_a_folder_without_recordings_is_a_mistake(tmp_path: Path, inner: str | None, hint: str) -> None:
    if inner:
        make(tmp_path, f"{inner}/a.wav")
    with pytest.raises(InvalidAudio) as caught:
        collect([str(tmp_path)], recursive=False)
    assert ("--recursive" in caught.value.message) is bool(hint)


def test_a_recording_is_taken_once_however_it_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    names = [str(tmp_path / "a.wav"), str(tmp_path), str(tmp_path / "x" / ".." / "a.wav"), "-", "-"]
    assert labels(*names) == [str(tmp_path / "a.wav"), "standard input"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h.test/talks/one.mp3", "one.mp3"),
        ("HTTP://h.test/talks/one%20two.mp3?x=1#y", "one two.mp3"),
        ("https://h.test/talks/", "talks"),
        ("https://h.test", "h.test"),
        ("https://h.test/%2e%2e", "h.test"),
        ("https://h.test/a%5Cb%00c.mp3", "a_b_c.mp3"),
        ("https://h.test/a%2Fb.mp3", "b.mp3"),
    ],
)
def test_a_url_names_its_output_by_its_end(url: str, name: str) -> None:
    (source,) = collect([url], recursive=False)
    assert source == Source(url, None, url, PurePosixPath(name))
    assert source.default_folder == Path()


def test_a_file_is_read_where_it_lies(tmp_path: Path) -> None:
    make(tmp_path, "a.wav")
    (source,) = collect([str(tmp_path / "a.wav")], recursive=False)
    with open_source(source) as path:
        assert path == tmp_path / "a.wav"


@pytest.mark.parametrize("name", ["missing.wav", "a.wav/inside.wav", "n" * 300])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str) -> None:
    make(tmp_path, "a.wav")
    (source,) = collect([str(tmp_path / name)], recursive=False)
    with pytest.raises(InvalidAudio, match="It cannot be read: "), open_source(source):
        pass


def test_standard_input_is_copied_and_the_copy_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"sound")))
    (source,) = collect(["-"], recursive=False)
    with open_source(source) as path:
        assert path.read_bytes() == b"sound"
    assert not path.parent.exists()


def test_a_pipe_is_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ogg")
    (source,) = collect([str(tmp_path / "pipe.ogg")], recursive=False)
    writer = Thread(target=(tmp_path / "pipe.ogg").write_bytes, args=(b"sound",))
    writer.start()
    with open_source(source) as path:
        assert (path.read_bytes(), path.suffix) == (b"sound", ".ogg")
    writer.join()


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def fetched(url: str) -> bytes:
    (source,) = collect([url], recursive=False)
    with open_source(source) as path:
        return path.read_bytes()


def test_a_url_is_downloaded_or_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    make(tmp_path, "a.wav")
    with served(tmp_path) as address:
        assert fetched(f"{address}/a.wav") == b"a.wav"
        with pytest.raises(FetchFailed, match=r"It cannot be fetched: 404 File not found\."):
            fetched(f"{address}/b.wav")
        monkeypatch.setattr(inputs, "MAX_FETCH_BYTES", 4)
        with pytest.raises(FetchFailed, match="larger than"):
            fetched(f"{address}/a.wav")
        monkeypatch.undo()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(inputs, "MAX_FETCH_SECONDS", -1.0)
        with pytest.raises(FetchFailed, match="takes longer than"):
            fetched(f"{address}/a.wav")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.wav", "http://[::1/a.wav", "http://127.0.0.1:99999/a"])
def test_a_url_that_leads_nowhere(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    source = Source(url, None, url, PurePosixPath("a.wav"))
    with pytest.raises(FetchFailed, match="It cannot be fetched: "), open_source(source):
        pass


def test_arguments_keep_their_order(tmp_path: Path) -> None:
    make(tmp_path, "b.wav", "a.wav")
    arguments: Sequence[str] = [str(tmp_path / "b.wav"), "https://h.test/x.mp3", str(tmp_path / "a.wav")]
    assert labels(*arguments) == list(arguments)
