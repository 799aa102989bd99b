"""Request bodies read as they arrive: files straight to disk, text to memory, limits enforced while reading.

Knows neither the names of the options nor how a recording is chosen among the parts. Fields may come in
any order. Source: RFC 7578 (multipart/form-data), read with python-multipart's streaming parser.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hearsay.api.request.exchange import collect, with_idle_timeout
from hearsay.dialects.form_fields import FormFields, flatten
from hearsay.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

SPOOLED = frozenset({"file", "url"})
"""Parts that go to disk even without a file name: they may hold a whole recording as bytes or base64."""

_TYPES = "multipart/form-data, application/json or application/x-www-form-urlencoded"
_MEBIBYTE = 1 << 20
_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much a request may hold."""

    upload_bytes: int = 25 * _MEBIBYTE
    """Largest recording."""
    text_bytes: int = _MEBIBYTE
    """All text fields of a form together, names included."""
    document_bytes: int = 16 * _MEBIBYTE
    """Largest JSON or URL-encoded body; these are held in memory."""
    fields: int = 1000
    """Values in a JSON or URL-encoded body, those inside of lists and objects included."""
    parts: int = 256
    header_bytes: int = 8192
    """Longest header line within a part."""
    idle_seconds: float = 60.0
    """How long a body may pause."""

    @property
    def body_bytes(self) -> int:
        """Largest body at all: a recording as base64, with its text fields and the framing around them."""
        return self.upload_bytes * 4 // 3 + self.text_bytes + self.parts * self.header_bytes


@dataclass(slots=True)
class Part:
    """One spooled part of a form."""

    name: str
    named_file: bool
    """Whether the part has a file name."""
    path: Path
    n_bytes: int = 0


@dataclass(slots=True)
class Form:
    """A request's text fields and spooled parts; leaving the context removes the files."""

    fields: FormFields = field(default_factory=FormFields)
    parts: list[Part] = field(default_factory=list)

    def __enter__(self) -> Form:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove all files."""
        for part in self.parts:
            part.path.unlink(missing_ok=True)


async def read_form(
    chunks: AsyncIterator[bytes],
    *,
    content_type: str,
    content_length: int | None,
    limits: FormLimits,
    folder: Path | None = None,
) -> Form:
    """Read a body into a form; whatever goes wrong, no file stays behind.

    Raises:
        PayloadTooLarge: over a limit, before the rest is read.
        UnsupportedMediaType: a body that is no form.
        InvalidRequest: a form that is not well-formed.
    """
    kind, options = parse_options_header(content_type)
    if content_length is not None and content_length > limits.body_bytes:
        raise _too_large(limits)
    if kind == b"multipart/form-data":
        return await _read_multipart(chunks, options.get(b"boundary", b""), limits, folder)
    if kind in _PARSERS:
        size = limits.document_bytes / _MEBIBYTE
        body = await collect(
            chunks,
            max_bytes=limits.document_bytes,
            idle_seconds=limits.idle_seconds,
            too_large=PayloadTooLarge(f"A body of this type may hold {size:g} MB; use multipart/form-data."),
        )
        # In a thread: a large document takes long enough to parse to hold up other requests.
        return await asyncio.to_thread(_read_pairs, kind, body, limits)
    raise UnsupportedMediaType(f"Send the recording as {_TYPES}, with the content type to match.")


def _too_large(limits: FormLimits) -> PayloadTooLarge:
    size = limits.upload_bytes / _MEBIBYTE
    return PayloadTooLarge(
        f"The recording is larger than {size:g} MB, the most that this server accepts in a request. "
        "Send it compressed (flac, mp3, opus), in parts, or as a url.",
        param="file",
    )


async def _read_multipart(
    chunks: AsyncIterator[bytes], boundary: bytes, limits: FormLimits, folder: Path | None
) -> Form:
    if not boundary:
        raise InvalidRequest("The content type multipart/form-data lacks its boundary.")
    reader = MultipartReader(boundary, limits=limits, folder=folder)
    try:
        async for chunk in with_idle_timeout(chunks, limits.idle_seconds):
            reader.feed(chunk)
        return reader.finish()
    except BaseException:
        reader.abandon()
        raise


def _read_pairs(kind: bytes, body: bytes, limits: FormLimits) -> Form:
    pairs = _PARSERS[kind](body, limits)
    n_text = sum(len(name) + len(value) for name, value in pairs if name not in SPOOLED)
    if n_text > limits.text_bytes:
        raise _too_much_text(limits)
    return Form(FormFields(pairs))


def _json_pairs(body: bytes, limits: FormLimits) -> list[tuple[str, str]]:
    try:
        found = json.loads(body)
        if not isinstance(found, dict):
            raise InvalidRequest("The JSON body must be an object.")
        # Counted first: the name of a list is written once for every item.
        counts = (len(value) if isinstance(value, (dict, list)) else 1 for value in found.values())
        if sum(counts) > limits.fields:
            raise InvalidRequest(f"A JSON body may have {limits.fields} values.")
        if any(len(name) > _LONGEST_NAME for name in found):
            raise InvalidRequest("The JSON body has a name that is too long.")
        return [(_clean(key), _clean(value)) for key, value in flatten(found)]
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON.") from error


def _encoded_pairs(body: bytes, limits: FormLimits) -> list[tuple[str, str]]:
    try:
        text = body.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=limits.fields)
    except ValueError as error:
        raise InvalidRequest("The body is not valid URL-encoded text.") from error


_PARSERS = {b"application/json": _json_pairs, b"application/x-www-form-urlencoded": _encoded_pairs}


def _too_much_text(limits: FormLimits) -> PayloadTooLarge:
    size = limits.text_bytes / _MEBIBYTE
    return PayloadTooLarge(f"The text fields of a form may hold {size:g} MB together.")


def _clean(text: str) -> str:
    """Replace half surrogate pairs, which JSON escapes can spell and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


