"""The recording of a form: an upload, an address, or base64.

Knows neither multipart nor how addresses are fetched. Clients send an upload without a file name, an address
as text in `file`, and an empty `file` beside a filled one; a path on the client's own disk arrives as text
and is refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hearsay.api.request.multipart_form import SPOOLED, Form, Part
from hearsay.api.request.url_fetch import Fetcher
from hearsay.errors import InvalidAudio, InvalidRequest, PayloadTooLarge

_ADDRESS = re.compile(rb"\s*(https?|ftps?|file|gopher|s3|gs)://", re.IGNORECASE)
_DATA = re.compile(rb"\s*data:([^,]{0,200}),", re.IGNORECASE)
_HEAD_BYTES = 4096
_LONGEST_ADDRESS = 8192
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\v")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Base64Source:
    """A recording written as base64, in a file or in memory."""

    text: Path | bytes
    skip: int
    """Bytes before the base64 begins."""


Source = Path | str | Base64Source
"""A file whose bytes came with the request, an address, or base64."""


def choose_source(form: Form) -> Source:
    """Return the one recording of a form.

    Raises:
        InvalidRequest: none, more than one, or text that is no address.
        InvalidAudio: only empty ones.
    """
    filled = [part for part in form.parts if part.name in SPOOLED and not _is_blank(part)]
    sources = [_of_part(part) for part in filled]
    sources += [_of_text(text[:_HEAD_BYTES], name, text) for name, text in _texts(form)]
    if len(sources) > 1:
        raise InvalidRequest("Send one recording: either one file or one url.", param="file")
    if sources:
        return sources[0]
    if any(part.name == "file" and part.named_file for part in form.parts):
        raise InvalidAudio("The file is empty.", code="empty_file")
    raise InvalidRequest("Send a recording as file, or its address as url.", param="file")


def _texts(form: Form) -> list[tuple[str, bytes]]:
    pairs = form.fields.pairs
    return [(name, value.strip().encode()) for name, value in pairs if name in SPOOLED and value.strip()]


def _is_blank(part: Part) -> bool:
    return part.n_bytes == 0 or not (part.named_file or _head(part).strip())


def _head(part: Part) -> bytes:
    with part.path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _of_part(part: Part) -> Source:
    head = _head(part)
    if part.named_file or (part.name == "file" and not _is_text(head)):
        return part.path
    return _of_text(head, part.name, part.path)


def _of_text(head: bytes, name: str, whole: Path | bytes) -> Source:
    if _ADDRESS.match(head):
        return _read(whole).decode("utf-8", "replace").strip()
    if data := _DATA.match(head):
        if not data[1].lower().replace(b" ", b"").endswith(b";base64"):
            raise InvalidRequest("A data: URL must hold base64.", param=name)
        return Base64Source(whole, data.end())
    if name == "url" and re.fullmatch(rb"[A-Za-z0-9+/_=\s-]{16,}", head):
        return Base64Source(whole, 0)
    if name == "url":
        raise InvalidRequest("url must be an http or https address, a data: URL or base64.", param="url")
    raise InvalidRequest(
        "file holds text, not a recording. Send the bytes of the file (a path on your own machine means "
        "nothing to this server), or an http or https address.",
        param="file",
    )


def _read(whole: Path | bytes) -> bytes:
    if isinstance(whole, bytes):
        text = whole
    else:
        with whole.open("rb") as file:
            text = file.read(_LONGEST_ADDRESS + 1)
    if len(text) > _LONGEST_ADDRESS:
        raise InvalidRequest("The address of the recording is too long.", param="url")
    return text


def _is_text(head: bytes) -> bool:
    """Return whether this is text: no control characters, and UTF-8 but for a last character cut off."""
    if any(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == _HEAD_BYTES and error.start >= _HEAD_BYTES - 3
    return True


@asynccontextmanager
async def as_file(
    source: Source, *, fetcher: Fetcher, max_bytes: int, folder: Path | None
) -> AsyncIterator[Path]:
    """Hold the recording as a file inside the context.

    Raises: `FetchFailed`, `PayloadTooLarge`, or `InvalidRequest` for what is not base64.
    """
    if isinstance(source, Path):
        if source.stat().st_size > max_bytes:  # Without a file name it may have been base64.
            raise PayloadTooLarge("The file is larger than this server accepts.", param="file")
        yield source
        return
    with tempfile.NamedTemporaryFile(prefix="hearsay-source-", dir=folder) as file:
        path = Path(file.name)
        if isinstance(source, str):
            await fetcher.fetch(source, path)
        else:
            await asyncio.to_thread(decode_base64, source, path, max_bytes)
        yield path


def decode_base64(source: Base64Source, target: Path, max_bytes: int) -> None:
    """Decode base64 into a file, in either alphabet, with or without padding and line breaks.

    Raises: `PayloadTooLarge` or `InvalidRequest`, `FileNotFoundError` where `target` is not there.
    """
    whole = source.text if isinstance(source.text, bytes) else source.text.read_bytes()
    text = re.sub(rb"[\s=]+", b"", whole[source.skip :].replace(b"%3D", b"")).replace(b"-", b"+")
    text = text.replace(b"_", b"/")
    if len(text) * 3 // 4 > max_bytes:
        raise PayloadTooLarge("The recording in url is larger than this server accepts.", param="url")
    try:
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("url does not hold valid base64.", param="url") from error
    with target.open("r+b") as file:  # Not made anew where it was removed after a disconnect.
        file.write(decoded)
