"""Detection of truncated files and of files that are no recording, from bytes and metadata.

Knows no decoding; `decoding` compares the declared duration with the decoded one. Sources: the specifications
of RIFF and RF64, Sony Wave64, AIFF, CAF, Ogg (RFC 3533), ID3v2 and the Xing header of MP3.
"""

from __future__ import annotations

import codecs
import os
import re
import struct
from typing import Any

_utf8 = codecs.getincrementaldecoder("utf-8")

_PLAYLIST = re.compile(
    rb"\s*(#EXT|ffconcat\b|\[playlist\]|\[reference\]|\[default\]|<\?xml|<smil|<asx|<mpd|v=0\r?\n|"
    rb"file\s+['\"]|(https?|file|concat|concatf|subfile|rtsp|mms|hls|data|fd|pipe|crypto|cache|async)(://|:))",
    re.IGNORECASE,
)
_PICTURE = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM", re.DOTALL)
_DAMAGED = re.compile(rb"RIFF|RF64|riff\x2e\x91|OggS|fLaC|\x1aE\xdf\xa3|FORM|caff|\.snd|ID3")

_DECLARING_DEMUXERS = "wav,w64,aiff,au,flac,asf,avi,flv,ape,tta,tak,wv,xwma,mov,matroska,mp3,ogg"
"""Demuxers whose duration comes from the file's header, not from its size."""

_UNKNOWN_SIZE = 0x7FFFF000
"""32-bit sizes from here up mean that the writer did not know the size."""


def rejection_reason(head: bytes) -> str:
    """Return a message for a file that no demuxer recognises, from its first few thousand bytes."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    if _PLAYLIST.match(head):
        return "The file is a playlist or a description, not a recording."
    if head[4:8] == b"ftyp":
        return "The file is an MP4 without its index: it was cut short or is damaged."
    if _PICTURE.match(head):
        return "The file is a picture, not a recording."
    if _DAMAGED.match(head):
        return "The recording is damaged or cut off at its beginning."
    if _is_text(head):
        return "The file is text, not a recording."
    return "The file is not a recording in a format that is known."


def declared_end(container: Any, stream: Any, descriptor: int) -> float | None:
    """Return the declared end of the track, in seconds of its timeline, or None."""
    names = set(container.format.name.split(","))
    if names.isdisjoint(_DECLARING_DEMUXERS.split(",")) or ("mp3" in names and not _has_xing(descriptor)):
        return None
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    if container.duration and len(container.streams) == 1:
        return float(container.duration / 1_000_000)
    return None


def is_truncated(container: str, descriptor: int) -> bool:
    """Return whether the file is shorter than its structure declares."""
    size = os.fstat(descriptor).st_size
    if container in ("wav", "avi", "w64", "aiff", "caf"):
        declared = _declared_size(descriptor)
        return declared is not None and size < declared
    return container == "ogg" and not _ogg_is_complete(descriptor, size)


def _declared_size(descriptor: int) -> int | None:
    """Return the declared size of the file in bytes, or None."""
    head = os.pread(descriptor, 32, 0)
    if len(head) < 32:
        return None
    if head.startswith(b"RF64"):
        return _unpack("<Q", head, 20) + 8 if head[12:16] == b"ds64" else None
    if head.startswith(b"riff"):
        return _unpack("<Q", head, 16) or None
    if head.startswith(b"caff"):
        return _caf_size(descriptor)
    order = ">" if head.startswith(b"FORM") else "<"
    declared = _unpack(order + "I", head, 4)
    return declared + 8 if 0 < declared < _UNKNOWN_SIZE else None


def _unpack(layout: str, data: bytes, offset: int) -> int:
    return int(struct.unpack_from(layout, data, offset)[0])


def _caf_size(descriptor: int) -> int | None:
    offset = 8
    for _ in range(64):
        header = os.pread(descriptor, 12, offset)
        if len(header) < 12:
            return None
        length = _unpack(">q", header, 4)
        if length < 0:
            return None
        offset += 12 + length
        if header.startswith(b"data"):
            return offset
    return None


def _ogg_is_complete(descriptor: int, size: int) -> bool:
    """Return whether the last page is complete and marked as end of stream (RFC 3533, section 6)."""
    tail = os.pread(descriptor, 2**16 + 512, max(0, size - 2**16 - 512))
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27:
        return False
    n_lacing = tail[page + 26]
    lengths = tail[page + 27 : page + 27 + n_lacing]
    return (
        bool(tail[page + 5] & 4)
        and len(lengths) == n_lacing
        and page + 27 + n_lacing + sum(lengths) <= len(tail)
    )


def _has_xing(descriptor: int) -> bool:
    """Return whether the frame after an MP3's ID3v2 tag has the header with the number of frames."""
    head = os.pread(descriptor, 10, 0)
    start = 0
    if head.startswith(b"ID3") and len(head) == 10:
        start = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)
        )
    frame = os.pread(descriptor, 4096, start)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _is_text(head: bytes) -> bool:
    try:
        text = _utf8().decode(head)  # incremental: the last character may be cut
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)