class MultipartReader:
    """A form being read in pieces, cut anywhere."""

    def __init__(self, boundary: bytes, *, limits: FormLimits, folder: Path | None = None) -> None:
        self._limits = limits
        self._folder = folder
        self._pairs: list[tuple[str, str]] = []
        self._parts: list[Part] = []
        self._file: IO[bytes] | None = None
        self._text = bytearray()
        self._n_bytes = self._n_parts = self._n_text = 0
        self._ended = False
        self._headers: dict[str, bytes] = {}
        self._header_name = self._header_value = b""
        self._name = ""
        try:
            self._parser = MultipartParser(
                boundary, self._callbacks(), max_header_count=16, max_header_size=limits.header_bytes
            )
        except FormParserError as error:
            raise InvalidRequest("The boundary of the form is too long.") from error

    def _callbacks(self) -> Any:
        def collect(attribute: str) -> Callable[[bytes, int, int], None]:
            def grow(data: bytes, start: int, end: int) -> None:
                setattr(self, attribute, getattr(self, attribute) + data[start:end])

            return grow

        return {
            "on_part_begin": self._begin_part,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_header_field": collect("_header_name"),
            "on_header_value": collect("_header_value"),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_end": self._end,
        }

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises `PayloadTooLarge`, `InvalidRequest` or `OSError` at once."""
        self._n_bytes += len(chunk)
        if self._n_bytes > self._limits.body_bytes:
            raise _too_large(self._limits)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest("The form is not well-formed multipart/form-data.") from error

    def finish(self) -> Form:
        """Return the form. Raises `InvalidRequest` where its end is missing."""
        if not self._ended:
            raise InvalidRequest("The form ended before its closing boundary.")
        return Form(FormFields(self._pairs), self._parts)

    def abandon(self) -> None:
        """Close and remove all files."""
        try:
            if self._file is not None:
                self._file.close()  # On a full disk this fails too.
        finally:
            Form(parts=self._parts).close()

    def _begin_part(self) -> None:
        self._n_parts += 1
        if self._n_parts > self._limits.parts:
            raise InvalidRequest(f"A form may have {self._limits.parts} parts.")
        self._headers = {}

    def _end_header(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        disposition, options = parse_options_header(self._headers.get("content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise InvalidRequest("A part of the form lacks its content-disposition with a name.")
        self._name = options[b"name"].decode("utf-8", "replace")
        self._count_text(len(options[b"name"]))
        named_file = b"filename" in options
        if named_file or self._name in SPOOLED:
            descriptor, path = tempfile.mkstemp(prefix="hearsay-upload-", dir=self._folder)
            self._file = os.fdopen(descriptor, "wb")
            self._parts.append(Part(self._name, named_file, Path(path)))

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            self._count_text(end - start)
            self._text += data[start:end]
            return
        part = self._parts[-1]
        part.n_bytes += end - start
        most = self._limits.upload_bytes if part.named_file else self._limits.body_bytes
        if part.n_bytes > most:
            raise _too_large(self._limits)
        self._file.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            return
        try:
            self._pairs.append((self._name, self._text.decode()))
        except UnicodeDecodeError as error:
            message = f"The field {self._name[:40]!r} is not valid UTF-8."
            raise InvalidRequest(message, param=self._name[:40]) from error
        self._text = bytearray()

    def _end(self) -> None:
        self._ended = True

    def _count_text(self, n_bytes: int) -> None:
        self._n_text += n_bytes
        if self._n_text > self._limits.text_bytes:
            raise _too_much_text(self._limits)
