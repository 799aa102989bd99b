"""Forms in any field order and any chunking, over every limit, and broken in every place."""

from __future__ import annotations

import asyncio
import errno
import io
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearsay.api.request.multipart_form import Form, FormLimits, read_form
from hearsay.errors import HearsayError, InvalidRequest, PayloadTooLarge, UnsupportedMediaType

BOUNDARY = "----WebKitFormBoundary7MA4YWxk"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class Field:
    name: str
    content: bytes
    filename: str | None = None
    quoted: bool = True

    def write(self) -> bytes:
        name = f'"{self.name}"' if self.quoted else self.name
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name={name}"
        if self.filename is not None:
            head += f'; filename="{self.filename}"\r\nContent-Type: application/octet-stream'
        return head.encode() + b"\r\n\r\n" + self.content + b"\r\n"


def body_of(fields: Sequence[Field]) -> bytes:
    return b"".join(field.write() for field in fields) + f"--{BOUNDARY}--\r\n".encode()


async def chunks(body: bytes, cuts: Sequence[int]) -> AsyncIterator[bytes]:
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in pairwise(edges):
        yield body[start:end]


def read(
    body: bytes,
    folder: Path,
    *,
    cuts: Sequence[int] = (),
    content_type: str = MULTIPART,
    limits: FormLimits | None = None,
    length: int | None = None,
) -> Form:
    return asyncio.run(
        read_form(
            chunks(body, cuts),
            content_type=content_type,
            content_length=length,
            limits=limits or FormLimits(),
            folder=folder,
        )
    )


def told(form: Form) -> tuple[list[tuple[str, str]], list[tuple[str, bool, bytes]]]:
    """Say everything that a form holds, whatever the order."""
    parts = [(part.name, part.named_file, part.path.read_bytes()) for part in form.parts]
    assert [part.n_bytes for part in form.parts] == [len(content) for _, _, content in parts]
    return sorted(form.fields.pairs), sorted(parts)


# Bytes that look like the delimiter, or like half of it, are where parsers go wrong.
TRICKY = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b"--", b"\r\n--", f"\r\n--{BOUNDARY[:-1]}".encode(), b"\x00\xff", b"x"]
)
CONTENT = st.binary(max_size=40) | st.lists(TRICKY, max_size=8).map(b"".join)
TEXTS = st.builds(
    Field,
    name=st.sampled_from(["model", "prompt", "language", "timestamp_granularities[]", "härte", "x"]),
    content=st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    quoted=st.just(True),
)
FILES = st.builds(
    Field,
    name=st.sampled_from(["file", "other"]),
    content=CONTENT,
    filename=st.sampled_from(["a.wav", "", "ü"]),
)
NAMELESS = st.builds(Field, name=st.sampled_from(["file", "url"]), content=CONTENT)


@given(fields=st.lists(TEXTS | FILES | NAMELESS, max_size=6), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_order_and_any_chunking_give_the_same_form(
    fields: list[Field], data: st.DataObject, tmp_path: Path
) -> None:
    shuffled = data.draw(st.permutations(fields))
    cuts = data.draw(st.lists(st.integers(min_value=0, max_value=10_000), max_size=30))
    texts = [f for f in fields if f.filename is None and f.name not in ("file", "url")]
    files = [f for f in fields if f not in texts]
    wanted = (
        sorted((f.name, f.content.decode()) for f in texts),
        sorted((f.name, f.filename is not None, f.content) for f in files),
    )
    with read(body_of(fields), tmp_path) as whole, read(body_of(shuffled), tmp_path, cuts=cuts) as cut:
        assert told(whole) == wanted
        assert told(cut) == wanted
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(min_value=0, max_value=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_form_cut_short_is_refused_and_leaves_nothing(cut: int, tmp_path: Path) -> None:
    body = body_of([Field("model", b"m"), Field("file", b"12345", "a.wav")])
    end = len(body) - 2 - 1  # Only the line break after the last boundary may be missing.
    with pytest.raises(InvalidRequest):
        read(body[: min(cut, end)], tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(
    body=st.binary(max_size=300)
    | st.lists(TRICKY | st.just(f"--{BOUNDARY}".encode()), max_size=9).map(b"".join)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_garbage_is_a_form_or_an_error_of_ours(body: bytes, tmp_path: Path) -> None:
    try:
        read(body, tmp_path).close()
    except HearsayError as error:
        assert error.message
    assert list(tmp_path.iterdir()) == []


def test_the_upload_limit_is_kept_while_reading(tmp_path: Path) -> None:
    limits = FormLimits(upload_bytes=1000)
    with read(body_of([Field("file", b"x" * 1000, "a")]), tmp_path, limits=limits) as form:
        assert form.parts[0].n_bytes == 1000
    n_read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal n_read
        yield Field("file", b"", "a").write()[:-2]
        while True:
            n_read += 500
            yield b"x" * 500

    with pytest.raises(PayloadTooLarge) as refused:
        asyncio.run(
            read_form(endless(), content_type=MULTIPART, content_length=None, limits=limits, folder=tmp_path)
        )
    assert refused.value.param == "file"
    assert n_read == 1500
    assert list(tmp_path.iterdir()) == []


def test_many_files_together_are_limited_too(tmp_path: Path) -> None:
    limits = FormLimits(upload_bytes=1000, text_bytes=1000, parts=100, header_bytes=200)
    files = [Field("other", b"x" * 900, "a")] * 60
    with pytest.raises(PayloadTooLarge):
        read(body_of(files), tmp_path, limits=limits)
    assert list(tmp_path.iterdir()) == []


def test_a_length_over_the_limit_is_refused_before_reading(tmp_path: Path) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    limits = FormLimits(upload_bytes=1000)
    with pytest.raises(PayloadTooLarge):
        asyncio.run(
            read_form(never(), content_type=MULTIPART, content_length=10**9, limits=limits, folder=tmp_path)
        )


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ([Field("prompt", b"x" * 600), Field("prompt", b"x" * 600)], FormLimits(text_bytes=1000)),
        ([Field("x", b"")] * 5, FormLimits(parts=4)),
        ([Field("x" * 900, b"")], FormLimits(header_bytes=500)),
        ([Field("x" * 90, b"")] * 20, FormLimits(text_bytes=1000)),
    ],
)
def test_other_limits(fields: list[Field], limits: FormLimits, tmp_path: Path) -> None:
    with pytest.raises((PayloadTooLarge, InvalidRequest)):
        read(body_of([Field("file", b"1", "a"), *fields]), tmp_path, limits=limits)
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_pauses_for_too_long_is_refused(tmp_path: Path) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield Field("file", b"1", "a").write()
        await asyncio.Event().wait()

    limits = FormLimits(idle_seconds=0.01)
    with pytest.raises(InvalidRequest) as refused:
        asyncio.run(
            read_form(stalling(), content_type=MULTIPART, content_length=None, limits=limits, folder=tmp_path)
        )
    assert refused.value.code == "request_timeout"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        ("multipart/form-data", InvalidRequest),
        ("multipart/form-data; boundary=", InvalidRequest),
        (f"multipart/form-data; boundary={'x' * 300}", InvalidRequest),
        ("multipart/mixed; boundary=x", UnsupportedMediaType),
        ("text/plain", UnsupportedMediaType),
        ("", UnsupportedMediaType),
        (";;;", UnsupportedMediaType),
    ],
)
def test_other_content_types(content_type: str, error: type[HearsayError], tmp_path: Path) -> None:
    with pytest.raises(error):
        read(b"hello", tmp_path, content_type=content_type)


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Disposition: attachment; name=x",
        b"Content-Disposition: form-data",
        b"X-Nothing: here",
        b"no colon here",
    ],
)
def test_parts_without_a_name(field: bytes, tmp_path: Path) -> None:
    body = f"--{BOUNDARY}\r\n".encode() + field + f"\r\n\r\n1\r\n--{BOUNDARY}--".encode()
    with pytest.raises(InvalidRequest):
        read(body, tmp_path)


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(body_of([Field("prompt", b"\xff\xfe")]), tmp_path)
    assert refused.value.param == "prompt"


def test_names_without_quotes(tmp_path: Path) -> None:
    with read(body_of([Field("model", b"m", quoted=False)]), tmp_path) as form:
        assert form.fields.pairs == (("model", "m"),)


def test_json(tmp_path: Path) -> None:
    body = {
        "url": "http://x",
        "stream": True,
        "temperature": 0.5,
        "prompt": None,
        "timestamp_granularities": ["word"],
    }
    body |= {"chunking_strategy": {"type": "server_vad", "threshold": 0.5}}
    form = read(json.dumps(body).encode(), tmp_path, content_type="application/json; charset=utf-8")
    assert form.fields.pairs == (
        ("url", "http://x"),
        ("stream", "true"),
        ("temperature", "0.5"),
        ("timestamp_granularities[]", "word"),
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[threshold]", "0.5"),
    )


def test_url_encoded(tmp_path: Path) -> None:
    kind = "application/x-www-form-urlencoded"
    form = read(b"url=http%3A%2F%2Fx&timestamp_granularities%5B%5D=word&a=", tmp_path, content_type=kind)
    assert form.fields.pairs == (("url", "http://x"), ("timestamp_granularities[]", "word"), ("a", ""))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b""),
        ("application/json", b"[1]"),
        ("application/json", b"{"),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"%s":[0]}' % (b"x" * 1000)),
        ("application/json", b'{"a":[%s]}' % b",".join([b"0"] * 1001)),
        ("application/json", b'{"a":{%s}}' % b",".join(b'"%d":0' % n for n in range(1001))),
        ("application/json", b"\xff\xfe\x00"),
        ("application/x-www-form-urlencoded", b"\xff"),
        ("application/x-www-form-urlencoded", b"a=%ff"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 2000)),
    ],
)
def test_documents_that_are_none(kind: str, body: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        read(body, tmp_path, content_type=kind)


@pytest.mark.parametrize("depth", range(960, 1000))
def test_documents_of_any_depth_are_read_or_refused(depth: int, tmp_path: Path) -> None:
    """What can just be read without going too deep may go too deep when it is written again."""
    body = b'{"a":%s1%s}' % (b"[" * depth, b"]" * depth)
    try:
        form = read(body, tmp_path, content_type="application/json")
    except InvalidRequest:
        return
    assert [name for name, _ in form.fields.pairs] == ["a[]"]


def test_half_surrogates_do_not_survive(tmp_path: Path) -> None:
    form = read(b'{"model": "\\ud800x"}', tmp_path, content_type="application/json")
    assert form.fields.pairs == (("model", "?x"),)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.FileIO):
        def write(self, data: object, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(descriptor: int, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(Full(descriptor, mode))

    monkeypatch.setattr("hearsay.api.request.multipart_form.os.fdopen", open_full)
    body = body_of([Field("file", b"x" * 1000, filename="a")])
    for whole_or_cut_short in (body, body[:500]):
        with pytest.raises(OSError, match="No space left"):
            read(whole_or_cut_short, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_large_documents_are_refused(tmp_path: Path) -> None:
    limits = FormLimits(document_bytes=100)
    with pytest.raises(PayloadTooLarge):
        read(b'{"prompt": "' + b"x" * 100 + b'"}', tmp_path, content_type="application/json", limits=limits)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"url": "%s", "prompt": "%s"}'),
        ("application/x-www-form-urlencoded", b"url=%s&prompt=%s"),
    ],
)
def test_only_the_recording_may_fill_a_document(kind: str, body: bytes, tmp_path: Path) -> None:
    limits = FormLimits(text_bytes=100)
    read(body % (b"x" * 1000, b"x" * 90), tmp_path, content_type=kind, limits=limits)
    with pytest.raises(PayloadTooLarge, match="text fields"):
        read(body % (b"x", b"x" * 1000), tmp_path, content_type=kind, limits=limits)
